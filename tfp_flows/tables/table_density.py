"""The density of a table: rows with columns of any kind, in the user's units and names."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tfp_flows.core.arguments import check_instance
from tfp_flows.core.arguments import check_integer
from tfp_flows.distributions import draws
from tfp_flows.models.density_estimator import DensityEstimator
from tfp_flows.tables.completion import complete_rows
from tfp_flows.tables.fitting import FitOptions
from tfp_flows.tables.fitting import fit_rows
from tfp_flows.tables.frames import Form
from tfp_flows.tables.frames import Frame
from tfp_flows.tables.mixed_rows import MixedRows
from tfp_flows.tables.prediction import Prediction
from tfp_flows.tables.prediction import predict
from tfp_flows.tables.row_networks import check_sizes
from tfp_flows.tables.table_codec import TableCodec
from tfp_flows.tables.table_columns import TableColumns
from tfp_flows.tables.table_file import model_of_state
from tfp_flows.tables.table_file import model_state
from tfp_flows.tables.table_file import read_table

__all__ = ["TableDensity"]


class TableDensity:
    """A distribution over the rows of a table, or over some columns given the others.

    ```none
    p(row | context) = P(categories | context)
        * product over j of  p(number_j | categories, numbers before, context)
    ```

    Categories, booleans, spikes and missing cells are codes of `CategoricalMADE`s. Numbers
    have neural splines, on the map of their kind: a logarithm, a logit, an asinh, a circle;
    integers and ordered values have the exact probability of their bin. A density is with
    respect to the lengths of the numbers (of dates, days), times a count of all else. Of
    values that cannot occur it is zero.

    >>> import numpy as np
    >>> import tfp_flows
    >>> rng = np.random.default_rng(0)
    >>> kind = rng.choice(["a", "b"], 200)
    >>> size = np.exp(rng.normal(size=200) + (kind == "b"))
    >>> frame = {"kind": kind, "size": size}
    >>> columns = tfp_flows.describe_columns(frame)
    >>> table = tfp_flows.TableDensity(columns, num_members=2, seed=0)
    >>> history = table.fit(frame, epochs=2)
    >>> sorted(table.sample(5, seed=1))
    ['kind', 'size']
    >>> table.log_prob({"kind": ["a"], "size": [-1.0]})
    array([-inf])

    Args:
      columns: as `describe_columns` returns them, perhaps changed.
      context: names of columns that are given: the density is one of the others.
      missing: "refuse" missing cells, or model them by an "indicator": a category.
      num_members: number of networks whose densities are averaged.
      num_bins: bins of each spline.
      hidden_units: widths of the hidden layers of each network, all equal.
      dropout: share of the hidden units that a step of training drops.
      seed: integer that determines weights and the order of rows; random if None.

    Raises:
      ValueError: if `columns` are no `TableColumns`, have a kind without a distribution, or
        none but the context; or an argument is out of its range.
    """

    def __init__(
        self,
        columns: TableColumns,
        *,
        context: Sequence[str] = (),
        missing: str = "refuse",
        num_members: int = 5,
        num_bins: int = 8,
        hidden_units: Sequence[int] = (64, 64),
        dropout: float = 0.2,
        seed: int | None = None,
    ) -> None:
        check_instance("columns", columns, TableColumns, "what describe_columns returns")
        self.columns = TableColumns.from_plain(columns.to_plain())
        self.context = [context] if isinstance(context, str) else list(context)
        self.missing = missing
        self._options: dict[str, Any] = {
            "num_members": num_members,
            "num_bins": num_bins,
            "hidden_units": hidden_units,
            "dropout": dropout,
            "seed": seed,
        }
        check_sizes(**self._options)
        self._codec = TableCodec(self.columns, self.context, missing)
        self._model: DensityEstimator | None = None

    def fit(self, frame: Any, **options: Any) -> keras.callbacks.History:
        """Fits it to rows, from its initial weights.

        Args:
          frame: with all columns.
          **options: of `FitOptions`: `epochs`, `batch_size`, `learning_rate`, `patience`,
            `validation_split`, `validation_frame`, `verbose`.

        Returns:
          The history of Keras's `fit`: `loss` and `val_loss`, nats a row.

        Raises:
          ValueError: if cells are missing (with `missing="refuse"`), or cannot occur.
        """
        fit_options = FitOptions(**options)
        read = Frame(frame)
        self._form = read.form
        rows = MixedRows(
            **self._codec.measure(read), **self._options, description=self._description()
        )
        data = self._codec.training_cells(read, rows.can_occur)
        held, cells = fit_options.validation_frame, self._codec.training_cells
        validation = None if held is None else cells(Frame(held), rows.can_occur)
        self._model = DensityEstimator(rows)
        return fit_rows(rows, data, validation, fit_options, self._options["seed"])

    @property
    def names(self) -> list[str]:
        """Names of the modelled columns."""
        return self._codec.names

    @property
    def distribution(self) -> MixedRows:
        """The distribution of the rows' cells; there is none before `fit`."""
        return self._fitted.distribution

    def encode(self, frame: Any) -> tuple[np.ndarray, np.ndarray]:
        """Returns cells of rows, as `distribution` and what `export` writes have them.

        Codes and numbers, `[N, K + D]`, and cells of the context, `[N, C]`; C may be 0.
        """
        read = Frame(frame)
        return self._codec.rows.encode(read)[0], self._codec.contexts.encode(read)[0]

    def log_prob(self, frame: Any) -> np.ndarray:
        """Returns log-densities of rows, `[N]` nats; -inf of rows that cannot occur.

        Raises:
          ValueError: if columns or cells are missing, or categories unknown.
        """
        read = Frame(frame)
        x, possible = self._codec.rows.encode(read)
        log_prob = self.distribution.log_prob(x, **self._codec.context_of(read)).numpy()
        return np.where(possible, log_prob, -np.inf)

    def sample(
        self, count: int | None = None, seed: int | None = None, *, context: Any = None
    ) -> Any:
        """Draws rows, in the form of the frame that it was fitted to.

        Args:
          count: number of rows, where there is no context.
          seed: integer that determines the draws; random if None.
          context: a frame with its columns, where there is one, a row for each draw.
        """
        if not self.context:
            count = check_integer("count", count, minimum=0)
            x = self.distribution.sample(count, seed=seed).numpy()
            return self._form.written(self._codec.rows.decode(x), self.columns.values)
        if context is None or count is not None:
            raise ValueError(
                f"Expected `context`, a frame of {self.context} with a row for each draw, "
                f"and no `count`; got {context!r} and {count}."
            )
        read = Frame(context, "context")
        x = self.distribution.sample(seed=seed, **self._codec.context_of(read)).numpy()
        columns = {**read.take(self.context, "context"), **self._codec.rows.decode(x)}
        columns = {name: columns[name] for name in self.columns.names}
        return self._form.written(columns, self.columns.values)

    def impute(
        self, frame: Any, seed: int | None = None, *, num_candidates: int = 512
    ) -> Any:
        """Draws missing cells of rows, given the others of their rows.

        Exact where missing cells come after all others (categories first, then numbers, in
        the table's order), and no missing cells are modelled. Elsewhere one of
        `num_candidates` completions is chosen by how probable it makes the observed cells
        after missing ones: the conditional in the limit of many, with an error that falls
        as one over their number.

        Args:
          frame: with all columns; those of the context are not imputed.
          seed: integer that determines the draws; random if None.
          num_candidates: number of completions to choose from.

        Returns:
          The rows without missing cells, in the form of `frame`.
        """
        check_integer("num_candidates", num_candidates)
        read = Frame(frame)
        x, _ = self._codec.rows.encode(read, to_impute=True)
        columns = read.take(self.columns.names)
        context = self._codec.context_of(read)
        arguments = self._codec.rows.missing(read), draws.stateless(seed), num_candidates
        rows = self._codec.rows
        completed = complete_rows(self.distribution, rows, x, *arguments, **context)
        columns |= self._codec.rows.decode(completed)
        return read.form.written(columns, self.columns.values)

    def predict(self, frame: Any) -> Prediction:
        """Returns the distributions of the one modelled column, given rows of its context.

        Raises:
          ValueError: if several columns are modelled.
        """
        codec, read = self._codec.rows.only_codec, Frame(frame)
        return predict(self.distribution, codec, len(read), **self._codec.context_of(read))

    def save(self, path: str | os.PathLike) -> None:
        """Writes a `.keras` file, which `load` reads."""
        self._fitted.save(path)

    @classmethod
    def load(cls, path: str | os.PathLike) -> TableDensity:
        """Reads what `save` has written, without running code of the file.

        Raises:
          ValueError: if the file holds something else.
        """
        model, description = read_table(path)
        try:
            form = Form.from_plain(description.pop("form"))
            table = cls(**description)
        except (TypeError, KeyError) as error:
            raise ValueError(
                f"Expected the file of a `TableDensity`; got {path}: {error}"
            ) from error
        table._model, table._form = model, form
        return table

    def __getstate__(self) -> dict:
        return {**vars(self), "_model": model_state(self._model)}

    def __setstate__(self, state: dict) -> None:
        vars(self).update({**state, "_model": model_of_state(state["_model"])})

    @property
    def _fitted(self):
        if self._model is None:
            raise ValueError("Expected a fitted `TableDensity`; call `fit` first.")
        return self._model

    def _description(self):
        columns = self.columns.to_plain()
        described = {"columns": columns, "context": self.context, "missing": self.missing}
        return {**described, "form": list(self._form), **self._options}
