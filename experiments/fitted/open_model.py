"""Fitted models of tables, opened for scores, samples and predictions."""

import contextlib
import pathlib
import re
import warnings

import numpy as np
import pandas as pd

import tfp_flows
from experiments.data import DataError
from experiments.data.text_table import spelling_advice
from experiments.data.typed_cells import typed
from experiments.fitted.row_tables import as_cells, in_parts, quantiles
from experiments.runs.run_directory import RunDirectoryError
from experiments.runs.starting_weights import load_model

_FILE = "model.keras"
_ROWS_A_CALL = 1 << 14


def open_model(path):
    """Returns the model in the folder of a finished run, or in a `.keras` file.

    It is a `FittedTable`, or a `FittedModel` of rows of numbers.

    Raises:
      RunDirectoryError: if there is no such model, or its events are no table rows.
    """
    path = pathlib.Path(path)
    path = path / _FILE if path.is_dir() else path
    model = load_model(path, tfp_flows.DensityEstimator)
    if getattr(model.distribution, "parameters", {}).get("description"):
        return FittedTable(path)
    return FittedModel(path, model)


class FittedModel:
    """A saved `DensityEstimator` of rows of a table, from a `.keras` file.

    Attributes:
      distribution: the fitted distribution.
      modelled: names of its variables, or their positions as text.
      context: names of the columns of the context, or their positions as text.
    """

    reads_text = False

    def __init__(self, path, model):
        self.path = path
        self.distribution = model.distribution
        shape = self.distribution.event_shape
        if shape.rank != 1:
            raise RunDirectoryError(
                f"Expected a model of the rows of a table in {self.path}; got one of "
                f"events of shape {list(shape)}."
            )
        size = getattr(self.distribution, "context_size", 0)
        self.modelled, self.context = _names(model.columns, shape[0], size)
        self._columns = model.columns

    @property
    def dtype(self):
        """NumPy's dtype of the rows."""
        return self.distribution.dtype.as_numpy_dtype

    def positions(self, table, names):
        """Returns the positions of columns in a `TextTable`.

        For a model of arrays without names, the table must have exactly these columns, in
        this order.
        """
        if self._columns is not None:
            return positions_of(names, table, self.path)
        if table.num_columns != len(names):
            raise DataError(
                f"Expected {len(names)} columns, in the order of the model in {self.path}, "
                f"which knows no names; got {table.num_columns}."
            )
        return list(range(len(names)))

    def rows(self, block, names, decimal):
        """Returns a `Block` of numbers as an array `[N, D]` of the model's dtype."""
        del decimal  # cells are numbers, not texts
        values = block.frame.to_numpy()
        with np.errstate(over="ignore"):
            rows = values.astype(self.dtype)
        if not np.isfinite(rows).all():
            row, column = np.argwhere(~np.isfinite(rows))[0]
            raise DataError(
                f"Expected numbers that {np.dtype(self.dtype).name} holds; got "
                f"{values[row, column]} in column {names[column]!r} in line "
                f"{block.frame.index[row]}."
            )
        return rows

    def no_conditions(self):
        """Returns one row without columns."""
        return np.zeros([1, 0], self.dtype)

    def score(self, rows, names, mark_unknown=False):
        """Returns nats, `[N]`, and which cells are outside the fitted range, `[N, D + C]`.

        The rows are modelled columns and context, `[N, D + C]`. `mark_unknown` has no
        effect, since all numbers are known.
        """
        del mark_unknown
        least, greatest = self._ranges(names)
        nats = in_parts(self.log_prob, rows, rows_a_call=_ROWS_A_CALL)
        return nats, (rows < least) | (rows > greatest)

    def log_prob(self, rows):
        """Returns nats `[N]` of rows `[N, D + C]`."""
        x, context = np.split(rows, [len(self.modelled)], axis=1)
        return self.distribution.log_prob(x, **self._given(context))

    def sample(self, seed, context):
        """Returns columns of texts: a draw for each context, and the context.

        `seed` is two integers; the context is `[N, 0]` for a model without one.
        """
        count = () if self.context else len(context)
        seed = np.array(seed, np.int32)
        drawn = self.distribution.sample(count, seed=seed, **self._given(context))
        return [as_cells(column) for column in np.concatenate([drawn, context], axis=1).T]

    def predicted_names(self, levels):
        """Returns the names of predicted columns."""
        return [f"{name} {level}" for name in self.modelled for level in levels]

    def predict(self, context, levels, settings, first_row):
        """Returns columns of texts: `quantiles` of each variable, given contexts.

        The settings have a `seed` and, for several variables, `draws` per row. The number
        of the first row is part of the seed.
        """
        found = quantiles(
            self.distribution,
            len(self.modelled),
            context,
            levels,
            num_draws=settings.draws,
            seed=settings.seed,
            first_row=first_row,
        )
        found = found.reshape(len(context), -1).astype(self.dtype)
        return [as_cells(column) for column in found.T]

    def _given(self, context):
        return {"context": context} if self.context else {}

    def _ranges(self, names):
        """Returns least and greatest training values, `[2, D]`; infinite if not saved."""
        known = {c["name"]: c for c in self._columns or () if isinstance(c, dict)}
        ends = [
            [known.get(name, {}).get(end) for name in names]
            for end in ("least", "greatest")
        ]
        unknown = [[-np.inf], [np.inf]]
        # Rounded to the dtype of the rows.
        return np.where(np.equal(ends, None), unknown, ends).astype(self.dtype)


