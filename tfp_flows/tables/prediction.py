"""Predictions: the distribution of one column, for each of several rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfp_flows.core.arguments import check_number
from tfp_flows.tables.column_codec import ColumnCodec
from tfp_flows.tables.frames import Frame
from tfp_flows.tables.frames import is_missing
from tfp_flows.tables.mixed_rows import MixedRows
from tfp_flows.tables.number_predictions import NumberPredictions
from tfp_flows.tables.ordered_values import OrderedValues
from tfp_flows.tables.weighted_points import CirclePoints
from tfp_flows.tables.weighted_points import WeightedPoints

__all__ = ["Prediction", "predict"]

_DAY = 86_400e9  # nanoseconds
_HALVINGS = 48  # of a circle, in the search for quantiles


def predict(
    rows: MixedRows, codec: ColumnCodec, count: int, context: np.ndarray | None = None
) -> Prediction:
    """Returns the distributions of the one column of `rows`, given N = `count` contexts."""
    probs = np.ones([count, 1])
    codes = tf.zeros([count, rows.cells.num_codes], tf.float64)
    of_context = rows.features_of_context(codes, context)
    if rows.cells.num_codes:
        each = [
            rows.mean_over_members(rows.log_prob_of_codes(codes + code, of_context))
            for code in range(rows.cells.num_values[0])
        ]
        probs = np.exp(tf.stack(each, axis=1).numpy())
    if codec.has_missing:  # given that there is a value
        probs = probs[:, :-1] / probs[:, :-1].sum(axis=1, keepdims=True)
    number = None
    if rows.cells.num_numbers:
        parameters = rows.numbers.parameters_of_first(of_context)
        number = NumberPredictions(rows.numbers.pool, parameters)
    return Prediction(codec, probs, number)


class Prediction:
    """The distributions of one column, one for each of N rows.

    ```none
    P(Y <= y) = share F(y) + sum of the probabilities of spikes up to y
    F         = pool of the members' distribution functions (`NumberPool`)
    ```

    What `TableDensity.predict` returns. Missing cells are not predicted: all is given that
    there is a value.

    A periodic column has its circular mean and deviation. Its distribution function and its
    quantiles start opposite of the mean, in the direction in which numbers grow, and not at
    `low`. So an interval goes from its first end to the second, perhaps past `high`: hours
    from 23 to 1 are [23, 1].

    Args:
      codec: of the column.
      probs: of its values, or of a number and of each spike, `[N, codes]`.
      number: the `NumberPredictions`; None where there are no numbers.

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
        self, codec: ColumnCodec, probs: np.ndarray, number: NumberPredictions | None
    ) -> None:
        self.column = codec.column
        self._codec = codec
        self._probs = probs
        self._of_number = number
        self._values = None
        if self.column.kind == "ordered":
            self._values = OrderedValues(self.column.name, self.column.values)
        spikes = np.asarray(codec.column.spikes, np.float64)
        self._spikes = list(zip(spikes, probs.T[1:], strict=False))

    def __len__(self) -> int:
        return len(self._probs)

    def probabilities(self) -> np.ndarray:
        """Returns those of each of the column's `values`, `[N, V]`.

        Raises:
          ValueError: if the column has no list of values.
        """
        if not self.column.has_values:
            raise ValueError(
                f"Expected a column of values, such as a categorical one; "
                f"{self.column.name!r} is {self.column.kind}. It has `cdf` and `quantile`."
            )
        if self._of_number is None:
            return self._probs
        return np.exp(self._of_number.log_prob(np.arange(1.0 * len(self.column.values))))

    def log_prob(self, y: npt.ArrayLike) -> np.ndarray:
        """Returns `log p(y)` of each row's y, `[N]`: of spikes and values a probability.

        Args:
          y: a value for each row, `[N]`, or one for all. Missing ones have NaN.

        Raises:
          ValueError: if a text or a category is none of the column's values.
        """
        if self._of_number is None:
            return self._log_prob_of_values(self._column_of(y))
        numbers = self._checked(y, "log_prob", of_ordered="places")
        log_prob = self._number("log_prob").log_prob(numbers[:, None])[:, 0]
        log_prob += np.log(self._probs[:, 0])
        for spike, prob in self._spikes:
            log_prob = np.where(numbers == spike, np.log(prob), log_prob)
        return log_prob

    def cdf(self, y: npt.ArrayLike) -> np.ndarray:
        """Returns `P(Y <= y)`, `[N]`, of each row's y, or of one y for all.

        Of a periodic column it is the probability of the arc up to y, from the point
        opposite of the mean.
        """
        numbers = self._checked(y, "cdf", of_ordered="places_up_to")
        if not self._is_periodic:
            return self._cdf(numbers[:, None])[:, 0]
        low, high = self.column.circle
        if not ((numbers >= low) & (numbers < high) | np.isnan(numbers)).all():
            raise ValueError(
                f"Expected `y` of the periodic column {self.column.name!r} from {low} to "
                f"{high}; got {y!r}."
            )
        return self._cdf_of_arc(numbers[:, None], self._start())[:, 0]

    def quantile(self, probability: npt.ArrayLike) -> np.ndarray:
        """Returns the least y of `P(Y <= y) >= probability`, `[N]`, or `[N, Q]`.

        Args:
          probability: a number in (0, 1), or several, `[Q]`.
        """
        given = np.asarray(probability, np.float64)
        if given.ndim > 1 or not ((given > 0.0) & (given < 1.0)).all():
            raise ValueError(
                "Expected `probability` of one or more numbers in (0, 1); got "
                f"{probability!r}."
            )
        levels = np.broadcast_to(np.atleast_1d(given), [len(self), given.size])
        y = self._in_units(self._quantile(levels))
        return y[:, 0] if given.ndim == 0 else y

    def interval(self, level: float = 0.9) -> np.ndarray:
        """Returns the ends of central intervals of probability `level`, `[N, 2]`."""
        check_number("level", level, "in (0, 1)", lambda value: 0.0 < value < 1.0)
        return self.quantile([0.5 - 0.5 * level, 0.5 + 0.5 * level])

    def mean(self) -> np.ndarray:
        """Returns expectations, `[N]`, by quadrature over quantiles; of dates, in days.

        Of a periodic column they are circular means.

        Positive and heavy-tailed numbers count as within four deviations of the training
        rows' logarithms from the median: beyond, expectations need not be finite.
        """
        return self._points("mean").mean()

    def stddev(self) -> np.ndarray:
        """Returns standard deviations, `[N]`, by quadrature over quantiles, as `mean`.

        Of a periodic column they are circular: `sqrt(-2 log R)`, where R is the length of
        the mean of the points on a circle of radius 1, in units of the column.
        """
        return self._points("stddev").stddev()

    def mode(self) -> np.ndarray:
        """Returns the most probable values, `[N]`.

        Of numbers it is where their density is highest, among quantiles close to each
        other; of spikes, one whose probability is above a half.
        """
        if self._of_number is None:
            return np.asarray(self.column.values)[self._probs.argmax(axis=1)]
        points = self._of_number.points().values
        best = self._of_number.log_prob(points).argmax(axis=1)
        mode = np.take_along_axis(points, best[:, None], axis=1)[:, 0]
        for spike, prob in self._spikes:
            mode = np.where(prob > 0.5, spike, mode)
        return self._in_units(mode)

    def crps(self, y: npt.ArrayLike) -> np.ndarray:
        """Returns the continuous ranked probability scores of y, `[N]`; less is better.

        ```none
        crps = E|Y - y| - E|Y - Y'| / 2
        ```

        Of texts in an order, Y is the place in it: the ranked probability score, the sum
        over the values v of `(P(Y <= v) - (y <= v))^2`. Of a periodic column, distances
        are the shorter ways on the circle (Grimit et al. 2006).

        Reference:
          Gneiting, Raftery (2007), Strictly proper scoring rules, prediction, and
          estimation. https://doi.org/10.1198/016214506000001437
        """
        of_ordered = "places" if self._are_texts else None
        points = self._points("crps", as_places=self._are_texts)
        return points.crps(self._checked(y, "crps", of_ordered))

    @property
    def _are_texts(self):
        return self._values is not None and self._values.are_texts

    def _number(self, method):
        if self._of_number is None:
            raise ValueError(
                f"Expected a column of numbers for `{method}`; {self.column.name!r} is "
                f"{self.column.kind}. It has `probabilities` and `mode`."
            )
        return self._of_number

    def _points(self, method, as_places=False):
        """Points and weights with the distributions' expectations, spikes included."""
        points = self._number(method).points()
        values, weights = points.values, points.weights * self._probs[:, :1]
        if self._are_texts and not as_places:
            raise ValueError(
                f"Expected a column of numbers for `{method}`; the values of "
                f"{self.column.name!r} are texts. It has `quantile`, `cdf` and `mode`."
            )
        if self._values is not None and not as_places:
            values = self._values.at(values).astype(np.float64)
        for spike, prob in self._spikes:
            values = np.concatenate([values, np.full([len(self), 1], spike)], axis=1)
            weights = np.concatenate([weights, prob[:, None]], axis=1)
        if self._is_periodic:
            return CirclePoints(values, weights, *self.column.circle)
        return WeightedPoints(values, weights)

    def _cdf(self, y):
        """Of indices or numbers, `[N, Q]`."""
        total = self._probs[:, :1] * self._number("cdf").cdf(y)
        for spike, prob in self._spikes:
            total += np.where(y >= spike, prob[:, None], 0.0)
        return total

    def _quantile(self, probability):
        """Of `[N, Q]`, as indices or numbers."""
        number = self._number("quantile")
        if self._is_periodic:
            return self._quantile_on_circle(probability)
        before, at_spike = np.zeros_like(probability), np.full_like(probability, np.nan)
        for spike, prob in self._spikes:
            up_to = self._cdf(np.full_like(probability, spike))
            is_here = (probability <= up_to) & (probability > up_to - prob[:, None])
            at_spike = np.where(is_here, spike, at_spike)
            before += np.where(probability > up_to, prob[:, None], 0.0)
        share = np.maximum(self._probs[:, :1], 1e-30)
        y = number.quantile(np.clip((probability - before) / share, 1e-9, 1.0 - 1e-9))
        return np.where(np.isnan(at_spike), y, at_spike)

    def _quantile_on_circle(self, probability):
        low, high = self.column.circle
        start = self._start()
        short, long = np.zeros_like(probability), np.full_like(probability, high - low)
        for _ in range(_HALVINGS):
            middle = 0.5 * (short + long)
            is_short = self._cdf_of_arc(self._turned(start, middle), start) < probability
            short = np.where(is_short, middle, short)
            long = np.where(is_short, long, middle)
        return self._turned(start, long)

    @property
    def _is_periodic(self):
        return self.column.kind == "periodic"

    def _start(self):
        """Where the circles are cut: opposite of the mean, `[N, 1]`."""
        low, high = self.column.circle
        return self._turned(self.mean()[:, None], 0.5 * (high - low))

    def _turned(self, y, step):
        """Points on the circle, some steps after y."""
        low, high = self.column.circle
        turned = low + np.mod(y + step - low, high - low)
        return np.where(turned < high, turned, low)

    def _cdf_of_arc(self, y, start):
        """Probabilities of the arcs from the starts, `[N, 1]`, to y, `[N, Q]`."""
        arc = self._cdf(y) - self._cdf(start)
        return np.where(y < start, 1.0 + arc, arc)

    def _log_prob_of_values(self, column):
        encoded = self._codec.encode(column)
        if not encoded.is_known.all():
            row = int(np.argmin(encoded.is_known))
            raise ValueError(
                f"Expected `y` of the values {self.column.values} of {self.column.name!r}; "
                f"got {column[row]!r} in row {row}."
            )
        code = np.minimum(encoded.code, self._probs.shape[1] - 1)
        with np.errstate(divide="ignore"):
            log_prob = np.log(self._probs[np.arange(len(self)), code])
        log_prob = np.where(encoded.is_possible, log_prob, -np.inf)
        return np.where(is_missing(column), np.nan, log_prob)

    def _column_of(self, y):
        """Cells y as an array, `[N]`."""
        is_one = np.ndim(y) == 0
        column = Frame({"y": [y] if is_one else y}, "y").columns["y"]
        if len(column) != len(self) and not is_one:
            raise ValueError(
                f"Expected `y` of shape [{len(self)}], one a row; got {list(column.shape)}."
            )
        return np.broadcast_to(column, [len(self)])

    def _checked(self, y, method, of_ordered=None):
        """Numbers y, `[N]`; of ordered values what their method `of_ordered` returns."""
        self._number(method)
        y = self._column_of(y)
        if self.column.kind == "date":
            since = y.astype("datetime64[ns]") - np.datetime64(0, "ns")
            return since.astype(np.float64) / _DAY
        if self._values is not None and of_ordered:
            return getattr(self._values, of_ordered)(y)
        return self._codec.on_circle(y.astype(np.float64))

    def _in_units(self, y):
        """Values of places or numbers, in the column's own type."""
        if self._values is not None:
            return self._values.at(y)
        if self.column.kind == "date":
            return np.datetime64(0, "ns") + np.round(y * _DAY).astype("timedelta64[ns]")
        return y
