"""MADE for vectors of categories."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfp_flows.core.arguments import check_arguments
from tfp_flows.distributions.autoregressive_distribution import AutoregressiveDistribution
from tfp_flows.distributions.conditionals import Categorical
from tfp_flows.networks.one_hot_mlp import OneHotMLP

__all__ = ["CategoricalMADE"]


class CategoricalMADE(AutoregressiveDistribution):
    """Masked autoencoder for distribution estimation, over rows of categories.

    ```none
    p(x) = product over i of  softmax(logits_i(x_<i, context))[x_i]
    x_i in {0, ..., V_i - 1}
    ```

    The network sees each variable one-hot, so that nothing is assumed of the order of its
    values. `log_prob` takes one pass, `sample` the arithmetic of one pass. `impute` draws
    missing variables of rows.

    Samples are codes as floating-point numbers; `log_prob` takes them as integers, too. Of
    a code that its variable does not have, it is minus infinity.

    >>> import tfp_flows
    >>> made = tfp_flows.CategoricalMADE([2, 3, 5], hidden_units=(16,), seed=0)
    >>> x = made.sample(100, seed=1)
    >>> x.shape.as_list(), made.log_prob(x).shape.as_list()
    ([100, 3], [100])
    >>> float(made.prob([1, 3, 0]))  # the second variable has the values 0, 1, 2
    0.0
    >>> made.impute(x, [True, False, True], seed=2).shape.as_list()
    [100, 3]

    Args:
      num_values: number of values of each variable, `[D]` integers.
      hidden_units: widths of the hidden layers.
      ordering: degree of each variable, a permutation of `1, ..., D`; natural if None.
      activation: of the hidden layers.
      residual: whether they are residual.
      direct: whether inputs are also connected to outputs directly.
      dropout: share of the hidden units that a step of training drops.
      context_size: width of the context; 0 if there is none.
      standardize_context: whether contexts are standardised, by statistics that
        `initialize` sets.
      seed: integer that determines initial weights; random if None.
      dtype: of samples and weights.
      validate_args: as in TFP.
      name: name of the distribution.

    Raises:
      ValueError: if `num_values` is empty or an entry is below 1, or `ordering` is no
        permutation.

    Reference:
      Germain, Gregor, Murray, Larochelle (2015), MADE. https://arxiv.org/abs/1502.03509
    """

    def __init__(
        self,
        num_values: Sequence[int],
        *,
        hidden_units: Sequence[int] = (64, 64),
        ordering: Sequence[int] | None = None,
        activation: str | Callable = "relu",
        residual: bool = False,
        direct: bool = False,
        dropout: float = 0.0,
        context_size: int = 0,
        standardize_context: bool = True,
        seed: int | None = None,
        dtype: tf.DType | str = tf.float32,
        validate_args: bool = False,
        name: str = "categorical_made",
    ) -> None:
        """Takes the arguments that the class describes."""
        parameters = dict(locals())
        check_arguments(parameters)
        network = OneHotMLP(
            num_values,
            hidden_units,
            ordering,
            activation=activation,
            residual=residual,
            direct=direct,
            dropout=dropout,
            context_size=context_size,
            seed=seed,
            dtype=tf.as_dtype(dtype).name,
        )
        super().__init__(
            network,
            Categorical(network.num_parameters),
            standardize_context=standardize_context,
            validate_args=validate_args,
            parameters=parameters,
            name=name,
        )

    def start_at_frequencies(self, x: npt.ArrayLike, weight: npt.ArrayLike) -> None:
        """Sets the biases of a fresh network so that each variable has its frequencies.

        From uniform logits, Adam needs thousands of steps to reach those of rare values,
        and early stopping may come before. With one pseudo-row, divided equally among the
        values of a variable, no value has the frequency zero.

        Args:
          x: training rows, `[N, D]`.
          weight: weights of the rows, `[N]`, whose mean over those that count is about 1.
        """
        x, weight = np.asarray(x), np.asarray(weight, np.float64)
        logits = np.zeros([max(self.num_values), self.event_size])
        for d, num_values in enumerate(self.num_values):
            counts = np.bincount(x[:, d].astype(int), weight, minlength=num_values)
            logits[:num_values, d] = np.log(counts + 1.0 / num_values)
            logits[:num_values, d] -= np.log(weight.sum() + 1.0)
        self._ensemble.network.set_output_biases(logits.ravel())

    def complete(
        self, x: tf.Tensor, observed: tf.Tensor, seed: tf.Tensor, *context: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Draws missing variables of rows, given those before them in the ordering.

        Args:
          x: `[N, D]`.
          observed: booleans, `[N, D]`; True keeps its value.
          seed: stateless seed.
          *context: `[N, context_size]`, as the network sees it, where there is one.

        Returns:
          Completed rows, `[N, D]`, and the log-probabilities of the observed variables
          given all before them, `[N]`: the rows' importance weights.
        """
        noise = self._conditional.noise(tf.shape(x), seed, self.dtype)
        return self._ensemble.complete(noise, tf.constant([0]), x, observed, *context)

    @property
    def num_values(self) -> tuple[int, ...]:
        """Number of values of each variable, `[D]`."""
        return self._ensemble.network.num_values
