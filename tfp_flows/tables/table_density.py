"""The density of a table: rows with columns of any kind, in the user's units and names."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import (
    check_array,
    check_choice,
    check_flag,
    check_instance,
    check_integer,
    check_seed,
    require,
)
from tfp_flows.core.rows import rows_by_weight, rows_of_positive_weight, take_rows
from tfp_flows.distributions import draws
from tfp_flows.tables.cells import is_missing
from tfp_flows.tables.columns import TableColumns
from tfp_flows.tables.distribution import TableDistribution
from tfp_flows.tables.frames import Form, Frame
from tfp_flows.tables.networks import (
    NetworkSizes,
    choose_code_units,
    choose_common,
    choose_fine_knots,
)
from tfp_flows.tables.prediction.conformal import (
    calibration_rows,
    calibration_scores,
    conformal_distance,
)
from tfp_flows.tables.prediction.imputation import imputed
from tfp_flows.tables.prediction.prediction import Prediction, predict
from tfp_flows.tables.synthesis.report import SynthesisReport, synthesis_report
from tfp_flows.tables.synthesis.row_features import are_copies, row_features
from tfp_flows.tables.table_codecs import TableCodecs
from tfp_flows.tables.training import FitOptions, fit_distribution
from tfp_flows.training.density_estimator import DensityEstimator
from tfp_flows.training.loading import load
from tfp_flows.training.row_format import Rows

# Bounds of the tails (`NumberConditionals`): with 7, the table magic had a draw of 1e211.
_TAIL_BOUNDS = 1.6, 0.7
_MOST_ATTEMPTS = 100  # draws of a row that must not equal an excluded one
_SCORES = "calibration_scores"  # sorted scores of calibration rows, in saved descriptions


class TableDensity:
    """A distribution over the rows of a table, or over some columns given the others.

    ```none
    p(row | context) = P(categories | context)
        * product over j of  p(number_j | categories, numbers before, context)
    ```

    Categories, booleans, spikes and missing cells are codes of `CategoricalMADE`s. Numbers
    have neural splines, after a map that depends on the kind of their column: a logarithm,
    a logit, an asinh, a circle. Integers and ordered values have the exact probability of
    their bin.

    Densities are per unit of each number (per day of dates), times a probability of all
    other cells. Values that cannot occur have density zero; a context with such values is
    refused. Rows are returned in the form of the frame that was given: with its index,
    order of columns and dtypes. Dates without a time zone are in UTC if others have one.

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
    >>> table.impute({"kind": ["a"], "size": [np.nan]}, seed=0)["size"] > 0.0
    array([ True])

    Args:
      columns: the result of `describe_columns`, perhaps changed.
      context: names of columns; the density of the others is conditional on these.
      missing: "refuse" refuses missing cells; "indicator" models them, as a category, in
        columns in which `columns` has counted some.
      num_members: number of networks whose densities are averaged. If this or one of the
        next three is None, `NetworkSizes` chooses it by the numbers of rows and columns.
      num_bins: bins of each spline.
      hidden_units: widths of the hidden layers of each network, all equal.
      dropout: share of the hidden units that a step of training drops, in [0, 1).
      seed: integer that determines initial weights and the order of rows; random if None.

    Raises:
      ValueError: if `columns` is not a `TableColumns`, or has a kind without a
        distribution; if no column that varies is modelled; if `context` has an unknown
        name; or if another argument is out of its range.
    """

    def __init__(
        self,
        columns: TableColumns,
        *,
        context: Sequence[str] = (),
        missing: str = "refuse",
        num_members: int | None = None,
        num_bins: int | None = None,
        hidden_units: Sequence[int] | None = None,
        dropout: float | None = None,
        seed: int | None = None,
    ) -> None:
        check_instance("columns", columns, TableColumns, "what describe_columns returns")
        check_seed("seed", seed)
        check_choice("missing", missing, ("refuse", "indicator"))
        self.columns = TableColumns.from_plain(columns.to_plain())
        self.context = [context] if isinstance(context, str) else list(context)
        self.missing = missing
        self._sizes = NetworkSizes(num_members, num_bins, hidden_units, dropout)
        self._seed = seed
        self._codecs = TableCodecs(self.columns, missing, self.context)
        self._distribution: TableDistribution | None = None

    def fit(
        self, frame: Any, *, sample_weight: TensorLike | None = None, **options: Any
    ) -> keras.callbacks.History:
        """Fits the distribution to rows, from its initial weights.

        Args:
          frame: rows with all columns.
          sample_weight: `[N]`: a row of weight 2 counts as two, one of weight 0 as none.
            The description of the columns and `validation_frame` have no weights.
          **options: the arguments of `FitOptions`: `epochs`, `batch_size`, `learning_rate`,
            `patience`, `validation_split`, `validation_frame`, `calibration_split`,
            `verbose`, `backup`, `max_minutes` and `max_steps`.

        Returns:
          The history of Keras's `fit`: `loss` and `val_loss`, in nats per row.

        Raises:
          ValueError: if a column is missing; if cells are missing (with
            `missing="refuse"`) or cannot occur; if weights are negative, not finite, or all
            0; if `backup` is of another fit; or, with `calibration_split`, if there are
            weights, or several columns or a categorical or periodic one are modelled.

        >>> import numpy as np
        >>> import tfp_flows
        >>> frame = {"kind": ["a", "b"] * 50, "size": np.linspace(0.0, 1.0, 100)}
        >>> columns = tfp_flows.describe_columns(frame)
        >>> table = tfp_flows.TableDensity(columns, num_members=1, seed=0)
        >>> weights = np.tile([1.0, 9.0], 50)
        >>> history = table.fit(frame, sample_weight=weights, epochs=1)
        >>> bool(np.mean(table.sample(500, seed=0)["kind"] == "b") > 0.8)
        True
        """
        fit_options, read = FitOptions(**options), Frame(frame)
        share = fit_options.calibration_split
        require(len(read), "`frame` with rows", "none")
        rows, weight = self._training_rows(len(read), share, sample_weight)
        self._form = read.form
        x, context = self._codecs.encode_possible(read)
        measured = rows[rows_by_weight(weight)]
        distribution = self._new_distribution(read, x, context, measured)
        self._distribution = distribution
        validation = None
        if fit_options.validation_frame is not None:
            try:
                kept = self._codecs.encode_possible(Frame(fit_options.validation_frame))
            except ValueError as error:
                raise ValueError(f"{error} The rows are `validation_frame`.") from error
            validation = Rows(*kept, np.ones(len(kept[0])))
        data = take_rows(Rows(x, context), rows)._replace(weight=weight)
        history = fit_distribution(distribution, data, validation, fit_options, self._seed)
        if share:
            is_kept, codec = ~np.isin(np.arange(len(read)), rows), self._codecs.rows
            scores = calibration_scores(distribution, codec, read, context, is_kept)
            distribution.parameters["description"][_SCORES] = scores.tolist()
        return history

    @property
    def names(self) -> list[str]:
        """Names of the modelled columns."""
        return self._codecs.rows.names

    @property
    def distribution(self) -> TableDistribution:
        """The distribution of the rows' codes and numbers.

        Raises:
          ValueError: before `fit`.
        """
        if self._distribution is None:
            raise ValueError("Expected a fitted `TableDensity`; call `fit` first.")
        return self._distribution

    def encode(self, frame: Any) -> tuple[np.ndarray, np.ndarray]:
        """Returns the cells of rows as numbers, for `distribution` and `export`.

        Args:
          frame: rows with all columns.

        Returns:
          Codes and numbers, `[N, K + D]`; and those of the context, `[N, C]`, where C is 0
          without a context.

        Raises:
          ValueError: as `log_prob` does.
        """
        read = Frame(frame)
        self._codecs.refuse_lacking(read)
        context = self._codecs.encode_context(read)
        context = np.zeros([len(read), 0]) if context is None else context
        return self._codecs.rows.encode(read), context

    def log_prob(self, frame: Any, *, mark_unknown: bool = False) -> np.ndarray:
        """Returns the log-densities of rows, `[N]` nats; -inf for rows that cannot occur.

        Args:
          frame: rows with all columns.
          mark_unknown: whether rows with `unknown_cells` get NaN, with one warning that
            counts them, in place of an error.

        Raises:
          ValueError: if columns are missing; or, unless `mark_unknown`, if missing cells
            are not modelled, categories are unknown, or cells of the context are outside
            their support.
        """
        read, codecs = Frame(frame), self._codecs
        codecs.refuse_lacking(read)
        rows, contexts = codecs.rows.read(read), codecs.context.read(read)
        if mark_unknown:
            context = contexts.x if codecs.context.size else None
        else:
            codecs.rows.refuse(read, rows)
            context = codecs.encode_context(read)
        log_prob = self.distribution.log_prob(rows.x, context=context).numpy()
        log_prob = np.where(rows.is_possible.all(axis=1), log_prob, -np.inf)
        if not mark_unknown:
            return log_prob
        unknown = codecs.unknown_cells(rows, contexts)
        is_unknown = np.any(list(unknown.values()), axis=0)
        if is_unknown.any():
            warnings.warn(
                f"{is_unknown.sum()} of {len(read)} rows have unknown cells, and NaN for a "
                f"log-density. Unknown cells by column: {_counts(unknown)}.",
                stacklevel=2,
            )
        return np.where(is_unknown, np.nan, log_prob)

    def unknown_cells(self, frame: Any) -> dict[str, np.ndarray]:
        """Returns which cells make `log_prob` refuse a row, booleans `[N]`, by column.

        These are categories that are not among the column's values, missing cells that are
        not modelled, and cells of the context outside the support of their column.
        """
        read, codecs = Frame(frame), self._codecs
        codecs.refuse_lacking(read)
        return codecs.unknown_cells(codecs.rows.read(read), codecs.context.read(read))

    def clip_context(self, frame: Any) -> Any:
        """Moves numbers of the context that are outside their support to the inside.

        Other methods refuse them. A number is moved to the nearest one that can occur, an
        angle to the equal one between `low` and `high`. A warning counts the moved numbers.

        Args:
          frame: rows with the columns of the context.

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
        maps = self.distribution.context_features.maps
        columns, where = self._codecs.context.clipped(read, maps)
        if counts := _counts(where):
            warnings.warn(
                "Numbers of `context` outside the support of their column were moved to "
                f"the nearest inside; how many, by column: {counts}.",
                stacklevel=2,
            )
        return read.replaced(columns, where)

    def sample(
        self,
        count: int | None = None,
        seed: int | None = None,
        *,
        context: Any = None,
        exclude: Any = None,
    ) -> Any:
        """Draws rows, in the form of the frame that the table was fitted to.

        Args:
          count: number of rows, if the table has no context.
          seed: integer that determines the draws; random if None.
          context: frame with the columns of the context, if the table has one, and a row
            for each draw; the draws have its index.
          exclude: rows that must not be drawn, usually the training rows: a draw that is
            equal to one of them in all cells is drawn again. That is no privacy: rows that
            nearly equal a training row are kept, and in a table with few possible rows the
            gaps tell which rows were there. None: all draws are kept.

        Raises:
          ValueError: if `count` or `context` is missing or unwanted, if cells of the
            context are refused, as by `log_prob`, or if rows are still excluded after 100
            draws.

        >>> import numpy as np
        >>> import tfp_flows
        >>> frame = {"n": np.arange(200) % 12, "is_odd": np.arange(200) % 2 == 1}
        >>> columns = tfp_flows.describe_columns(frame)
        >>> table = tfp_flows.TableDensity(columns, num_members=1, seed=0)
        >>> history = table.fit(frame, epochs=1)
        >>> rows = table.sample(50, seed=0, exclude=frame)
        >>> bool(np.any((rows["n"] < 12) & (rows["n"] % 2 == rows["is_odd"])))
        False
        """
        read, encoded = None, None
        if not self.context:
            words = "no `context` for a table without one"
            require(context is None, words, type(context).__name__)
            count = check_integer("count", count, minimum=0)
        else:
            words = f"`context`, a frame of {self.context} with a row for each draw, and no"
            fits = context is not None and count is None
            require(fits, f"{words} `count`", f"{type(context).__name__} and {count}")
            read = Frame(context, "context")
            encoded, count = self._codecs.encode_context(read), len(read)
        x = self._draw(count, seed, encoded)
        if exclude is None:
            return self._codecs.written(x, self._form, read)
        return self._drawn_without(Frame(exclude, "exclude"), x, seed, read, encoded)

    def synthesis_report(
        self,
        train: Any,
        real_test: Any,
        *,
        count: int | None = None,
        target: str | None = None,
        exclude_copies: bool = False,
        max_rows: int = 10_000,
        seed: int | None = None,
    ) -> SynthesisReport:
        """Draws rows and reports how like real rows they are, and how unlike copies.

        `tfp_flows.tables.synthesis_report` compares rows of any origin in the same way.
        Both need scikit-learn (`pip install 'tfp_flows[sklearn]'`).

        Args:
          train: the rows that the table was fitted to, which it does not keep.
          real_test: rows that were kept back from the fit, from where `train` comes from.
          count: number of rows that are drawn; as many as are compared by default.
          target: name of a column that models trained on synthetic rows predict; None: the
            report has no utility.
          exclude_copies: whether draws that are equal to a training row are drawn again,
            as by `sample(exclude=train)`.
          max_rows: maximum number of rows of each kind that are compared.
          seed: integer that determines draws, folds and classifiers; random if None.

        Raises:
          ImportError: if scikit-learn is not installed.
          ValueError: if the table has a context, whose rows would be real ones; or as
            `tfp_flows.tables.synthesis_report` does.

        >>> import numpy as np
        >>> import tfp_flows
        >>> rng = np.random.default_rng(0)
        >>> frame = {"x": rng.normal(size=600), "kind": rng.choice(["a", "b"], 600)}
        >>> train, test = ({k: v[i::2] for k, v in frame.items()} for i in range(2))
        >>> table = tfp_flows.TableDensity(tfp_flows.describe_columns(train), seed=0)
        >>> history = table.fit(train, epochs=5)
        >>> report = table.synthesis_report(train, test, seed=0)
        >>> report.num_compared, report.copies["synthetic"]
        (300, 0)
        """
        hint = " Fit a table of all columns, or compare rows by `tables.synthesis_report`."
        require(not self.context, "a table without a context", self.context, hint)
        check_flag("exclude_copies", exclude_copies)
        if count is None:
            count = min(len(Frame(train, "train")), len(Frame(real_test, "real_test")))
            count = min(count, check_integer("max_rows", max_rows))
        rows = self.sample(count, seed, exclude=train if exclude_copies else None)
        options: dict[str, Any] = {"target": target, "max_rows": max_rows, "seed": seed}
        return synthesis_report(rows, train, real_test, self.columns, **options)

    def impute(
        self, frame: Any, seed: int | None = None, *, num_candidates: int = 512
    ) -> Any:
        """Draws the missing cells of rows, given the other cells of their rows.

        The draws are exact if, in each row, the missing cells come after all others
        (categories come first, then numbers, in the table's order), and missing cells are
        not modelled. Otherwise one of `num_candidates` completions is chosen by importance
        weight: the draws converge to the conditional distribution, with an error that is
        inversely proportional to `num_candidates`.

        Args:
          frame: rows with all columns; columns of the context are not imputed.
          seed: integer that determines the draws; random if None.
          num_candidates: number of completions to choose from.

        Returns:
          A copy of `frame` in which missing cells of modelled columns are filled; index,
          order of columns and dtypes stay.

        Raises:
          ValueError: if a row with missing cells has others that cannot occur, or if
            `log_prob` refuses a category or the context.
        """
        check_integer("num_candidates", num_candidates)
        read = Frame(frame)
        columns = read.take(self.columns.names)
        context, codec = self._codecs.encode_context(read), self._codecs.rows
        options = {"seed": draws.stateless(seed), "num_candidates": num_candidates}
        filled = imputed(self.distribution, codec, read, columns, context, **options)
        where = {k: is_missing(c) & (k in codec.names) for k, c in columns.items()}
        return read.replaced(columns | filled, where)

    def predict(self, frame: Any) -> Prediction:
        """Returns the distributions of the one modelled column, given its context.

        Args:
          frame: N rows with the columns of the context.

        Raises:
          ValueError: if several columns are modelled, or if cells of the context are
            refused, as by `log_prob`.
        """
        hint = " Sample from their joint distribution instead."
        require(len(self.names) == 1, "one modelled column to predict", self.names, hint)
        read = Frame(frame)
        context = self._codecs.encode_context(read)
        return predict(self.distribution, self._codecs.rows, read, context)

    def predict_interval(
        self, frame: Any, level: float = 0.9, *, conformal: bool = False
    ) -> np.ndarray:
        """Returns the ends of intervals of the one modelled column, `[N, 2]`.

        Without `conformal`, they are `predict(frame).interval(level)`, whose coverage is
        `level` only if the predicted distributions are right. With it, n calibration rows,
        which the fit has not seen, correct them (split conformal prediction):

        ```none
        score of a calibration row:  s = max(1/2 - P(Y <= y), P(Y < y) - 1/2, 0)
        q = the ceil((n + 1) level)-th smallest of the n scores
        interval = all y with a score of at most q: quantiles at 1/2 - q and 1/2 + q
        ```

        Such an interval covers the y of a new row with a probability of at least `level`,
        however bad the fit is. Two conditions: calibration rows and new rows are
        exchangeable, for example independent draws from one distribution; and the kinds of
        the columns do not depend on the calibration rows. The probability is an average
        over contexts, not a promise for each of them. Rows with a missing y do not count.

        Args:
          frame: N rows with the columns of the context.
          level: probability of the intervals, in (0, 1).
          conformal: whether to use the calibration rows.

        Returns:
          Ends in the column's units, which belong to the interval. With `conformal`, they
          are the ends of the support (infinite if it has none) if n is below
          `level / (1 - level)`, or if q is 1/2.

        Raises:
          ValueError: if `level` is out of its range; with `conformal`, if the fit had no
            `calibration_split`; or as `predict` and `Prediction.interval` do.

        Reference:
          Lei, G'Sell, Rinaldo, Tibshirani, Wasserman (2018), Distribution-free predictive
          inference for regression. https://arxiv.org/abs/1604.04173
          Chernozhukov, Wuthrich, Zhu (2021), Distributional conformal prediction.
          https://arxiv.org/abs/1909.07889 (the score)

        >>> import numpy as np
        >>> import tfp_flows
        >>> rng = np.random.default_rng(0)
        >>> x = rng.normal(size=200)
        >>> frame = {"x": x, "y": x + np.exp(x) * rng.normal(size=200)}
        >>> columns = tfp_flows.describe_columns(frame)
        >>> table = tfp_flows.TableDensity(columns, context=["x"], num_members=1, seed=0)
        >>> history = table.fit(frame, epochs=1, calibration_split=0.25)
        >>> table.predict_interval({"x": [-1.0, 0.0, 1.0]}, 0.8, conformal=True).shape
        (3, 2)
        """
        prediction = self.predict(frame)
        if not conformal:
            return prediction.interval(level)
        scores = self.distribution.parameters["description"].get(_SCORES)
        words = "a fit with `calibration_split` above 0 for `conformal` intervals"
        require(scores is not None, words, "one without")
        return prediction.interval_within(conformal_distance(scores, level))

    def save(self, path: str | os.PathLike) -> None:
        """Writes a `.keras` file, which `load` reads."""
        DensityEstimator(self.distribution).save(path)

    @classmethod
    def load(cls, path: str | os.PathLike) -> TableDensity:
        """Returns the table that `save` has written, without running code of the file.

        Raises:
          ValueError: if the file holds something else.
        """
        rows: Any = getattr(load(path), "distribution", None)
        description: dict[str, Any] = {}
        if isinstance(rows, TableDistribution):
            description |= rows.parameters["description"] or {}
        try:
            form = Form.from_plain(description.pop("form"))
            columns = TableColumns.from_plain(description.pop("columns"))
            scores = check_array(_SCORES, description.pop(_SCORES, []), np.float64)
            require(scores.ndim == 1, f"`{_SCORES}` of one axis", list(scores.shape))
            table = cls(columns, **description)
        except (TypeError, KeyError) as error:
            raise ValueError(
                f"Expected the file of a `TableDensity`; got {path}: {error}"
            ) from error
        table._distribution, table._form = rows, form
        return table

    def _draw(self, count, seed, context):
        """Draws encoded rows, `[N, K + D]`: `count` of them, or one for each context."""
        shape = () if context is not None else count
        return np.array(self.distribution.sample(shape, seed=seed, context=context))

    def _drawn_without(self, excluded, x, seed, read, encoded):
        """Returns the rows of draws x; draws that equal an excluded row are drawn again."""
        for attempt in range(1, _MOST_ATTEMPTS):
            rows = self._codecs.written(x, self._form, read)
            is_copy = are_copies(*row_features([Frame(rows), excluded], self.columns))
            again = np.flatnonzero(is_copy)
            if not len(again):
                return rows
            next_seed = None if seed is None else draws.fold_in(seed, attempt)
            x[again] = self._draw(len(again), next_seed, take_rows(encoded, again))
        raise ValueError(
            f"Expected rows beside those of `exclude`; {len(again)} of {len(x)} draws were "
            f"among them {_MOST_ATTEMPTS} times."
        )

    def _training_rows(self, num_rows, calibration_split, sample_weight):
        """Returns which rows are not kept for calibration, in order, and their weights."""
        if not calibration_split:
            rows, _, weight = rows_of_positive_weight(
                np.arange(num_rows), None, sample_weight
            )
            return rows, np.ones(len(rows)) if weight is None else weight
        words = "no `sample_weight` with `calibration_split`, for which rows count alike"
        require(sample_weight is None, words, "both")
        codec, share = self._codecs.rows, calibration_split
        is_kept = calibration_rows(codec, num_rows, share, self._seed)
        return np.flatnonzero(~is_kept), np.ones(num_rows - is_kept.sum())

    def _new_distribution(self, read, x, context, measured):
        """Returns a fresh `TableDistribution`, with maps that are measured in some rows."""
        codecs, num_rows = self._codecs, len(measured)
        num_columns, num_given = len(codecs.rows.names), len(codecs.context.names)
        numbers, atoms = codecs.measure(read, measured, x, context)
        given = codecs.context.measure(read, measured)
        sizes: Any = self._sizes.for_table(num_rows, num_columns, num_given)  # without None
        members, units = sizes.num_members, sizes.hidden_units
        code_units = units
        given = choose_common(given, members, units[0], num_rows, num_columns)
        knots = choose_fine_knots(members, units[0], num_rows, num_columns, num_given)
        if self._sizes.hidden_units is None:
            code_units = choose_code_units(units, num_rows, codecs.rows.num_values)
        return TableDistribution(
            codecs.rows.num_values,
            numbers,
            atoms=atoms,
            presence=codecs.rows.presence(codecs.context),
            rooms=codecs.rows.rooms,
            context_values=codecs.context.num_values,
            context_numbers=given,
            description=self._description(),
            tail_bounds=_TAIL_BOUNDS,
            are_tails_first=True,
            code_units=code_units,
            fine_knots=knots,
            seed=self._seed,
            **vars(sizes),
        )

    def _description(self):
        return {
            "columns": self.columns.to_plain(),
            "context": self.context,
            "missing": self.missing,
            "form": self._form.to_plain(),
            "seed": self._seed,
            **vars(self._sizes),
        }


def _counts(where):
    return {name: int(cells.sum()) for name, cells in where.items() if cells.any()}
