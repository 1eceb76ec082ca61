"""NICE: additive couplings and one diagonal scaling."""

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.bijectors.invert import Invert
from tfp_flows.bijectors.masks import alternating
from tfp_flows.bijectors.standardize import Standardize
from tfp_flows.bijectors.tfp_bijector import TFPBijector
from tfp_flows.core.arguments import check_arguments
from tfp_flows.flows.vector_coupling import vector_coupling
from tfp_flows.networks.seeds import split_seed
from tfp_flows.transformers.affine import Shift

__all__ = ["NICE"]

tfb = tfp.bijectors


class NICE(FlowChain):
    """Non-linear independent components estimation, for vectors.

    ```none
    h[0] = y
    h[k] = h[k-1] + m[k](the other half of h[k-1])       k = 1 ... num_steps
    x    = exp(s) * h[num_steps],    log_det = sum(s)
    ```

    Odd and even variables swap roles from step to step. Each coupling preserves volume;
    only the scaling at the latent end has a log-det. The paper's base is
    `standard_logistic` (MNIST, SVHN, CIFAR-10) or `standard_normal` (TFD); its MNIST flow
    has 4 steps with `hidden_units=(1000,) * 5` and no standardising.

    Args:
      event_size: number of variables, D; at least 2.
      num_steps: number of couplings. Three mix every variable with every other one.
      hidden_units: widths of the hidden layers of each network m.
      activation: its activation.
      residual: whether it is residual.
      context_size: width of the context, which every network sees; 0 if there is none.
      standardize_context: whether contexts are standardised (see `FlowChain`).
      standardize: whether a `Standardize`, fitted by `initialize`, stands at the data end.
      recompute: whether training keeps of each step only what it was given, and applies it
        once more for the gradient, to save memory (see `FlowChain`).
      seed: integer that determines the initial weights; random if None.
      dtype: of inputs and weights.
      name: name of the bijector.

    Raises:
      ValueError: if `event_size` is below 2, or `num_steps` below 1.

    Reference:
      Dinh, Krueger, Bengio (2014), NICE: non-linear independent components estimation.
      https://arxiv.org/abs/1410.8516
    """

    def __init__(
        self,
        event_size,
        *,
        num_steps=4,
        hidden_units=(64, 64),
        activation="relu",
        residual=False,
        context_size=0,
        standardize_context=True,
        standardize=True,
        recompute=False,
        seed=None,
        dtype=tf.float32,
        name="nice",
    ):
        parameters = dict(locals())
        check_arguments(parameters)
        check_coupling_size(event_size)
        dtype = tf.as_dtype(dtype)
        couplings = [
            vector_coupling(
                alternating(event_size, start=step % 2 == 0),
                Shift(),
                hidden_units,
                activation=activation,
                residual=residual,
                context_size=context_size,
                seed=step_seed,
                dtype=dtype,
            )
            for step, step_seed in enumerate(split_seed(seed, num_steps))
        ]
        scales = tf.Variable(tf.zeros(event_size, dtype), name="log_scale")
        scaling = Invert(TFPBijector(tfb.Scale(log_scale=scales), event_ndims=1))
        preprocessing = [Standardize(event_size, dtype=dtype)] if standardize else []
        super().__init__(
            [*preprocessing, *couplings, scaling],
            standardize_context=standardize_context,
            recompute=recompute,
            parameters=parameters,
            name=name,
        )


def check_coupling_size(event_size):
    """Refuses what no flow of couplings can be made of."""
    if event_size < 2:
        raise ValueError(
            "Expected `event_size` of at least 2, since a coupling needs variables that "
            f"pass and others that change; got {event_size}."
        )
