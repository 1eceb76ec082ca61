"""The user's table: typed columns, their kinds, and all problems in one message."""

import pathlib
import shlex
import warnings

import numpy as np
import pandas as pd

import tfp_flows
from experiments.command_line.flag_settings import as_text
from experiments.data import DataError, text_table, typed_cells
from experiments.data.files import reading
from experiments.table_density.settings import DROPPED, parsed_kinds

# Kind without a distribution -> words for the problem, and the kind to advise.
UNUSABLE = {
    "text": ("is text ({reason}), as {cells}; {flag}, or drop", "categorical"),
    "identifier": ("names the rows, {reason}; {flag}, integer or categorical", DROPPED),
    "missing": ("has no value at all; {flag}", DROPPED),
}
# Kinds whose values are categories, of any type.
CATEGORICAL = ("categorical", "boolean", "ordered")
_SHOWN = 3
_MIN_ROWS = 20


def read_table(settings):
    """Returns the rows and the columns of a table.

    Returns:
      A pandas data frame of typed columns, without the dropped ones, and a
      `tfp_flows.tables.TableColumns`.

    Raises:
      DataError: if the table is missing or unusable; the message has all its problems.
    """
    path, kinds = settings.csv_path, parsed_kinds(settings)
    texts, frame = _read(settings)
    problems = [
        f"no column {name!r} of --{flag}"
        for flag, names in (("kinds", kinds), ("context_columns", settings.context_columns))
        for name in names
        if name not in frame
    ]
    dropped = [name for name in frame if kinds.get(name, {}).get("kind") == DROPPED]
    frame = frame.drop(columns=dropped)
    if frame.shape[1] == 0:
        problems.append("--kinds drops all columns")
    if texts:
        frame, wrong = _typed(frame, kinds, settings.decimal)
        problems += wrong
    if settings.missing == DROPPED:
        frame = frame.dropna().reset_index(drop=True)
    if len(frame) < _MIN_ROWS:
        problems.append(f"{len(frame)} rows, of at least {_MIN_ROWS}")
    columns, more = _described(frame, kinds) if len(frame) else ([], [])
    problems += more
    if settings.missing == "refuse":
        problems += [
            f"{c.num_missing} missing cells in column {c.name!r} (--missing=drop leaves "
            "their rows out, --missing=indicator models them)"
            for c in columns
            if c.num_missing and c.kind != "missing"
        ]
    if kinds and not problems:
        problems = _broken_kinds(frame, columns)
    if problems:
        _refuse(path, problems)
    return frame, columns


def _refuse(path, problems):
    raise DataError(
        f"Expected a table with columns of known kinds in {path}; got: "
        f"{'; '.join(problems)}."
    )


def _read(settings):
    """Returns whether cells are still texts, and the data frame of all columns."""
    path = pathlib.Path(settings.csv_path)
    if path.suffix.lower() == ".parquet":
        with reading("a .parquet table", path, (OSError, ValueError, ImportError)):
            frame = pd.read_parquet(path)
            levels = [name for name in frame.index.names if name is not None]
            frame = frame.reset_index(levels) if levels else frame
            return False, frame.set_axis(map(str, frame.columns), axis=1)
    table = text_table.TextTable(path, decimal=settings.decimal, encoding=settings.encoding)
    if table.names is None:
        raise DataError(f"Expected a header in {path}; got numbers in the first row.")
    blocks = table.blocks(range(table.num_columns), as_text=True)
    frames = [block.frame for block in blocks]
    if not frames:
        raise DataError(f"Expected rows in {path}; got a header only.")
    frame = pd.concat(frames).set_axis(table.names, axis=1)
    empty = [
        name
        for i, name in enumerate(table.names)
        if name == f"Unnamed: {i}"
        and frame[name].str.strip().isin(typed_cells.MISSING).all()
    ]
    if empty:
        warnings.warn(
            f"{empty}, without a name or a value in {path}, as if its lines end with a "
            "delimiter: left out",
            stacklevel=2,
        )
    return True, frame.drop(columns=empty)


def _typed(frame, kinds, decimal):
    """Returns typed columns, and the problems of the others."""
    columns, problems = {}, []
    for name, texts in frame.items():
        found, wrong = typed_cells.type_of(texts, decimal)
        kind = kinds.get(name, {}).get("kind")
        are_codes = kind == "categorical" and typed_cells.are_codes(texts)
        if are_codes or kind in CATEGORICAL and len(wrong):
            found, wrong = "text", []
        elif found == "text" and kind not in CATEGORICAL:
            wrong = _rows_of_other_notation(texts, decimal)
            found = "number" if len(wrong) else found
        if len(wrong):
            cells = texts.iloc[wrong]
            shown = [f"{cell!r} in line {line}" for line, cell in cells[:_SHOWN].items()]
            more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
            advice = [f"{_flag({name: 'categorical'})} takes them as they are"]
            advice += filter(None, [text_table.spelling_advice(cells, decimal)])
            advice += ["dates are from 1677-09-22 to 2262-04-11"] * (found == "date")
            problems.append(
                f"column {name!r} has {found}s, but {', '.join(shown)}{more} "
                f"({'; '.join(advice)})"
            )
        else:
            columns[name] = typed_cells.typed(texts, found, decimal)
            code = typed_cells.with_zeros_in_front(texts) if found == "number" else None
            if code is not None and kind is None:
                warnings.warn(
                    f"column {name!r} has {code!r} and others, which are read as numbers; "
                    f"{_flag({name: 'categorical'})} takes them as they are",
                    stacklevel=2,
                )
    return pd.DataFrame(columns, pd.RangeIndex(len(frame))), problems


