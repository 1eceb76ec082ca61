"""MADE for binary vectors."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence

import tensorflow as tf

from tfp_flows.distributions.autoregressive_distribution import AutoregressiveDistribution
from tfp_flows.distributions.conditionals import Bernoulli
from tfp_flows.distributions.masked_network import masked_network

__all__ = ["BinaryMADE"]


class BinaryMADE(AutoregressiveDistribution):
    """Masked autoencoder for distribution estimation, over {0, 1}^D.

    ```none
    p(x) = product over i of  Bernoulli(x_i; sigmoid(logit_i(x_<i, context)))
    ```

    With several masks it is order- and connectivity-agnostic: each training step takes the
    next of `num_masks` masks, each with its own connections and, unless `ordering` fixes
    it, its own ordering of the variables. The probability is the mean of theirs. Samples
    are dealt to the masks in turn; `sample(..., mask_index=k)` draws under one mask.

    Samples are floating-point zeros and ones. `impute` draws missing variables of rows.

    Args:
      event_size: number of variables, D.
      hidden_units: widths of the hidden layers.
      ordering: degree of each variable, a permutation of `1, ..., D`. By default natural
        for one mask, and drawn for each of several.
      num_masks: number of masks, K.
      activation: of the hidden layers.
      residual: whether they are residual.
      direct: whether inputs are also connected to outputs directly.
      context_size: width of the context; 0 if there is none.
      standardize_context: whether contexts are standardised, by statistics that
        `initialize` sets.
      seed: integer that determines masks and initial weights; random if None.
      dtype: of samples and weights.
      validate_args: as in TFP.
      name: name of the distribution.

    Raises:
      ValueError: if `event_size` or `num_masks` is below 1, or `ordering` is no
        permutation.

    >>> import numpy as np
    >>> import tfp_flows
    >>> made = tfp_flows.BinaryMADE(2, seed=0)
    >>> rows = np.float32([[0, 0], [0, 1], [1, 0], [1, 1]])
    >>> float(np.exp(made.log_prob(rows)).sum().round(3))
    1.0

    Reference:
      Germain, Gregor, Murray, Larochelle (2015), MADE. https://arxiv.org/abs/1502.03509
    """

    def __init__(
        self,
        event_size: int,
        *,
        hidden_units: Sequence[int] = (64, 64),
        ordering: Sequence[int] | None = None,
        num_masks: int = 1,
        activation: str | Callable = "relu",
        residual: bool = False,
        direct: bool = False,
        context_size: int = 0,
        standardize_context: bool = True,
        seed: int | None = None,
        dtype: tf.DType | str = tf.float32,
        validate_args: bool = False,
        name: str = "binary_made",
    ) -> None:
        """Takes the arguments that the class describes."""
        parameters = dict(locals())
        conditional = Bernoulli()
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
            standardize_context=standardize_context,
            validate_args=validate_args,
            parameters=parameters,
            name=name,
        )
