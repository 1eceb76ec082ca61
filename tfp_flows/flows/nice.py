"""NICE: additive couplings and one diagonal scaling."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.bijectors.invert import Invert
from tfp_flows.bijectors.tfp_bijector import TFPBijector
from tfp_flows.flows.options import Unpack, VectorFlowOptions, all_arguments, takes_options
from tfp_flows.flows.steps import chain_arguments, coupling_steps
from tfp_flows.transformers.affine import Shift


class NICE(FlowChain):
    """Non-linear independent components estimation, for vectors.

    ```none
    h[0] = y
    h[k] = h[k-1] + m[k](the other half of h[k-1])       k = 1 ... num_steps
    x    = exp(s) * h[num_steps],    log_det = sum(s)
    ```

    Odd and even variables swap roles from step to step. A coupling preserves volume; only
    the scaling at the latent end has a log-det. The paper's base is `standard_logistic`
    (MNIST, SVHN, CIFAR-10) or `standard_normal` (TFD); its flow for MNIST has 4 steps with
    `hidden_units=(1000,) * 5` and `standardize=False`.

    Args:
      event_size: number of variables, D; at least 2.
      num_steps: number of couplings; with three or more, each variable depends on all.
      hidden_units: widths of the hidden layers of each network m.
      activation: activation of the hidden layers.
      context_size: width of the context, an input of every network; 0 if there is none.
      name: name of the bijector.
      **options: see `VectorFlowOptions`.

    Raises:
      ValueError: if `event_size` is below 2, or `num_steps` below 1.

    >>> import tfp_flows
    >>> flow = tfp_flows.NICE(3, seed=0)
    >>> flow.sequential_directions, flow.forward([[1.0, 2.0, 3.0]]).numpy()  # as it starts
    (frozenset(), array([[1., 2., 3.]], dtype=float32))

    Reference:
      Dinh, Krueger, Bengio (2014), NICE: non-linear independent components estimation.
      https://arxiv.org/abs/1410.8516
    """

    @takes_options()
    def __init__(
        self,
        event_size: int,
        *,
        num_steps: int = 4,
        hidden_units: int | Sequence[int] = (64, 64),
        activation: str | Callable = "tanh",
        context_size: int = 0,
        name: str = "nice",
        **options: Unpack[VectorFlowOptions],
    ) -> None:
        parameters = all_arguments(locals())
        couplings = coupling_steps(Shift(), **parameters)
        scales = tf.Variable(tf.zeros(event_size, options["dtype"]), name="log_scale")
        scaling = Invert(TFPBijector(tfb.Scale(log_scale=scales), event_ndims=1))
        super().__init__(**chain_arguments([*couplings, scaling], parameters))
