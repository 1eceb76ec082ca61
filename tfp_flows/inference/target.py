"""The log-density of a target on the unconstrained space, its gradient and curvature."""

from __future__ import annotations

import functools
import itertools
import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from tfp_flows.core.arguments import require
from tfp_flows.core.compiled import XLAIfPossible, graph_function, is_compiled_by_xla
from tfp_flows.inference.parts import NUMBER_A_DRAW, call_with_parts, check_number_a_draw

_ROWS = 128  # points of a batch; as many as draws of a training step and check chains
_ZERO = tf.UnconnectedGradients.ZERO  # for constant and linear log-densities
_UNITS = (2.0, 4.0)  # steps of second differences, in units in the last place of a point
_MOST_CURVED = 1.0  # nats; largest second difference of a resolvable density
# Number of highest-weight draws that are tested for rounding at once, and times of testing.
_HEAVIEST, _MOST_TESTS = 256, 8


class UnconstrainedDensity:
    """The log-density of a target, computed in its own dtype and returned in float64.

    ```none
    log_prob(x) = target_log_prob(support(x)) + log |det d support / dx (x)|
    ```

    Tracing a joint distribution of fifty parts takes seconds. So points are evaluated in
    batches of one size, and all functions that need the density or its gradient share one
    trace for each number of rows.

    Args:
      target_log_prob: function from the parts, `[N, *event]` each, to `[N]`. As in
        `tfp.vi`, parts of a list are arguments, and parts of a dictionary keywords.
      support: a `JointSupport`.

    Attributes:
      value_and_gradient: `tf.function` from a tensor `[N, D]` to log-densities, `[N]`, in
        the target's dtype, and their gradients, `[N, D]`.
    """

    def __init__(self, target_log_prob: Callable, support: Any) -> None:
        self.target_log_prob = target_log_prob
        self._support = support
        self.event_size = support.event_size
        self.dtype = support.dtype
        self.value_and_gradient = graph_function(
            self._value_and_gradient, experimental_attributes={"_noinline": True}
        )
        compiled = functools.partial(XLAIfPossible, by_xla=False)
        self._log_probs = compiled(
            lambda x: _in_loop(lambda x: [self._log_prob(x)], [x], [x[:, 0]])
        )
        self._gradients = compiled(self.value_and_gradient_in_loop)
        self._products = compiled(lambda *rows: _in_loop(self._product, rows, rows))
        self._seconds = math.inf  # least wall time of a batch of gradients

    def mapped(self, bijector: tfb.Bijector) -> UnconstrainedDensity:
        """The density in other coordinates, which `bijector` maps to these."""
        return UnconstrainedDensity(self.target_log_prob, self._support.mapped(bijector))

    @property
    def has_loop(self) -> bool:
        """Whether the log-density runs a loop, for example over the steps of an ODE."""
        return any("While" in name for name in self._operations)

    @property
    def is_for_xla(self) -> bool:
        """Whether XLA is to compile the log-density.

        XLA cannot compile Python functions. It is worth its time for loops only: for other
        densities it compiles for 10 to 35 seconds, and saves a few milliseconds a step.
        """
        return self.has_loop and not any("PyFunc" in name for name in self._operations)

    @functools.cached_property
    def _operations(self):
        """Names of TensorFlow's operations in the gradient."""
        points = tf.TensorSpec([_ROWS, self.event_size], self.dtype)
        graph = self._gradients.plain.get_concrete_function(points).graph.as_graph_def()
        functions = (function.node_def for function in graph.library.function)
        return {node.op for node in itertools.chain(graph.node, *functions)}

    @property
    def seconds_of_gradient(self) -> float:
        """Least wall time of one gradient in a batch so far; 0 before the second batch."""
        return self._seconds / _ROWS if math.isfinite(self._seconds) else 0.0

    def value_and_gradient_in_loop(self, x: tf.Tensor) -> Sequence[tf.Tensor]:
        """Returns those of `value_and_gradient`, in code that XLA may compile."""
        return _in_loop(self.value_and_gradient, [x], [x[:, 0], x])

    def log_prob(self, x: np.ndarray) -> np.ndarray:
        """Returns the log-densities, `[N]`, of points, `[N, D]`."""
        return in_batches(self._log_probs, x, dtype=self.dtype)[0]

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """Returns the gradients, `[N, D]`, at points, `[N, D]`."""
        return self.log_prob_and_gradient(x)[1]

    def log_prob_and_gradient(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns log-densities, `[N]`, and gradients, `[N, D]`, at points, `[N, D]`."""
        values, gradients = in_batches(self._timed_gradients, x, dtype=self.dtype)
        return values, gradients

    def _timed_gradients(self, x):
        """Values and gradients of a batch; the first call, which traces, is not timed."""
        is_traced = self._gradients.plain.experimental_get_tracing_count() > 0
        start = time.monotonic()
        results = [result.numpy() for result in self._gradients(x)]
        if is_traced:
            self._seconds = min(self._seconds, time.monotonic() - start)
        return results

    def _log_prob(self, x):
        support = self._support.bijector
        try:
            log_det = support.forward_log_det_jacobian(x, event_ndims=1)
            parts = support.forward(x)
        except ValueError as error:  # for example, a model is pinned to a batch of data
            raise ValueError(
                f"Expected {NUMBER_A_DRAW}, {x.shape[:1]}; its support raised {error}"
            ) from error
        log_prob = self._call_target(parts)
        check_number_a_draw(log_prob, x.shape[:1])
        return log_prob + log_det

    def _call_target(self, parts):
        """Calls the target, and names its arguments if it raises an error."""
        try:
            log_prob = call_with_parts(self.target_log_prob, parts)
            log_prob = tf.convert_to_tensor(log_prob, dtype_hint=self.dtype)
        except Exception as error:
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            raise ValueError(
                "Expected a log-density of the target that takes N draws of its parts at "
                f"once, {_shown(parts)} of {self.dtype.name}; it raised {reason}"
            ) from error
        words = f"a log-density of the target of {self.dtype.name}, as its parts are"
        hint = " Cast it, or give another `dtype`."
        require(log_prob.dtype == self.dtype, words, log_prob.dtype.name, hint)
        return log_prob

    def _value_and_gradient(self, x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            log_prob = self._log_prob(x)
        return log_prob, tape.gradient(log_prob, x, unconnected_gradients=_ZERO)

    def curvature(
        self, x: np.ndarray, directions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns the gradient and Hessian-vector products at one point.

        A second derivative that is missing or not finite is replaced by differences of
        gradients. That of TFP's softplus is not finite above 88 in float32. The gradient at
        x is `[D]`, and the Hessian times the directions `[D, K]`.
        """
        directions = np.asarray(directions).T
        points = np.broadcast_to(x, directions.shape)
        size = min(_ROWS, self.event_size)
        try:
            gradients, products = in_batches(
                self._products, points, directions, size=size, dtype=self.dtype
            )
        except (LookupError, NotImplementedError):  # a gradient has no derivative
            gradients, products = self.gradient(points[:1]), np.full(points.shape, np.nan)
        is_missing = ~np.isfinite(products).all(axis=1)
        if is_missing.any():
            products[is_missing] = self._differences(x, directions[is_missing])
        return gradients[0], products.T

    def _differences(self, x, directions):
        length = np.finfo(self.dtype.as_numpy_dtype).eps ** 0.2
        step = length * directions
        ahead, behind = np.split(self.gradient(np.concatenate([x + step, x - step])), 2)
        return (ahead - behind) / (2.0 * length)

    def _product(self, x, directions):
        with tf.GradientTape() as tape:
            tape.watch(x)
            _, gradient = self._value_and_gradient(x)
            along = tf.reduce_sum(gradient * directions)
        return gradient, tape.gradient(along, x, unconnected_gradients=_ZERO)


def _in_loop(function, tensors, like):
    """Calls a function of tensors; under XLA, in a loop of one pass.

    XLA takes inputs of the derivatives of some densities for constants, for example all
    inputs with an auto-batched joint distribution, a flow's weights included, and would
    compile anew for each value. Variables of a loop are no constants. Results have the
    shapes and dtypes of `like`.
    """
    if not is_compiled_by_xla():
        return function(*tensors)
    start = 0, *tensors, *map(tf.zeros_like, like)
    count = 1 + len(tensors)

    def body(i, *state):
        given = state[: count - 1]
        results = function(*given)
        for result, one in zip(results, like, strict=True):
            result.set_shape(one.shape)  # a Python function has none
        return i + 1, *(x + 0.0 for x in given), *results

    shapes = tuple(tf.convert_to_tensor(s).shape for s in start)
    found = tf.while_loop(lambda i, *_: i < 1, body, start, shape_invariants=shapes)
    return found[count:]


def in_batches(
    function: Callable, *arrays: np.ndarray, size: int = _ROWS, dtype: tf.DType
) -> list[np.ndarray]:
    """Returns the results of a function of rows, `[N, ...]`, in batches of one size.

    The last row fills up the last batch, so that one trace of the function serves all.
    """
    count, pieces = len(arrays[0]), []
    for start in range(0, count, size):
        rows = np.minimum(np.arange(start, start + size), count - 1)
        pieces.append(function(*(tf.constant(array[rows], dtype) for array in arrays)))
    return joined(pieces, count)


def joined(pieces: Sequence[Sequence[tf.Tensor]], count: int) -> list[np.ndarray]:
    """Joins the first `count` rows of results of batches, in float64."""
    return [
        np.concatenate([np.asarray(part, np.float64) for part in parts])[:count]
        for parts in zip(*pieces, strict=True)
    ]


def _shown(parts):
    named = parts._asdict() if hasattr(parts, "_asdict") else parts
    if isinstance(named, dict):
        shapes = ", ".join(f"{name} {part.shape}" for name, part in named.items())
        return f"the keywords {shapes}" if isinstance(parts, dict) else shapes
    return ", ".join(str(part.shape) for part in tf.nest.flatten(parts))


def is_rounding(density: UnconstrainedDensity, x: np.ndarray) -> np.ndarray:
    """Returns whether the log-density is rounding noise at points, `[N, D]`.

    ```none
    |log p(x + d) + log p(x - d) - 2 log p(x)| / 2 > 1,     d a few units in the last place
    ```

    If a density subtracts numbers of 1e9, for example log-gamma functions of a large
    parameter, it is off by hundreds of nats, and draws there would have all weight.
    """
    epsilon = np.finfo(density.dtype.as_numpy_dtype).eps
    steps = [units * epsilon * x for units in _UNITS]
    points = [x, *(x + sign * step for step in steps for sign in (1.0, -1.0))]
    values = density.log_prob(np.concatenate(points)).reshape(len(points), len(x))
    with np.errstate(invalid="ignore"):
        second = 0.5 * (values[1::2] + values[2::2]) - values[0]
    return ~(np.abs(second) <= _MOST_CURVED).all(axis=0)


def without_rounding(
    density: UnconstrainedDensity, x: np.ndarray, log_p: np.ndarray, log_q: np.ndarray
) -> np.ndarray:
    """Returns log-densities with NaN for rounding noise at the highest-weight draws.

    Draws x, `[S, D]`, have log-densities p of the target and q of their own distribution,
    `[S]` each.
    """
    log_p, count = log_p.copy(), min(_HEAVIEST, len(x) // 8)
    for _ in range(_MOST_TESTS):
        with np.errstate(invalid="ignore"):
            log_weights = log_p - log_q
        log_weights = np.where(np.isfinite(log_weights), log_weights, -np.inf)
        heaviest = np.argsort(-log_weights)[:count]
        heaviest = heaviest[np.isfinite(log_weights[heaviest])]
        if not len(heaviest):
            break
        is_noise = is_rounding(density, x[heaviest])
        if not is_noise.any():
            break
        log_p[heaviest[is_noise]] = np.nan
    return log_p
