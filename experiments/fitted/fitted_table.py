"""A saved density of a table with columns of any kind, and its columns in other tables."""

import contextlib
import re
import warnings

import numpy as np
import pandas as pd

import tfp_flows
from experiments.data import DataError
from experiments.data.cells import spelling_advice
from experiments.data.typed_cells import typed
from experiments.fitted.columns_by_name import positions_of

__all__ = ["FittedTable"]

_TYPES = {"date": "date", "boolean": "boolean"}


class FittedTable:
    """A saved `TableDensity`; as a `FittedModel`, with data frames for rows.

    Args:
      path: of the `.keras` file.

    Attributes:
      modelled: names of the modelled columns.
      context: names of the columns that are given.
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
        """Returns typed columns of a `Block` of texts as a data frame, by its lines.

        Raises:
          DataError: if a cell is of another type than the column's.
        """
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

        What cannot occur has minus infinity.

        Args:
          rows: data frame.
          names: of its columns.
          mark_unknown: whether rows with unknown cells have NaN, and raise nothing.
        """
        with (
            _told(rows, " With --mark_unknown such rows get nan."),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore", UserWarning)  # which counts unknown cells
            nats = self._table.log_prob(rows, mark_unknown=mark_unknown)
            if not np.isnan(nats).any():
                return nats, np.zeros([len(rows), len(names)], bool)
            unknown = self._table.unknown_cells(rows)
        return nats, np.stack([unknown[name] for name in names], axis=1)

    def sample(self, seed, context):
        """Returns columns of texts: a draw for each row of a context, with that row.

        Args:
          seed: two integers.
          context: data frame; without columns if there is no context.
        """
        # An integer for each pair, as good as any other.
        seed = int(np.random.SeedSequence(seed).generate_state(1)[0] >> 1)
        with _told(context):
            given = {"context": context} if self.context else {"count": len(context)}
            drawn = self._table.sample(seed=seed, **given)
        if isinstance(drawn, np.ndarray) and drawn.dtype.names is None:
            drawn = dict(zip(self._table.columns.names, drawn.T, strict=True))
        # All digits: those of values and spikes, and of what is next to an end, count.
        names = (*self.modelled, *self.context)
        return [_texts(drawn[name], written=_all_digits) for name in names]

    def predictions(self, levels, settings):
        """Returns what is predicted for a row: names of columns, and how many draws."""
        if len(self.modelled) > 1:
            raise DataError(
                f"Expected a model of one column in {self.path}; got {self.modelled}: "
                "sample from their joint distribution instead."
            )
        (name,) = self.modelled
        column = self._table.columns[name]
        if column.kind in ("categorical", "boolean"):
            return [f"P({name} = {value})" for value in column.values], 1
        return [f"{name} {level}" for level in levels], 1

    def predict(self, context, levels, settings, first_row):
        """Returns columns of texts: quantiles, or probabilities of categories."""
        del first_row  # nothing is drawn
        with _told(
            context, " With --clip_context, numbers are moved to the nearest that can."
        ):
            if settings.clip_context:
                context = self._table.clip_context(context)
            found = self._table.predict(context)
        if found.column.kind in ("categorical", "boolean"):
            return [_texts(column) for column in found.probabilities().T]
        return [_texts(column) for column in found.quantile(levels).T]


@contextlib.contextmanager
def _told(rows, advice=""):
    """Turns what the library refuses of rows into a `DataError` that names their lines."""
    try:
        yield
    except ValueError as error:
        lines = rows.index
        text = re.sub(r"in row (\d+)", lambda m: f"in line {lines[int(m[1])]}", str(error))
        raise DataError(f"{text}{advice}") from error


def _type(column):
    if column.kind in _TYPES and not _has_numbers(column):
        return _TYPES[column.kind]
    if column.has_values and any(isinstance(value, str) for value in column.values):
        return "text"
    return "number"


def _has_numbers(column):
    return any(not isinstance(value, bool) for value in column.values)


def _all_digits(value):
    # As "{:.9g}", which writes no ".0" either: a whole number stays one in the table.
    return repr(value).removesuffix(".0")


def _texts(values, written="{:.9g}".format):
    values = pd.Series(values)
    if (
        values.dtype.kind == "M"
        and (values.dropna().dt.normalize() == values.dropna()).all()
    ):
        values = values.dt.strftime("%Y-%m-%d")
    if values.dtype.kind == "f":
        return [written(float(value)) if value == value else "" for value in values]
    return ["" if pd.isna(value) else str(value) for value in values]
