"""Operations on the latents of data: temperature, interpolation, directions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import check_integer, check_members, check_positive, require
from tfp_flows.core.inputs import as_tensor
from tfp_flows.core.rows import check_rows
from tfp_flows.distributions.dequantized import Dequantized, quantize
from tfp_flows.distributions.flow_distribution import FlowDistribution


def at_temperature(
    distribution: FlowDistribution | Dequantized, temperature: float
) -> FlowDistribution | Dequantized:
    """Returns the flow over a base scaled by `temperature`, with shared weights.

    Samples at a lower temperature are more typical and less diverse; Glow's pictures are at
    0.7. The base must be centred at 0, such as `standard_normal`.

    Args:
      distribution: a `FlowDistribution`, or a `Dequantized` one.
      temperature: factor of the base's samples, above 0.

    Returns:
      A `FlowDistribution`, or a `Dequantized` one.

    Raises:
      ValueError: if `temperature` is not above 0, or latents are angles.

    >>> import tensorflow_probability as tfp
    >>> import tfp_flows
    >>> double = tfp.bijectors.Scale([2.0, 2.0])
    >>> dist = tfp_flows.FlowDistribution(tfp_flows.standard_normal(2), double)
    >>> cool = tfp_flows.at_temperature(dist, 0.5)
    >>> (cool.sample(2, seed=0) / dist.sample(2, seed=0)).numpy()
    array([[0.5, 0.5],
           [0.5, 0.5]], dtype=float32)

    Reference:
      Kingma, Dhariwal (2018), Glow, section 6. https://arxiv.org/abs/1807.03039
    """
    check_positive("temperature", temperature)
    if isinstance(distribution, Dequantized):
        tempered = at_temperature(distribution.distribution, temperature)
        return Dequantized(**{**distribution.get_config(), "distribution": tempered})
    is_on_line = _continuous(distribution).bijector.is_monotone
    words = "a `distribution` on the line, whose latents can be scaled"
    require(is_on_line, words, f"`{distribution.name}`, of angles")
    scale = tfp.bijectors.Scale(tf.cast(temperature, distribution.dtype))
    # A `FlowDistribution` passes a context on to a conditional base.
    base = FlowDistribution(distribution.distribution, scale)
    return FlowDistribution(base, distribution.bijector)


def interpolate(
    distribution: FlowDistribution | Dequantized,
    start: TensorLike,
    end: TensorLike,
    num_points: int,
    *,
    context: TensorLike | None = None,
) -> tf.Tensor:
    """Returns data whose latents lie on the line between the latents of two points.

    Args:
      distribution: a `FlowDistribution`, or a `Dequantized` one.
      start: `[*batch, *event]`.
      end: `[*batch, *event]`; its batch axes broadcast against those of `start`.
      num_points: number of points, ends included; at least 2.
      context: `[*batch, context_size]`, if the flow is conditional.

    Returns:
      `[num_points, *batch, *event]`; the first and last are `start` and `end`.

    Raises:
      ValueError: if `num_points` is below 2.

    >>> import tensorflow_probability as tfp
    >>> import tfp_flows
    >>> double = tfp.bijectors.Scale([2.0, 2.0])
    >>> dist = tfp_flows.FlowDistribution(tfp_flows.standard_normal(2), double)
    >>> from tfp_flows.distributions import interpolate
    >>> interpolate(dist, [0.0, 0.0], [4.0, 2.0], num_points=3).numpy()
    array([[0., 0.],
           [2., 1.],
           [4., 2.]], dtype=float32)

    Reference:
      Kingma, Dhariwal (2018), Glow, section 6 and figure 5.
      https://arxiv.org/abs/1807.03039
    """
    check_integer("num_points", num_points, minimum=2)
    first, last = (_latents(distribution, x, context) for x in (start, end))
    shares = np.linspace(0.0, 1.0, num_points)
    return _generate(distribution, first, last - first, shares, context)


def attribute_direction(
    distribution: FlowDistribution | Dequantized,
    having: TensorLike,
    lacking: TensorLike,
    *,
    context: TensorLike | None = None,
) -> tf.Tensor:
    """Returns the mean latent of data with an attribute minus that of data without it.

    Args:
      distribution: a `FlowDistribution`, or a `Dequantized` one.
      having: `[N, *event]`.
      lacking: `[M, *event]`.
      context: `[context_size]`, one for all, if the flow is conditional.

    Returns:
      `[*latent]`, a direction for `move_along`.

    Raises:
      ValueError: if there are no rows, or their shape does not fit.

    >>> import tensorflow_probability as tfp
    >>> import tfp_flows
    >>> double = tfp.bijectors.Scale([2.0, 2.0])
    >>> dist = tfp_flows.FlowDistribution(tfp_flows.standard_normal(2), double)
    >>> having, lacking = [[4.0, 1.0], [4.0, 3.0]], [[0.0, 2.0]]
    >>> tfp_flows.distributions.attribute_direction(dist, having, lacking).numpy()
    array([2., 0.], dtype=float32)

    Reference:
      Kingma, Dhariwal (2018), Glow, section 6 and figure 6.
      https://arxiv.org/abs/1807.03039
    """
    means = []
    for name, x in (("having", having), ("lacking", lacking)):
        data = check_rows(x, None, distribution.event_shape, 0, argument=name)
        means.append(tf.reduce_mean(_latents(distribution, data, context), axis=0))
    return means[0] - means[1]


def move_along(
    distribution: FlowDistribution | Dequantized,
    x: TensorLike,
    direction: TensorLike,
    amounts: npt.ArrayLike,
    *,
    context: TensorLike | None = None,
) -> tf.Tensor:
    """Returns data whose latents are the latents of `x`, moved along a direction.

    Args:
      distribution: a `FlowDistribution`, or a `Dequantized` one.
      x: `[*batch, *event]`.
      direction: `[*latent]`, such as an `attribute_direction`.
      amounts: `[A]`, multiples of `direction`; 0 gives `x` back.
      context: `[*batch, context_size]`, if the flow is conditional.

    Returns:
      `[A, *batch, *event]`.

    >>> import tensorflow_probability as tfp
    >>> import tfp_flows
    >>> double = tfp.bijectors.Scale([2.0, 2.0])
    >>> dist = tfp_flows.FlowDistribution(tfp_flows.standard_normal(2), double)
    >>> from tfp_flows.distributions import move_along
    >>> move_along(dist, [1.0, 1.0], [2.0, 0.0], amounts=[0.0, 0.5]).numpy()
    array([[1., 1.],
           [3., 1.]], dtype=float32)
    """
    z = _latents(distribution, x, context)
    direction = as_tensor(direction, "direction", z.dtype)
    shape = _continuous(distribution).distribution.event_shape
    fits, got = direction.shape.is_compatible_with(shape), direction.shape.as_list()
    require(fits, f"`direction` of the latents' shape {shape.as_list()}", got)
    return _generate(distribution, z, direction, np.asarray(amounts), context)


def _latents(distribution, x, context):
    if isinstance(distribution, Dequantized):
        # The latent of an integer is the latent of the centre of its bin.
        x = (tf.cast(x, distribution.dtype) + 0.5) / distribution.num_bins
    flow = _continuous(distribution).bijector
    return flow.inverse_and_log_det(x, context=context)[0]


def _generate(distribution, z, direction, amounts, context):
    # Before all axes of both, which may broadcast against each other.
    rank = max(z.shape.rank, direction.shape.rank)
    amounts = tf.cast(tf.reshape(amounts, [-1] + [1] * rank), z.dtype)
    flow = _continuous(distribution).bijector
    x = flow.forward_and_log_det(z + amounts * direction, context=context)[0]
    is_dequantized = isinstance(distribution, Dequantized)
    return quantize(x, distribution.num_bins) if is_dequantized else x


def _continuous(distribution):
    """Returns the flow distribution of scaled data, or refuses any other distribution."""
    if isinstance(distribution, Dequantized):
        distribution = distribution.distribution
    members = ("bijector", "distribution", "log_prob")
    check_members("distribution", distribution, members, "a `FlowDistribution`")
    return distribution
