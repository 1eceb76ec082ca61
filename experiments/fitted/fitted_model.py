"""A saved density estimator, and its columns in other tables."""

import numpy as np

from experiments.data import DataError
from experiments.fitted.columns_by_name import positions_of
from experiments.fitted.row_tables import as_cells
from experiments.fitted.row_tables import in_parts
from experiments.runs.run_directory import RunDirectoryError

__all__ = ["FittedModel"]

_ROWS_A_CALL = 1 << 14


class FittedModel:
    """A saved density estimator of rows of a table.

    Args:
      path: of the `.keras` file.
      model: the `DensityEstimator` of that file.

    Raises:
      RunDirectoryError: if its rows are of no table.

    Attributes:
      distribution: what was fitted.
      modelled: names of its variables, or their positions as text.
      context: names of the columns that they are conditioned on, likewise.
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

        Args:
          table: a `TextTable`; where the model was fitted to arrays without names, it must
            hold these columns, in this order, and no others.
          names: some of `modelled` and `context`.

        Raises:
          DataError: if it lacks some.
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
        """Returns a `Block` of numbers as an array `[N, D]` of the model's dtype.

        Raises:
          DataError: if a number is beyond that dtype.
        """
        del decimal  # of texts only
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
        """Returns nats, `[N]`, and which cells are beyond those that were fitted, `[N, D]`.

        Args:
          rows: `[N, D + C]`: what is modelled, and its context.
          names: of these columns.
          mark_unknown: of no effect: all numbers are known.
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
        """Returns columns of texts: a draw for each of the contexts `[N, C]`, and that.

        Args:
          seed: two integers.
          context: `[N, 0]` of a model without one.
        """
        drawn = np.concatenate([self._draws(seed, context), context], axis=1)
        return [as_cells(column) for column in drawn.T]

    def predictions(self, levels, settings):
        """Returns what is predicted for a row: names of columns, and how many draws."""
        names = [f"{name} {level}" for name in self.modelled for level in levels]
        is_exact = len(self.modelled) == 1
        return names, len(levels) if is_exact else settings.draws * len(self.modelled)

    def predict(self, context, levels, settings, first_row):
        """Returns columns of texts: quantiles of each variable, given contexts `[N, C]`.

        They are exact where there is one variable, and of draws where there are several.

        Args:
          context: `[N, C]`.
          levels: L numbers between 0 and 1.
          settings: `seed` and `draws`, for each row, where there are several variables.
          first_row: number of the first row, which the draws depend on.
        """
        if len(self.modelled) == 1:
            p = np.broadcast_to(
                np.array(levels, self.dtype)[:, None], (len(levels), len(context))
            )
            found = self.distribution.quantile(p, context=context)[..., 0].numpy()
        else:
            repeated = np.repeat(context, settings.draws, axis=0)
            seed = (settings.seed, first_row % 2**31)
            drawn = self._draws(seed, repeated).reshape(len(context), settings.draws, -1)
            found = np.moveaxis(np.quantile(drawn, levels, axis=1), 0, -1)
            found = found.reshape(len(context), -1).T.astype(self.dtype)
        return [as_cells(column) for column in found]

    def _draws(self, seed, context):
        count = () if self.context else len(context)
        seed = np.array(seed, np.int32)
        return self.distribution.sample(count, seed=seed, **self._given(context)).numpy()

    def _given(self, context):
        return {"context": context} if self.context else {}

    def _ranges(self, names):
        """Returns the least and the greatest number of columns that were fitted, `[2, D]`.

        Infinite where that was not noted.
        """
        known = {c["name"]: c for c in self._columns or () if isinstance(c, dict)}
        ends = [
            [known.get(name, {}).get(end) for name in names]
            for end in ("least", "greatest")
        ]
        unknown = [[-np.inf], [np.inf]]
        # Of the rows' dtype, which rounds both alike.
        return np.where(np.equal(ends, None), unknown, ends).astype(self.dtype)


def _names(columns, num_modelled, num_context):
    """Returns the names of what is modelled, and of the context."""
    if columns is None:
        columns = list(map(str, range(num_modelled + num_context)))
    if all(isinstance(column, dict) for column in columns):
        of_role = {"modelled": [], "context": [], "dropped": []}
        for column in columns:
            of_role[column.get("role", "modelled")].append(column["name"])
        return tuple(of_role["modelled"]), tuple(of_role["context"])
    return tuple(columns[:num_modelled]), tuple(columns[num_modelled:])
