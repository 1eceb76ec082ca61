"""The density of a table: rows with columns of any kind, in the user's units and names."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.core.arguments import check_instance
from tfp_flows.core.arguments import check_integer
from tfp_flows.distributions import draws
from tfp_flows.tables.codec import RowCodec
from tfp_flows.tables.codec import TableCodec
from tfp_flows.tables.columns import TableColumns
from tfp_flows.tables.distribution import TableDistribution
from tfp_flows.tables.frames import Form
from tfp_flows.tables.frames import Frame
from tfp_flows.tables.networks import check_sizes
from tfp_flows.tables.prediction import Prediction
from tfp_flows.tables.prediction import predict
from tfp_flows.tables.training import FitOptions
from tfp_flows.tables.training import fit_rows
from tfp_flows.training.density_estimator import DensityEstimator
from tfp_flows.training.loading import load

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
    values that cannot occur it is zero; a context with such values is refused. Rows come
    back in the form of a frame that came: its index, order of columns and dtypes.

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
            `validation_split`, `validation_frame`; `verbose`, by default a line of progress
            on the standard error where the fit takes seconds; and `backup`, a file from
            which an interrupted fit goes on.

        Returns:
          The history of Keras's `fit`: `loss` and `val_loss`, nats a row.

        Raises:
          ValueError: if cells are missing (with `missing="refuse"`), or cannot occur; or
            `backup` is of another fit.
        """
        fit_options = FitOptions(**options)
        read = Frame(frame)
        self._form = read.form
        rows = TableDistribution(
            **self._codec.measure(read), **self._options, description=self._description()
        )
        data, held = self._codec.training_cells(read), fit_options.validation_frame
        validation = None if held is None else self._codec.training_cells(Frame(held))
        self._model = DensityEstimator(rows)
        return fit_rows(rows, data, validation, fit_options, self._options["seed"])

    @property
    def names(self) -> list[str]:
        """Names of the modelled columns."""
        return self._codec.names

    @property
    def distribution(self) -> TableDistribution:
        """The distribution of the rows' cells; there is none before `fit`."""
        return self._fitted.distribution

    def encode(self, frame: Any) -> tuple[np.ndarray, np.ndarray]:
        """Returns cells of rows, as `distribution` and what `export` writes have them.

        Codes and numbers, `[N, K + D]`, and cells of the context, `[N, C]`; C may be 0.
        """
        read = Frame(frame)
        context = self._codec.context_of(read).get("context", np.zeros([len(read), 0]))
        return self._codec.rows.encode(read)[0], context

    def log_prob(self, frame: Any, *, mark_unknown: bool = False) -> np.ndarray:
        """Returns log-densities of rows, `[N]` nats; -inf of rows that cannot occur.

        Args:
          frame: with all columns.
          mark_unknown: whether rows with `unknown_cells` get NaN, with one warning that
            counts them, in place of an error.

        Raises:
          ValueError: if columns are missing; and, unless `mark_unknown`, if cells are
            missing that are not modelled, categories are unknown, or cells of the context
            are outside their support.
        """
        read = Frame(frame)
        if not mark_unknown:
            x, is_possible = self._codec.rows.encode(read)
            log_prob = self.distribution.log_prob(x, **self._codec.context_of(read))
            return np.where(is_possible.all(axis=1), log_prob.numpy(), -np.inf)
        cells, is_possible, unknown = self._codec.marked(read)
        log_prob = self.distribution.log_prob(**cells).numpy()
        is_unknown = np.any(list(unknown.values()), axis=0)
        if is_unknown.any():
            counts = {name: int(n.sum()) for name, n in unknown.items() if n.any()}
            warnings.warn(
                f"{is_unknown.sum()} of {len(read)} rows have unknown cells, and NaN for a "
                f"log-density. Unknown cells by column: {counts}.",
                stacklevel=2,
            )
        return np.where(is_unknown, np.nan, np.where(is_possible, log_prob, -np.inf))

    def unknown_cells(self, frame: Any) -> dict[str, np.ndarray]:
        """Returns which cells make `log_prob` refuse a row, booleans `[N]`, by column.

        Categories that are none of the column's values; missing cells that are not
        modelled; and cells of the context that are outside the support of their column.
        """
        return self._codec.marked(Frame(frame))[2]

    def clip_context(self, frame: Any) -> Any:
        """Moves numbers of the context that are outside of their support to its inside.

        Other methods refuse them. A number goes to the nearest one that can occur, an angle
        to the same one between `low` and `high`. A warning tells how many have moved.

        Args:
          frame: with the columns of the context.

        Returns:
          The rows in the form of `frame`; missing cells and unknown categories stay.

        >>> import numpy as np
        >>> import tfp_flows
        >>> frame = {"age": np.linspace(20.0, 60.0, 50), "size": np.linspace(-1.0, 2.0, 50)}
        >>> columns = tfp_flows.describe_columns(frame)
        >>> table = tfp_flows.TableDensity(columns, context=["age"], num_members=1, seed=0)
        >>> history = table.fit(frame, epochs=1)
        >>> rows = table.clip_context({"age": np.array([-1.0, 30.0])})
        >>> bool(rows["age"][0] > 0.0), len(table.predict(rows))
        (True, 2)
        """
        read = Frame(frame, "context")
        maps = self.distribution.context_cells.maps
        columns, where = self._codec.contexts.clipped(read, maps)
        counts = {name: int(moved.sum()) for name, moved in where.items() if moved.any()}
        if counts:
            warnings.warn(
                "Numbers of `context` outside the support of their column were moved to "
                f"the nearest inside; how many, by column: {counts}.",
                stacklevel=2,
            )
        return read.replaced(columns, where)

    def sample(
        self, count: int | None = None, seed: int | None = None, *, context: Any = None
    ) -> Any:
        """Draws rows, in the form of the frame that it was fitted to.

        Args:
          count: number of rows, where there is no context.
          seed: integer that determines the draws; random if None.
          context: a frame with its columns, where there is one, a row for each draw; the
            draws have its index.
        """
        if not self.context:
            count = check_integer("count", count, minimum=0)
            x = self.distribution.sample(count, seed=seed).numpy()
            return self._form.written(self._codec.rows.decode(x))
        if context is None or count is not None:
            raise ValueError(
                f"Expected `context`, a frame of {self.context} with a row for each draw, "
                f"and no `count`; got {context!r} and {count}."
            )
        read = Frame(context, "context")
        x = self.distribution.sample(seed=seed, **self._codec.context_of(read)).numpy()
        given = read.take_as_given(self.context, "context")
        columns = {**given, **self._codec.rows.decode(x)}
        columns = {name: columns[name] for name in self.columns.names}
        return self._form.written(columns, self.context, read.index)

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
          A copy of `frame` with other cells where modelled columns had missing ones; all
          else is as it came, index, order of columns and dtypes as well.

        Raises:
          ValueError: if a row to be completed has cells that cannot occur, or a category or
            the context is one that `log_prob` refuses.
        """
        check_integer("num_candidates", num_candidates)
        read, codec = Frame(frame), self._codec.rows
        rows, context = codec.read(read), self._codec.context_of(read)
        codec.refuse_unknown(read, rows)
        is_incomplete = rows.is_missing.any(axis=1, keepdims=True)
        is_wrong = is_incomplete & ~rows.is_possible & ~rows.is_missing
        what = "`frame` whose rows with missing cells can occur"
        codec.refuse_cells(read, is_wrong, what)
        arguments = rows.is_missing, draws.stateless(seed), num_candidates
        x = complete_rows(self.distribution, codec, rows.x, *arguments, **context)
        where = dict(zip(codec.names, rows.is_missing.T, strict=True))
        columns = read.take(self.columns.names) | codec.decode(x)
        nowhere = np.zeros(len(read), bool)
        where = {name: where.get(name, nowhere) for name in columns}
        return read.replaced(columns, where)

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
        return {**described, "form": self._form.to_plain(), **self._options}


_MOST_ROWS = 2**16  # completed at once


def complete_rows(
    rows: TableDistribution,
    codec: RowCodec,
    x: np.ndarray,
    is_missing: np.ndarray,
    seed: tf.Tensor,
    num_candidates: int,
    *,
    context: tf.Tensor | None = None,
) -> np.ndarray:
    """Draws the missing cells of rows given the others, `[N, K + D]`.

    Args:
      rows: the distribution.
      codec: of its cells.
      x: `[N, K + D]`.
      is_missing: which columns of the rows are missing, `[N, columns]`.
      seed: stateless seed.
      num_candidates: completions of a row of which one is chosen, where that is not exact.
      context: `[N, C]`, if there is one.
    """
    completed = np.array(x)
    incomplete = np.flatnonzero(is_missing.any(axis=1))
    observed = np.ones(x.shape, bool)
    for column, name in enumerate(codec.names):
        observed[:, codec.cells_of_column(name)] = ~is_missing[:, [column]]
    absent = _codes_of_missing(codec, x.shape[1])
    needs_choice = (absent >= 0).any() or not _is_exact(rows, observed[incomplete])
    count = num_candidates if needs_choice else 1
    size = max(_MOST_ROWS // count, 1)
    for part, first in enumerate(range(0, len(incomplete), size)):
        index = incomplete[first : first + size]
        given = [] if context is None else [tf.gather(context, index)]
        part_seed = draws.fold_in(seed, part)
        arguments = (x[index], observed[index], absent, count, part_seed)
        completed[index] = _chosen(rows, *arguments, *given)
    return completed


def _chosen(rows, x, observed, absent, count, seed, *context):
    draw_seed, choice_seed = draws.split(seed, 2)
    repeated = (tf.repeat(tf.constant(t), count, axis=0) for t in (x, observed))
    given = [tf.repeat(c, count, axis=0) for c in context]
    candidates, weights = rows.draws.complete(*repeated, draw_seed, *given)
    # A cell that is imputed is not missing again.
    is_absent = (candidates == absent) & ~tf.repeat(observed, count, axis=0)
    weights = tf.where(tf.reduce_any(is_absent, axis=1), -1e9, weights)
    candidates = tf.reshape(candidates, [len(x), count, -1])
    return draws.choose(candidates, tf.reshape(weights, [-1, count]), choice_seed).numpy()


def _is_exact(rows, observed):
    """Whether draws are from the conditional: all missing cells come last.

    Under several members, observed codes before missing ones tell of the member.
    """
    rises = (~observed[:, 1:] >= ~observed[:, :-1]).all()
    codes = observed[:, : rows.cells.num_codes]
    is_split = codes.any(axis=1) & ~codes.all(axis=1)
    return rises and (rows.num_members == 1 or not is_split.any())


def _codes_of_missing(codec, size):
    """The code of each cell that says that it is missing, `[K + D]`; -1 if none does."""
    codes = np.full(size, -1.0)
    for name in codec.names:
        cells, own = codec.cells_of_column(name), codec.codec(name)
        if own.has_missing and cells:
            codes[cells[0]] = own.num_codes - 1
    return codes


def read_table(path: str | os.PathLike) -> tuple[DensityEstimator, dict[str, Any]]:
    """Returns the model of a file, and the arguments of the table that it was saved by.

    Raises:
      ValueError: if the file holds something else.
    """
    model = load(path)
    rows = getattr(model, "distribution", None)
    description: Any = (
        rows.parameters["description"] if isinstance(rows, TableDistribution) else {}
    )
    try:
        columns = TableColumns.from_plain(description["columns"])
    except (TypeError, KeyError) as error:
        raise ValueError(f"Expected the file of a `TableDensity`; got {path}.") from error
    return model, {**description, "columns": columns}


def model_state(model: DensityEstimator | None) -> tuple | None:
    """Returns configuration and weights of a table's model, as plain values and arrays."""
    if model is None:
        return None
    rows: Any = model.distribution
    return rows.get_config(), [variable.numpy() for variable in rows.variables]


def model_of_state(state: tuple | None) -> DensityEstimator | None:
    """Rebuilds what `model_state` has described, with weights of its own."""
    if state is None:
        return None
    config, values = state
    rows: Any = TableDistribution.from_config(config)
    for variable, value in zip(rows.variables, values, strict=True):
        variable.assign(value)
    return DensityEstimator(rows)
