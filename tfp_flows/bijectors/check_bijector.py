"""A numerical answer to the question: is my likelihood wrong?"""

import dataclasses
import math

import numpy as np
import tensorflow as tf

from tfp_flows.bijectors.flow_bijector import FlowBijector
from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.bijectors.inputs import as_tensor

__all__ = ["BijectorReport", "check_bijector"]


@dataclasses.dataclass(frozen=True)
class BijectorReport:
    """What `check_bijector` has measured; `print` it.

    Errors are the largest over the points, relative where the true value is above 1.

    Attributes:
      num_points: number of points tried.
      event_shape: shape of one event at the data end.
      dtype: name of the dtype computed in.
      data_round_trip: error of `forward(inverse(x))`.
      latent_round_trip: error of `inverse(forward(z))`, at `z = inverse(x)`.
      inverse_log_det: error of the inverse's log-det against that of autodiff.
      forward_log_det: error of the forward's log-det against that of autodiff.
      integral: of the density with a standard normal base, over a grid; None for events
        of more than two variables. It should be 1.
      tolerance: what `passed` allows the errors to be.
    """

    num_points: int
    event_shape: tuple
    dtype: str
    data_round_trip: float
    latent_round_trip: float
    inverse_log_det: float
    forward_log_det: float
    integral: float | None
    tolerance: float

    @property
    def passed(self):
        """Whether all errors are within `tolerance`, and the integral within 0.01 of 1."""
        return all(ok for _, _, ok in self._rows())

    def __str__(self):
        head = (
            f"check_bijector: {self.num_points} points of shape {self.event_shape}, "
            f"{self.dtype}, tolerance {self.tolerance:g}"
        )
        rows = [
            f"  {'ok  ' if ok else 'FAIL'}  {name:<42} {value:.3g}"
            for name, value, ok in self._rows()
        ]
        return "\n".join([head, *rows])

    def _rows(self):
        errors = {
            "round trip from data, error": self.data_round_trip,
            "round trip from latent, error": self.latent_round_trip,
            "log-det of inverse against autodiff, error": self.inverse_log_det,
            "log-det of forward against autodiff, error": self.forward_log_det,
        }
        rows = [(name, e, bool(e <= self.tolerance)) for name, e in errors.items()]
        if self.integral is not None:
            right = bool(abs(self.integral - 1.0) <= 0.01)
            rows.append(("integral of the density (should be 1)", self.integral, right))
        return rows


def check_bijector(bijector, x, context=None):
    """Checks that a bijector inverts, and that its log-dets and density are right.

    The four log-det and round-trip checks are exact mathematics, whatever the weights;
    check a bijector with weights as after training, since the identity passes anything.

    Args:
      bijector: any `tfp.bijectors.Bijector`.
      x: points at the data end, `[N, *event]`; a few dozen are enough.
      context: `[N, context_size]`, where the bijector is conditional. The integral is
        that of the density given the first row.

    Returns:
      A `BijectorReport`.

    Raises:
      ValueError: if `x` has no batch axis or no rows.
    """
    flow = bijector if isinstance(bijector, FlowBijector) else FlowChain([bijector])
    x = as_tensor(x, "x", flow.dtype or None)
    if x.shape.rank != flow.inverse_min_event_ndims + 1 or not x.shape[0]:
        raise ValueError(
            f"Expected `x` of shape [N, *event] with {flow.inverse_min_event_ndims} event "
            f"axes and N > 0; got {x.shape}."
        )
    z, inverse_log_det = flow.inverse_and_log_det(x, context=context)
    y, forward_log_det = flow.forward_and_log_det(z, context=context)
    z_again, _ = flow.inverse_and_log_det(y, context=context)
    event_shape = tuple(x.shape[1:].as_list())
    return BijectorReport(
        num_points=x.shape[0],
        event_shape=event_shape,
        dtype=x.dtype.name,
        data_round_trip=_error(y, x),
        latent_round_trip=_error(z_again, z),
        inverse_log_det=_error(
            inverse_log_det, _autodiff_log_det(flow.inverse_and_log_det, x, context)
        ),
        forward_log_det=_error(
            forward_log_det, _autodiff_log_det(flow.forward_and_log_det, z, context)
        ),
        integral=_integral(flow, z, event_shape, context),
        tolerance=1e-9 if x.dtype == tf.float64 else 1e-3,
    )


def _error(value, truth):
    value, truth = np.asarray(value), np.asarray(truth)
    errors = np.abs(value - truth) / np.maximum(np.abs(truth), 1.0)
    return float(np.max(errors))  # NaN stays NaN, and fails


def _autodiff_log_det(method, points, context):
    size = math.prod(points.shape[1:])

    @tf.function(autograph=False)
    def jacobian(flat):
        with tf.GradientTape() as tape:
            tape.watch(flat)
            values = method(tf.reshape(flat, points.shape), context=context)[0]
            flat_values = tf.reshape(values, [-1, size])
        return tape.batch_jacobian(flat_values, flat)

    return tf.linalg.slogdet(jacobian(tf.reshape(points, [-1, size])))[1]


def _integral(flow, z, event_shape, context):
    """Midpoint sum of the density over a box around what a standard normal maps to."""
    size = math.prod(event_shape)
    if size > 2:
        return None
    first = None if context is None else np.asarray(context)[:1]
    normal = np.random.default_rng(0).normal(size=(4096, *z.shape[1:]))
    y, _ = flow.forward_and_log_det(normal.astype(z.dtype.as_numpy_dtype), context=first)
    y = np.reshape(y, [-1, size])
    low, high = y.min(axis=0), y.max(axis=0)
    low, high = low - 0.5 * (high - low), high + 0.5 * (high - low)
    count = 20_000 if size == 1 else 700
    cells = (np.arange(count) + 0.5) / count
    axes = np.meshgrid(*[low[i] + cells * (high[i] - low[i]) for i in range(size)])
    grid = np.stack([axis.ravel() for axis in axes], axis=-1)
    points = grid.reshape([-1, *event_shape]).astype(z.dtype.as_numpy_dtype)
    latent, log_det = flow.inverse_and_log_det(points, context=first)
    latent = np.reshape(latent, [len(grid), -1]).astype(np.float64)
    log_density = -0.5 * np.sum(latent**2 + math.log(2 * math.pi), axis=-1) + log_det
    # Stock bijectors answer NaN outside their support, where the density is zero.
    density = np.nan_to_num(np.exp(log_density), nan=0.0)
    return float(np.sum(density) * np.prod((high - low) / count))
