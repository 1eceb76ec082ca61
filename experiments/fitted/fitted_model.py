"""A saved density estimator, and its columns in other tables."""

import pathlib

import keras
import numpy as np

import tfp_flows
from experiments.data import DataError
from experiments.runs.run_directory import RunDirectoryError

__all__ = ["FittedModel"]

_FILE = "model.keras"


class FittedModel:
    """A saved density estimator of rows of a table.

    Args:
      path: folder of a finished run, or a `.keras` file.

    Raises:
      RunDirectoryError: if there is no such model, or its rows are of no table.

    Attributes:
      distribution: what was fitted.
      modelled: names of its variables, or their positions as text.
      context: names of the columns that they are conditioned on, likewise.
    """

    def __init__(self, path):
        path = pathlib.Path(path)
        self.path = path / _FILE if path.is_dir() else path
        model = _load(self.path)
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
        labels = [table.label(i) for i in range(table.num_columns)]
        if self._columns is None:
            if len(labels) != len(names):
                raise DataError(
                    f"Expected {len(names)} columns, in the order of the model in "
                    f"{self.path}, which knows no names; got {labels}."
                )
            return list(range(len(names)))
        missing = [name for name in names if name not in labels]
        if missing:
            raise DataError(
                f"Expected the columns of the model in {self.path}; got {labels}, which "
                f"lack {missing}."
            )
        return [labels.index(name) for name in names]

    def log_prob(self, rows):
        """Returns nats `[N]` of rows `[N, D + C]`: what is modelled, and its context."""
        x, context = np.split(rows, [len(self.modelled)], axis=1)
        return self.distribution.log_prob(x, **self._given(context))

    def sample(self, seed, context):
        """Returns a draw, `[N, D]`, for each of the contexts `[N, C]`.

        Args:
          seed: two integers.
          context: `[N, 0]` of a model without one.
        """
        count = () if self.context else len(context)
        seed = np.array(seed, np.int32)
        drawn = self.distribution.sample(count, seed=seed, **self._given(context))
        return drawn.numpy()

    def quantiles(self, levels, context, *, draws, seed):
        """Returns quantiles of each variable, `[N, D, L]`, given contexts `[N, C]`.

        They are exact where there is one variable, and of draws where there are several.

        Args:
          levels: L numbers between 0 and 1.
          context: `[N, C]`.
          draws: for each row, where there are several variables.
          seed: two integers, of the draws.
        """
        if len(self.modelled) == 1:
            shape = (len(levels), len(context))
            p = np.broadcast_to(np.array(levels, self.dtype)[:, None], shape)
            return np.transpose(self.distribution.quantile(p, context=context), (1, 2, 0))
        repeated = np.repeat(context, draws, axis=0)
        drawn = self.sample(seed, repeated).reshape(len(context), draws, -1)
        return np.moveaxis(np.quantile(drawn, levels, axis=1), 0, -1)

    def _given(self, context):
        return {"context": context} if self.context else {}

    def ranges(self, names):
        """Returns the least and the greatest number of columns that were fitted, `[2, D]`.

        Infinite where that was not noted.
        """
        known = {c["name"]: c for c in self._columns or () if isinstance(c, dict)}
        ends = [("least", -np.inf), ("greatest", np.inf)]
        found = [[known.get(name, {}).get(e) for name in names] for e, _ in ends]
        return np.array(
            [
                [unknown if value is None else value for value in values]
                for values, (_, unknown) in zip(found, ends, strict=True)
            ],
            self.dtype,  # as the rows, which rounding moves likewise
        )

    def rows(self, frame, names):
        """Returns columns of a data frame as an array `[N, D]` of the model's dtype.

        Raises:
          DataError: if a number is beyond that dtype.
        """
        values = frame.to_numpy()[:, : len(names)]
        with np.errstate(over="ignore"):
            rows = values.astype(self.dtype)
        if not np.isfinite(rows).all():
            row, column = np.argwhere(~np.isfinite(rows))[0]
            raise DataError(
                f"Expected numbers that {np.dtype(self.dtype).name} holds; got "
                f"{values[row, column]} in column {names[column]!r}."
            )
        return rows


def _load(path):
    if not path.is_file():
        raise RunDirectoryError(
            f"Expected the folder of a finished run, or a saved model; got {path}."
        )
    try:
        model = keras.saving.load_model(path, compile=False)
    except (OSError, ValueError) as error:
        raise RunDirectoryError(
            f"Expected a saved model in {path}; got: {error}"
        ) from error
    if not isinstance(model, tfp_flows.DensityEstimator):
        raise RunDirectoryError(
            f"Expected a saved DensityEstimator in {path}; got a {type(model).__name__}."
        )
    return model


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
