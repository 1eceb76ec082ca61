"""Predictions: the distribution of one column in each of several rows."""

from __future__ import annotations

import typing
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfp_flows.core.arguments import check_number, check_share, require
from tfp_flows.core.rows import take_rows
from tfp_flows.distributions.univariate import bisect
from tfp_flows.tables.cells import (
    dates_from_days,
    days_from_dates,
    days_if_dates,
    in_nanoseconds,
    is_missing,
)
from tfp_flows.tables.column_codec import ColumnCodec
from tfp_flows.tables.distribution import TableDistribution
from tfp_flows.tables.frames import Frame
from tfp_flows.tables.grids import Grid
from tfp_flows.tables.numbers.number_conditionals import log_mean
from tfp_flows.tables.prediction.number_predictions import (
    CirclePoints,
    NumberPredictions,
    WeightedPoints,
)
from tfp_flows.tables.row_codec import RowCodec

# `interval_within` is wider than asked by this share of a tail and this probability. Both
# exceed the rounding of float32, which must not exclude a number at an end.
_TAIL_ROUNDING, _ROUNDING = 1e-4, 2e-7


def predict(
    distribution: TableDistribution,
    codec: RowCodec,
    frame: Frame,
    context: np.ndarray | None,
    which: npt.NDArray[np.bool_] | slice = slice(None),
) -> Prediction:
    """Returns the distributions of the one modelled column in some rows of a frame.

    The entries of the context are `context`, `[N, C]`; None if there are none.
    """
    (name,) = codec.names
    column_codec, rows = codec.codecs[name], np.arange(len(frame))[which]
    context = take_rows(context, rows)
    zeros = tf.zeros([len(rows), distribution.features.num_codes], tf.float64)
    from_context = distribution.features_of_context(zeros, context)
    probs = _probabilities_of_codes(distribution, zeros, context, from_context)
    if column_codec.has_missing:  # conditions on a cell that is not missing
        probs = probs[:, :-1] / probs[:, :-1].sum(axis=1, keepdims=True)
    number, atoms, grid = None, [], column_codec.grid
    if distribution.features.num_numbers:
        first = distribution.first_number(context, from_context)
        number = NumberPredictions(distribution.conditionals, first.parameters, grid)
        values, weights, rest = first.values_and_weights
        values = values if grid is None else grid.at(values)
        atoms = list(zip(values.T[..., None], (weights * probs[:, :1]).T, strict=True))
        probs = np.concatenate([probs[:, :1] * rest, probs[:, 1:]], axis=1)
    return Prediction(column_codec, probs, number, _shift(codec, frame, rows), atoms)


def _shift(codec, frame, rows):
    """The `Shift` of the one modelled column in some rows; None without a difference."""
    (name,) = codec.names
    if name not in codec.differences:
        return None
    parts = frame.take(codec.differences[name].minus, "context").values()
    offset = np.sum([days_if_dates(part).astype(float) for part in parts], axis=0)
    is_date = all(part.dtype.kind == "M" for part in parts)
    return Shift(offset[rows], codec.grids[name], is_date)


def _probabilities_of_codes(distribution, zeros, context, from_context):
    """Returns the probability of each code of the one column, `[N, V]`; ones without codes.

    `zeros` are the code 0 in each row, `[N, K]`, with K of at most one.
    """
    if not distribution.features.num_codes:
        return np.ones([len(zeros), 1])
    log_probs = [
        log_mean(distribution.log_prob_of_codes(zeros + code, context, from_context))
        for code in range(distribution.features.num_values[0])
    ]
    return np.exp(tf.stack(log_probs, axis=1).numpy())