def _flag(kinds):
    """Returns the flag of kinds by column as a shell takes it, quoted where it must be."""
    entries = [f"{name}={kind}" for name, kind in kinds.items()]
    return shlex.quote(f"--kinds={as_text(entries)}")


def _rows_of_other_notation(texts, decimal):
    """Returns the rows of numbers in another notation, if most cells are numbers."""
    cells = texts.str.strip()
    known = [cell for cell in cells.unique() if cell not in typed_cells.MISSING]
    otherwise = [cell for cell in known if text_table.spelling_advice([cell], decimal)]
    numbers = [cell for cell in known if text_table.number(cell, decimal) is not None]
    is_number = cells.isin([*numbers, *otherwise])
    if 2 * is_number.sum() > cells.isin(known).sum():
        return np.flatnonzero(cells.isin(otherwise))
    return np.array([], int)


def _described(frame, kinds):
    """Returns the `TableColumns`, changed by `kinds`, and their problems."""
    if frame.shape[1] == 0:
        return [], []
    try:
        columns, problems = tfp_flows.describe_columns(frame), []
    except ValueError as error:  # a .parquet file may have infinite cells or mixed types
        return [], [str(error).rstrip(".")]
    for name, entries in kinds.items():
        try:
            if name in columns.names:
                columns.change(name, **_with_values(frame[name], columns[name], entries))
        except ValueError as error:
            problems.append(str(error).rstrip("."))
    for function in columns.functions:
        if not function.fits([columns[each] for each in function.names]):
            columns.drop(function.label)  # --kinds allows values that it lacks
    unusable = [column for column in columns if column.kind in UNUSABLE]
    for column in unusable:
        cells = " and ".join(map(repr, frame[column.name].dropna().unique()[:2]))
        words, kind = UNUSABLE[column.kind]
        flag = _flag({column.name: kind})
        words = words.format(reason=column.reason, cells=cells, flag=flag)
        problems.append(f"column {column.name!r} {words}")
    if len(unusable) > 1:
        flag = _flag(dict.fromkeys([column.name for column in unusable], DROPPED))
        problems.append(f"{flag} leaves out the columns without a kind")
    return columns, problems


def _broken_kinds(frame, columns):
    """Returns the kinds that cells contradict, in words."""
    try:
        broken = tfp_flows.tables.violated_rules(frame, columns)
    except ValueError as error:
        return [str(error).rstrip(".")]
    first = {rule: np.flatnonzero(where)[:1] for rule, where in broken.items()}
    return [
        f"{frame[name].iloc[row].tolist()[0]} breaks {rule!r} ({broken[rule].sum()} of "
        f"{len(frame)} rows)"
        for name, (rule, row) in zip(columns.names, first.items(), strict=True)
        if len(row)
    ]


def _with_values(cells, column, entries):
    """Adds the list of values of a column whose new kind needs it."""
    if entries["kind"] not in CATEGORICAL:
        return entries
    found = pd.unique(cells.dropna())
    is_date = found.dtype.kind == "M"
    found = list(found.astype("datetime64[ns]")) if is_date else found.tolist()
    if "values" in entries:
        return {**entries, "values": _given_order(column.name, found, entries["values"])}
    if entries["kind"] == "ordered" and any(isinstance(value, str) for value in found):
        some = ":".join(found[:_SHOWN])
        raise ValueError(
            f"the order of the texts of {column.name!r} is not known: give all of them, as "
            f"{_flag({column.name: f'ordered:{some}'})}"
        )
    if column.has_values:
        return entries
    return {**entries, "values": sorted(found, key=lambda v: (str(type(v)), v))}


def _given_order(name, found, texts):
    """Returns the cells' values in the order of a flag's texts."""
    are_texts = any(isinstance(value, str) for value in found)
    if not are_texts:
        texts = list(map(_shortest, texts))
    places = {str(v) if are_texts else _shortest(str(v)): v for v in found}
    unknown = [] if are_texts else [text for text in texts if text not in places]
    lacking = [text for text in places if text not in texts]
    if lacking or unknown:
        flag = _flag({name: ":".join(["ordered", *texts])})
        raise ValueError(
            f"{flag} lacks {lacking}, and has {unknown}, which the column lacks"
        )
    return [places.get(text, text) for text in texts]


def _shortest(text):
    """Returns the shortest spelling of a number, as 1 for 1.0; other texts as they are."""
    value = None if text.isdecimal() else text_table.number(text)
    return text if value is None else repr(value).removesuffix(".0")


def divided(frame, settings):
    """Returns training and test rows, a random split by `settings.data_seed`."""
    order = np.random.default_rng(settings.data_seed).permutation(len(frame))
    num_test = max(2, round(settings.test_share * len(frame)))
    parts = np.split(order, [len(frame) - num_test])
    return [frame.iloc[rows].reset_index(drop=True) for rows in parts]