def _names(columns, num_modelled, num_context):
    """Returns the names of modelled columns, and of the context."""
    if columns is None:
        columns = list(map(str, range(num_modelled + num_context)))
    if all(isinstance(column, dict) for column in columns):
        from_role = {"modelled": [], "context": [], "dropped": []}
        for column in columns:
            from_role[column.get("role", "modelled")].append(column["name"])
        return tuple(from_role["modelled"]), tuple(from_role["context"])
    return tuple(columns[:num_modelled]), tuple(columns[num_modelled:])


class FittedTable:
    """A saved `TableDensity`, with the methods of `FittedModel` on data frames.

    Attributes:
      modelled: names of the modelled columns.
      context: names of the columns of the context.
    """

    reads_text = True

    def __init__(self, path):
        self.path = path
        self._table = tfp_flows.TableDensity.load(path)
        self.modelled, self.context = tuple(self._table.names), tuple(self._table.context)

    def positions(self, table, names):
        """Returns the positions of columns in a `TextTable`, or raises `DataError`."""
        return positions_of(names, table, self.path)

    def rows(self, block, names, decimal):
        """Returns a `Block` of texts as a data frame of typed columns."""
        columns = {}
        for name, (_, texts) in zip(names, block.frame.items(), strict=True):
            wanted = _type(self._table.columns[name])
            try:
                columns[name] = typed(texts, wanted, decimal)
            except ValueError as error:
                cell, line = texts.iloc[error.args[0]], texts.index[error.args[0]]
                advice = spelling_advice([cell], decimal) if wanted == "number" else ""
                raise DataError(
                    f"Expected a {wanted} in column {name!r}; got {cell!r} in line {line}"
                    + (f" ({advice})." if advice else ".")
                ) from error
        return pd.DataFrame(columns, index=block.frame.index)

    def no_conditions(self):
        """Returns one row without columns."""
        return pd.DataFrame(index=[0])

    def score(self, rows, names, mark_unknown=False):
        """Returns nats, `[N]`, and which cells are unknown, `[N, D]`.

        An impossible row has minus infinity. With `mark_unknown`, a row with unknown cells
        has NaN; without, it is refused.
        """
        with (
            _with_lines(rows, " With --mark_unknown such rows get nan."),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore", UserWarning)  # the number of unknown cells
            nats = self._table.log_prob(rows, mark_unknown=mark_unknown)
            if not np.isnan(nats).any():
                return nats, np.zeros([len(rows), len(names)], bool)
            unknown = self._table.unknown_cells(rows)
        return nats, np.stack([unknown[name] for name in names], axis=1)

    def sample(self, seed, context):
        """Returns columns of texts: a draw for each row of a context, with that row.

        `seed` is two integers; the context is a data frame, which may have no columns.
        """
        # One integer from the pair.
        seed = int(np.random.SeedSequence(seed).generate_state(1)[0] >> 1)
        with _with_lines(context):
            given = {"context": context} if self.context else {"count": len(context)}
            drawn = self._table.sample(seed=seed, **given)
        if isinstance(drawn, np.ndarray) and drawn.dtype.names is None:
            drawn = dict(zip(self._table.columns.names, drawn.T, strict=True))
        names = (*self.modelled, *self.context)
        return [_texts(drawn[name], written=_all_digits) for name in names]

    def predicted_names(self, levels):
        """Returns the names of predicted columns."""
        if len(self.modelled) > 1:
            raise DataError(
                f"Expected a model of one column in {self.path}; got {self.modelled}: "
                "sample from their joint distribution instead."
            )
        (name,) = self.modelled
        column = self._table.columns[name]
        if column.kind in ("categorical", "boolean"):
            return [f"P({name} = {value})" for value in column.values]
        return [f"{name} {level}" for level in levels]

    def predict(self, context, levels, settings, first_row):
        """Returns columns of texts: quantiles, or probabilities of categories."""
        del first_row  # nothing is drawn
        advice = " With --clip_context, numbers are moved to the nearest that can."
        with _with_lines(context, advice, about="`clip_context`"):
            if settings.clip_context:
                context = self._table.clip_context(context)
            found = self._table.predict(context)
        if found.column.kind in ("categorical", "boolean"):
            return [_texts(column) for column in found.probabilities().T]
        quantiles = found.quantile(levels)
        return [_texts(column, written=_all_digits) for column in quantiles.T]


@contextlib.contextmanager
def _with_lines(rows, advice="", about=""):
    """Turns the library's errors on rows into a `DataError` with the lines of the rows.

    An error that contains `about` ends in the advice: clipping helps no unknown category.
    """
    try:
        yield
    except ValueError as error:
        lines = rows.index
        text = re.sub(r"in row (\d+)", lambda m: f"in line {lines[int(m[1])]}", str(error))
        raise DataError(f"{text}{advice if about in text else ''}") from error


_TYPE_NAMES = {np.datetime64: "date", bool: "boolean", str: "text"}


def _type(column):
    if column.kind == "date":
        return "date"
    value = column.values[0] if column.has_values else 0.0
    return next((name for t, name in _TYPE_NAMES.items() if isinstance(value, t)), "number")


def _all_digits(value):
    # Rounding could move values off spikes or beyond ends. Without ".0", integers of a
    # float column are written as integers.
    return repr(value).removesuffix(".0")


def _texts(values, written="{:.9g}".format):
    values = pd.Series(values)
    if values.dtype.kind == "M":
        # Dates in text have no zone, and are read as UTC.
        values = pd.to_datetime(values, utc=True).dt.tz_localize(None)
        if values.equals(values.dt.normalize()):
            values = values.dt.strftime("%Y-%m-%d")
    if values.dtype.kind == "f":
        return [written(float(value)) if value == value else "" for value in values]
    return ["" if pd.isna(value) else str(value) for value in values]


def positions_of(names, table, path):
    """Returns the positions of named columns in a `TextTable`.

    `path` is that of the model, for errors.
    """
    labels = [table.label(i) for i in range(table.num_columns)]
    missing = [name for name in names if name not in labels]
    if missing:
        raise DataError(
            f"Expected the columns of the model in {path}; got {labels}, which lack "
            f"{missing}."
        )
    return [labels.index(name) for name in names]
