"""Glow's invertible 1x1 convolution."""

import tensorflow as tf

from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.bijectors.invertible_linear import InvertibleLinear
from tfp_flows.core.arguments import check_arguments

__all__ = ["InvertibleConv1x1"]


class InvertibleConv1x1(FlowChain):
    """Mixes the channels of each pixel by one matrix, an `InvertibleLinear`.

    Its log-det is that of the matrix times `H * W`. The authors' code trains the matrix
    itself, without the LU form, as `PlainLinear` does.

    Args:
      num_channels: C.
      seed: the matrix starts as a random rotation drawn from it; as the identity if None.
      dtype: of inputs and weights.
      name: name of the bijector.

    Reference:
      Kingma, Dhariwal (2018), Glow, section 3.2. https://arxiv.org/abs/1807.03039
    """

    def __init__(
        self, num_channels, *, seed=0, dtype=tf.float32, name="invertible_conv_1x1"
    ):
        parameters = dict(locals())
        check_arguments(parameters)
        linear = InvertibleLinear(num_channels, event_ndims=3, seed=seed, dtype=dtype)
        super().__init__([linear], parameters=parameters, name=name)