class Shift(typing.NamedTuple):
    """The map from predicted differences to the column that was asked for."""

    offset: np.ndarray  # sums of the columns that the difference subtracts, `[N]`
    grid: Grid | None  # of the column
    is_date: bool  # whether the column is of dates, whose numbers are days

    def removed(self, y: np.ndarray, grid: Grid | None) -> np.ndarray:
        """Returns the differences, `[N]`, of cells y, on the grid of the differences."""
        apart = y - self.offset
        return apart if grid is None else grid.round_if_near(apart)

    def added(self, y: np.ndarray) -> np.ndarray:
        """Returns the cells of differences y, `[N]` or `[N, Q]`."""
        total = y + self.offset.reshape([-1, *[1] * (y.ndim - 1)])
        return total if self.grid is None else self.grid.round_if_near(total)


class Prediction:
    """The distributions of one column in N rows, which `TableDensity.predict` returns.

    ```none
    P(Y <= y) = share F(y) + sum of the probabilities of spikes and atoms up to y
    F         = the members' recalibrated mean (`NumberConditionals`)
    ```

    Missing cells are not predicted: all distributions are conditional on a cell that is not
    missing. Dates are in UTC, without a time zone.

    A periodic column has a circular mean and deviation. Its distribution function and its
    quantiles start at the point opposite the mean, not at `low`, and follow increasing
    numbers. So an interval goes from its first end to the second, perhaps past `high`: the
    hours from 23 to 1 are [23, 1].

    Args:
      codec: codec of the column.
      probs: probabilities of its values, or of a number and of each spike, `[N, codes]`.
      number: the `NumberPredictions`; None if the column has no numbers.
      shift: the `Shift` of a modelled difference; None if the column is modelled itself.
      atoms: numbers of the context, `[N, 1]` each, and the probabilities, `[N]`, that the
        column is equal to them (`Equality`).

    >>> import numpy as np
    >>> import tfp_flows
    >>> size = np.random.default_rng(0).normal(size=50)
    >>> rows = {"size": size, "kind": np.where(size > 0.0, "large", "small")}
    >>> columns = tfp_flows.describe_columns(rows)
    >>> table = tfp_flows.TableDensity(columns, context=["size"], num_members=1, seed=0)
    >>> history = table.fit(rows, epochs=1)
    >>> table.predict({"size": [-1.0, 1.0]}).probabilities().shape
    (2, 2)
    """

    def __init__(
        self,
        codec: ColumnCodec,
        probs: np.ndarray,
        number: NumberPredictions | None,
        shift: Shift | None = None,
        atoms: Sequence[tuple[np.ndarray, np.ndarray]] = (),
    ) -> None:
        self.column = codec.column
        self._codec = codec
        self._shift = shift
        self._probs = probs
        self._from_number = number
        self._values = None
        if self.column.kind == "ordered":
            self._values = OrderedValues(self.column.name, self.column.values)
        spikes = np.asarray(self.column.spikes, np.float64)
        # Numbers with a probability besides F, `[]` or `[N, 1]`, and it, `[N]`.
        self._atoms = [*zip(spikes, probs.T[1:], strict=False), *atoms]

    def __len__(self) -> int:
        return len(self._probs)

    def probabilities(self) -> np.ndarray:
        """Returns the probability of each of the column's `values`, `[N, V]`.

        Raises:
          ValueError: if the column has no list of values.
        """
        if not self.column.has_values:
            raise ValueError(
                f"Expected a column of values, such as a categorical one; "
                f"{self.column.name!r} is {self.column.kind}. It has `cdf` and `quantile`."
            )
        if self._from_number is None:
            return self._probs
        return np.exp(self._from_number.log_prob(np.arange(1.0 * len(self.column.values))))

    def log_prob(self, y: npt.ArrayLike) -> np.ndarray:
        """Returns `log p(y)` of each row's y, `[N]`; of spikes and values, `log P(y)`.

        Args:
          y: a value for each row, `[N]`, or one for all. The result is NaN where y is
            missing.

        Raises:
          ValueError: if a text or a category is not among the column's values.
        """
        if self._from_number is None:
            return self._log_prob_of_values(self._column_of(y))
        numbers = self._numbers_from(y, "log_prob", OrderedValues.places)
        log_prob = self._number("log_prob").log_prob(numbers[:, None])[:, 0]
        log_prob += np.log(self._probs[:, 0])
        is_counted = self._codec.grid is not None
        for atom, prob in self._atoms:
            with np.errstate(divide="ignore"):
                log_atom = np.log(prob)
            both = np.logaddexp(log_prob, log_atom) if is_counted else log_atom
            is_here = self._is_at(numbers, atom) & (prob > 0.0)  # closed atoms have 0
            log_prob = np.where(is_here, both, log_prob)
        return np.where(np.isnan(numbers), np.nan, log_prob)

    def cdf(self, y: npt.ArrayLike) -> np.ndarray:
        """Returns `P(Y <= y)`, `[N]`, for each row's y, or one y for all.

        For a periodic column it is the probability of the arc from the point opposite the
        mean to y.

        Raises:
          ValueError: if the column has no numbers, or y is outside the circle of a periodic
            column.
        """
        numbers = self._numbers_from(y, "cdf", OrderedValues.places_up_to)[:, None]
        if self._is_periodic:
            low, high = self.column.circle
            is_inside = (numbers >= low) & (numbers < high) | np.isnan(numbers)
            words = f"`y` of the periodic column {self.column.name!r} from {low} to {high}"
            require(is_inside.all(), words, y)
            probability = self._cdf_of_arc(numbers, self._start())
        else:
            probability = self._cdf(numbers)
        return np.where(np.isnan(numbers), np.nan, probability)[:, 0]

    def quantile(self, probability: npt.ArrayLike) -> np.ndarray:
        """Returns the least y with `P(Y <= y) >= probability`, `[N]` or `[N, Q]`.

        Args:
          probability: a number in (0, 1), or several, `[Q]`.

        Raises:
          ValueError: if a number is outside (0, 1), or the column has no numbers.
        """
        probs = np.asarray(probability, np.float64)
        are_inside = probs.ndim < 2 and ((probs > 0.0) & (probs < 1.0)).all()
        words = "`probability` of one or more numbers in (0, 1)"
        require(are_inside, words, repr(probability))
        levels = np.broadcast_to(np.atleast_1d(probs), [len(self), probs.size])
        y = self._in_units(self._quantile(levels))
        return y[:, 0] if probs.ndim == 0 else y

    def interval(self, level: float = 0.9) -> np.ndarray:
        """Returns the ends of central intervals of probability `level`, `[N, 2]`."""
        check_share("level", level)
        return self.quantile([0.5 - 0.5 * level, 0.5 + 0.5 * level])

    def distance_from_median(self, y: npt.ArrayLike) -> np.ndarray:
        """Returns how far y is from the median, in probability, `[N]`, from 0 to 1/2.

        ```none
        max(1/2 - P(Y <= y), P(Y < y) - 1/2, 0)
        ```

        Args:
          y: a value for each row, `[N]`, or one for all. The result is NaN where y is
            missing.

        Raises:
          ValueError: if the column has no numbers, or is periodic.
        """
        self._refuse_circle("distance_from_median")
        numbers = self._numbers_from(y, "distance_from_median", OrderedValues.places)
        numbers = numbers[:, None]
        below_median = 0.5 - self._cdf(numbers)[:, 0]
        above_median = self._cdf_below(numbers)[:, 0] - 0.5
        distance = np.maximum(np.maximum(below_median, above_median), 0.0)
        return np.where(np.isnan(numbers[:, 0]), np.nan, distance)

    def interval_within(self, distance: float) -> np.ndarray:
        """Returns the ends of all y up to a distance from the median, `[N, 2]`.

        Args:
          distance: the largest `distance_from_median` that the interval must hold, a
            probability of at least 0. From 1/2 on, the interval is the whole support, with
            infinite ends if it has none; for dates, with the first and last that
            nanoseconds since 1970 represent.

        Returns:
          Ends in the column's units. The interval is wider by less than 1e-4 of the
          probability beyond each end, so that rounding excludes no y.

        Raises:
          ValueError: if `distance` is below 0, or the column has no numbers or is periodic.
        """
        self._refuse_circle("interval_within")
        check_number("distance", distance, "from 0 on", lambda value: value >= 0.0)
        low, high = self._number("interval_within").ends
        spikes = self.column.spikes
        whole = np.tile([min([low, *spikes]), max([high, *spikes])], [len(self), 1])
        tail = (0.5 - distance) * (1.0 - _TAIL_ROUNDING) - _ROUNDING
        if tail <= 0.0:
            return self._in_units(whole)
        ends = self._quantile(np.broadcast_to([tail, 1.0 - tail], [len(self), 2]))
        # Quantiles are sought up to some distance; an end farther out was not found.
        below, up_to = self._cdf_below(ends)[:, 0], self._cdf(ends)[:, 1]
        are_found = [below <= 0.5 - distance, up_to >= 0.5 + distance]
        return self._in_units(np.where(np.stack(are_found, axis=1), ends, whole))

    def mean(self) -> np.ndarray:
        """Returns expectations, `[N]`, by quadrature; of dates, in days.

        A periodic column has circular means. Positive and heavy-tailed numbers are clipped
        at four standard deviations (of the training rows' logarithms) from the median:
        farther tails need not have a finite expectation.

        Raises:
          ValueError: if the column has no numbers.
        """
        mean = self._points("mean").mean()
        return mean if self._shift is None else mean + self._shift.offset

    def stddev(self) -> np.ndarray:
        """Returns standard deviations, `[N]`, by quadrature, as `mean`.

        A periodic column has circular ones, in units of the column: `sqrt(-2 log R)`, where
        R is the length of the mean of the points on a circle of radius 1.
        """
        return self._points("stddev").stddev()

    def mode(self) -> np.ndarray:
        """Returns the most probable values, `[N]`.

        For numbers it is the point with the highest density, among many quantiles; or a
        spike with a probability above a half.
        """
        if self._from_number is None:
            return np.asarray(self.column.values)[self._probs.argmax(axis=1)]
        points = self._from_number.points().values
        best = self._from_number.log_prob(points).argmax(axis=1)
        mode = np.take_along_axis(points, best[:, None], axis=1)[:, 0]
        for atom, prob in self._atoms:
            mode = np.where(prob > 0.5, np.ravel(atom), mode)
        return self._in_units(mode)

    def crps(self, y: npt.ArrayLike) -> np.ndarray:
        """Returns continuous ranked probability scores of y, `[N]`; lower is better.

        ```none
        crps = E|Y - y| - E|Y - Y'| / 2
        ```

        For ordered texts, Y is the place in the order: the ranked probability score, the
        sum over the values v of `(P(Y <= v) - (y <= v))^2`. For a periodic column,
        distances are the shorter arcs on the circle (Grimit et al. 2006).

        Reference:
          Gneiting, Raftery (2007), Strictly proper scoring rules, prediction, and
          estimation. https://doi.org/10.1198/016214506000001437
        """
        are_texts = self.column.has_ordered_texts
        points = self._points("crps", as_places=are_texts)
        places = OrderedValues.places if are_texts else None
        return points.crps(self._numbers_from(y, "crps", places))

    def _number(self, method):
        if self._from_number is None:
            raise ValueError(
                f"Expected a column of numbers for `{method}`; {self.column.name!r} is "
                f"{self.column.kind}. It has `probabilities` and `mode`."
            )
        return self._from_number

    def _refuse_circle(self, method):
        words = f"a column of numbers on a line for `{method}`"
        require(not self._is_periodic, words, f"the periodic {self.column.name!r}")

    def _points(self, method, as_places=False):
        """Returns points and weights, spikes included, whose sums are expectations."""
        points = self._number(method).points()
        values, weights = points.values, points.weights * self._probs[:, :1]
        if self.column.has_ordered_texts and not as_places:
            raise ValueError(
                f"Expected a column of numbers for `{method}`; the values of "
                f"{self.column.name!r} are texts. It has `quantile`, `cdf` and `mode`."
            )
        if self._values is not None and not as_places:
            values = self._values.at(values).astype(np.float64)
        for atom, prob in self._atoms:
            atom = np.broadcast_to(atom, [len(self), 1])
            values = np.concatenate([values, atom], axis=1)
            weights = np.concatenate([weights, prob[:, None]], axis=1)
        if self._is_periodic:
            return CirclePoints(values, weights, *self.column.circle)
        return WeightedPoints(values, weights)

    def _cdf(self, y):
        """`P(Y <= y)` of places or numbers y, `[N, Q]`."""
        return self._with_atoms(self._number("cdf").cdf(y), lambda atom: atom <= y)

    def _cdf_below(self, y):
        """`P(Y < y)` of places or numbers y, `[N, Q]`."""
        return self._with_atoms(self._number("cdf").cdf_below(y), lambda atom: atom < y)

    def _with_atoms(self, from_number, counts):
        """Adds the probabilities of atoms where `counts(atom)`, booleans `[N, Q]`."""
        total = self._probs[:, :1] * from_number
        for atom, prob in self._atoms:
            total += np.where(counts(atom), prob[:, None], 0.0)
        return total

    def _is_at(self, numbers, atom):
        """Which numbers, `[N]`, are at an atom."""
        grid, atom = self._codec.grid, np.ravel(atom)
        if grid is None:
            return numbers == atom
        return grid.multiples(numbers) == grid.multiples(atom)

    def _quantile(self, probability):
        """Quantiles as places or numbers, `[N, Q]`."""
        number = self._number("quantile")
        if self._is_periodic:
            return self._quantile_on_circle(probability)
        before, at_atom = np.zeros_like(probability), np.full_like(probability, np.nan)
        for atom, prob in self._atoms:
            up_to = self._cdf(np.broadcast_to(atom, probability.shape))
            is_here = (probability <= up_to) & (probability > up_to - prob[:, None])
            at_atom = np.where(is_here, atom, at_atom)
            before += np.where(probability > up_to, prob[:, None], 0.0)
        # The bounds avoid a division by 0, and quantiles at infinity.
        share = np.maximum(self._probs[:, :1], 1e-30)
        y = number.quantile(np.clip((probability - before) / share, 1e-9, 1.0 - 1e-9))
        return np.where(np.isnan(at_atom), y, at_atom)

    def _quantile_on_circle(self, probability):
        low, high = self.column.circle
        start = self._start()
        arc = bisect(
            lambda arc: (
                self._cdf_of_arc(self._turned(start, arc.numpy()), start) < probability
            ),
            np.zeros_like(probability),
            np.full_like(probability, high - low),
        )
        y, grid = self._turned(start, arc.numpy()), self._codec.grid
        return y if grid is None else self._codec.on_circle(grid.round(y))

    @property
    def _is_periodic(self):
        return self.column.kind == "periodic"

    def _start(self):
        """The points opposite the means, where distribution functions start, `[N, 1]`."""
        (low, high), grid = self.column.circle, self._codec.grid
        start = self._turned(self.mean()[:, None], 0.5 * (high - low))
        if grid is None:
            return start
        half = 0.5 * grid.step  # to the middle between two numbers that can occur
        return self._turned(grid.round(start - half), half)

    def _turned(self, y, step):
        """Points on the circle at a distance `step` after y."""
        low, high = self.column.circle
        turned = low + np.mod(y + step - low, high - low)
        return np.where(turned < high, turned, low)

    def _cdf_of_arc(self, y, start):
        """Probabilities of the arcs from the starts, `[N, 1]`, to y, `[N, Q]`."""
        arc = self._cdf(y) - self._cdf(start)
        return np.where(y < start, 1.0 + arc, arc)

    def _log_prob_of_values(self, column):
        encoded = self._codec.encode(column)
        _refuse_unknown(column, encoded.is_known, self.column.name, self.column.values)
        code = np.minimum(encoded.code, self._probs.shape[1] - 1)
        with np.errstate(divide="ignore"):
            log_prob = np.log(self._probs[np.arange(len(self)), code])
        log_prob = np.where(encoded.is_possible, log_prob, -np.inf)
        return np.where(is_missing(column), np.nan, log_prob)

    def _column_of(self, y):
        """Cells y as an array, `[N]`."""
        is_one = np.ndim(y) == 0
        column = Frame({"y": [y] if is_one else y}, "y").columns["y"]
        fits = is_one or len(column) == len(self)
        require(fits, f"`y` of shape [{len(self)}], one a row", list(column.shape))
        return np.broadcast_to(column, [len(self)])

    def _numbers_from(self, y, method, from_ordered):
        """Numbers y, `[N]`, NaN where missing; of ordered values, by `from_ordered`."""
        self._number(method)
        column = self._column_of(y)
        absent = is_missing(column)
        numbers = np.full(len(column), np.nan)
        if self._values is not None and from_ordered is not None:
            numbers[~absent] = from_ordered(self._values, column[~absent])
            return numbers
        cells = column[~absent]
        if self._is_date:
            cells = days_from_dates(in_nanoseconds(self.column.name, cells))
        numbers[~absent] = cells.astype(np.float64)
        if self._shift is not None:
            numbers = self._shift.removed(numbers, self._codec.grid)
        return self._codec.on_circle(numbers)

    def _in_units(self, y):
        """Places or numbers as values of the column's own type."""
        if self._values is not None:
            return self._values.at(y)
        y = y if self._shift is None else self._shift.added(y)
        return dates_from_days(y) if self._is_date else y

    @property
    def _is_date(self):
        """Whether the column that was asked for is of dates."""
        is_date = self.column.kind == "date"
        return is_date if self._shift is None else self._shift.is_date


