"""MADE for real vectors, with mixtures of normal distributions as conditionals."""

import tensorflow as tf

from tfp_flows.distributions.autoregressive_distribution import AutoregressiveDistribution
from tfp_flows.distributions.conditionals import GaussianMixture
from tfp_flows.distributions.masked_network import masked_network

__all__ = ["MixtureMADE"]


class MixtureMADE(AutoregressiveDistribution):
    """Autoregressive mixtures of normal distributions: "MADE MoG".

    ```none
    p(x) = product over i of  sum over k of  weight_ik Normal(x_i; loc_ik, scale_ik)
    weight, loc, scale = functions of x_<i and the context
    ```

    A fresh one is about a standard normal, so data should come standardised:
    `FlowDistribution(MixtureMADE(D), Standardize(D))`. As the base of a `MAF`, which
    standardises by itself, it makes the paper's "MAF MoG"; a conditional base is given
    the flow's context.

    Args:
      event_size: number of variables, D.
      num_components: components of each mixture, K.
      hidden_units: widths of the hidden layers.
      ordering: degree of each variable, a permutation of `1, ..., D`. None: natural with
        one mask, drawn for each of several.
      num_masks: number of masks; the density is the mean of theirs (see `BinaryMADE`).
      activation: of the hidden layers.
      residual: whether they are residual.
      direct: whether inputs are connected to outputs directly, too.
      max_log_scale: how far log-scales may get from where they start.
      context_size: width of the context; 0 if there is none.
      seed: integer that determines masks and initial weights; random if None.
      dtype: of samples and weights.
      validate_args: as in TFP.
      name: name of the distribution.

    Raises:
      ValueError: if `event_size`, `num_components` or `num_masks` is below 1, or
        `ordering` is none.

    Reference:
      Papamakarios, Pavlakou, Murray (2017), MAF, section 4.1.
      https://arxiv.org/abs/1705.07057
      Uria, Murray, Larochelle (2013), RNADE. https://arxiv.org/abs/1306.0186
    """

    def __init__(
        self,
        event_size,
        num_components=10,
        *,
        hidden_units=(64, 64),
        ordering=None,
        num_masks=1,
        activation="relu",
        residual=False,
        direct=False,
        max_log_scale=7.0,
        context_size=0,
        seed=None,
        dtype=tf.float32,
        validate_args=False,
        name="mixture_made",
    ):
        """Takes the arguments that the class describes."""
        parameters = dict(locals())
        conditional = GaussianMixture(num_components, max_log_scale)
        network = masked_network(
            event_size,
            conditional,
            hidden_units,
            ordering=ordering,
            num_masks=num_masks,
            activation=activation,
            residual=residual,
            direct=direct,
            context_size=context_size,
            seed=seed,
            dtype=dtype,
        )
        super().__init__(
            network,
            conditional,
            validate_args=validate_args,
            parameters=parameters,
            name=name,
        )