class OrderedValues:
    """Values in an order; a value's place is its index.

    Args:
      name: name of the column.
      values: numbers, booleans or texts, all different.
    """

    def __init__(self, name: str, values: Sequence) -> None:
        self._name, self._values = name, list(values)
        self._places = {value: float(place) for place, value in enumerate(values)}
        self.are_texts = any(isinstance(value, str) for value in values)
        self._rise = not self.are_texts and sorted(values) == self._values

    def at(self, places: np.ndarray) -> np.ndarray:
        """Returns the values at places, `[...]`."""
        return np.asarray(self._values)[places.astype(int)]

    def places(self, y: np.ndarray) -> np.ndarray:
        """Returns the places of y, `[N]`; -1 for other numbers. Other texts are refused."""
        places = np.array([self._places.get(value, -1.0) for value in y.tolist()], float)
        if self.are_texts:
            _refuse_unknown(y, places >= 0.0, self._name, self._values)
        return places

    def places_up_to(self, y: npt.NDArray) -> np.ndarray:
        """Returns the places of the last values up to y, `[N]`; NaN for NaN.

        If values do not increase, each y must be one of them.
        """
        if self._rise:
            y = y.astype(np.float64)
            up_to = np.searchsorted(self._values, y, side="right") - 1.0
            return np.where(np.isnan(y), np.nan, up_to)
        places = self.places(y)
        _refuse_unknown(y, places >= 0.0, self._name, self._values)
        return places


def _refuse_unknown(y, is_known, name, values):
    if not is_known.all():
        row = int(np.argmin(is_known))
        raise ValueError(
            f"Expected `y` of the values {values} of {name!r}; got {y.tolist()[row]!r} in "
            f"row {row}."
        )
