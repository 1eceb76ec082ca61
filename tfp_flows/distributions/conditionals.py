"""Families of conditional distributions of one variable, with parameters from a network.

A family of your own has these members, for N rows of D variables:

```none
num_parameters                  P, parameters of a variable
num_noise                       random numbers for a sample of a variable
log_prob(x, parameters)         [N, D],  x [N, D],  parameters [N, P, D]
noise(shape, seed, dtype)       [*shape, num_noise],  seed stateless
sample(noise, parameters)       [N, D],  noise [N, D, num_noise]
default_event_space_bijector()  as in TFP; None if discrete
get_config()                    arguments of the constructor, for saving
```

A discrete one also has `is_discrete`, True, and `num_values`, values of a variable.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import check_positive, check_size
from tfp_flows.core.results import minus_infinity_outside
from tfp_flows.core.serialization import ConfiguredByAttributes
from tfp_flows.distributions import draws
from tfp_flows.networks.one_hot_mlp import ABSENT_LOGIT
from tfp_flows.transformers.affine import soft_bounded_scale

__all__ = ["Bernoulli", "Categorical", "GaussianMixture"]


class _Discrete(ConfiguredByAttributes):
    """A family of integers, which draws by the quantile function at a uniform number."""

    num_noise = 1
    is_discrete = True

    def noise(
        self, shape: Sequence[int], seed: int | TensorLike, dtype: tf.DType | str
    ) -> tf.Tensor:
        """Uniform numbers, `[*shape, 1]`."""
        return draws.uniform(shape, seed, dtype)[..., None]

    def default_event_space_bijector(self) -> None:
        """None, as for TFP's discrete distributions."""


class Bernoulli(_Discrete):
    """`p(x = 1) = sigmoid(logit)`, for x in {0, 1}.

    >>> import tensorflow as tf
    >>> from tfp_flows.distributions import conditionals
    >>> family = conditionals.Bernoulli()
    >>> parameters = tf.zeros([1, family.num_parameters, 2])  # of two variables
    >>> family.log_prob(tf.constant([[1.0, 0.0]]), parameters).numpy().round(3)
    array([[-0.693, -0.693]], dtype=float32)
    """

    num_parameters = 1
    num_values = 2

    def log_prob(self, x: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """Log-probabilities, `[N, D]`; -inf unless x is 0 or 1, NaN for NaN."""
        logits = parameters[:, 0, :]
        log_prob = x * logits - tf.math.softplus(logits)
        return minus_infinity_outside(log_prob, (x == 0.0) | (x == 1.0), x, [])

    def sample(self, noise: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """Samples, `[N, D]`: the quantile function at `noise`."""
        return tf.cast(noise[..., 0] < tf.sigmoid(parameters[:, 0, :]), noise.dtype)


class Categorical(_Discrete):
    """`p(x = v) = softmax(logits)_v`, for x in {0, ..., V - 1}.

    A `OneHotMLP` returns `ABSENT_LOGIT` for values that a variable does not have.

    Args:
      num_values: V, the largest number of values of a variable.

    Raises:
      ValueError: if `num_values` is below 1.

    >>> import tensorflow as tf
    >>> from tfp_flows.distributions import conditionals
    >>> family = conditionals.Categorical(3)
    >>> parameters = tf.zeros([1, family.num_parameters, 2])  # of two variables
    >>> family.log_prob(tf.constant([[1.0, 0.0]]), parameters).numpy().round(3)
    array([[-1.099, -1.099]], dtype=float32)
    """

    def __init__(self, num_values: int) -> None:
        self.num_values = check_size("num_values", num_values)

    @property
    def num_parameters(self) -> int:
        """Number of parameters of a variable, P: V."""
        return self.num_values

    def log_prob(self, x: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """Log-probabilities, `[N, D]`; -inf unless x is one of the values, NaN for NaN."""
        values = tf.range(self.num_values, dtype=x.dtype)
        is_value = tf.equal(x[:, None, :], values[:, None])
        log_probs = tf.nn.log_softmax(parameters, axis=1)
        log_prob = tf.reduce_sum(tf.where(is_value, log_probs, 0.0), axis=1)
        is_present = is_value & (parameters > 0.5 * ABSENT_LOGIT)
        return minus_infinity_outside(log_prob, tf.reduce_any(is_present, axis=1), x, [])

    def sample(self, noise: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """Samples, `[N, D]`: the quantile function at `noise`."""
        up_to = tf.cumsum(tf.nn.softmax(parameters, axis=1), axis=1)
        # Relative to the last sum, which may round below 1, so no absent value is drawn.
        is_below = up_to < noise[:, None, :, 0] * up_to[:, -1:]
        return tf.reduce_sum(tf.cast(is_below, noise.dtype), axis=1)


class GaussianMixture(ConfiguredByAttributes):
    """A mixture of K normal distributions.

    ```none
    p(x) = sum over k of  softmax(logits)_k  Normal(x; loc_k, exp(log_scale_k))
    loc_k       = start_k + first parameters
    log_scale_k = start   + bounded(second parameters)
    ```

    At zero parameters the components are at quantiles of a standard normal, and their
    mixture approximates it. Equal components would remain equal in training.

    Args:
      num_components: K.
      max_log_scale: soft bound of the change of log-scales. The default allows components
        of a thousandth of the width, which rounded data need.

    Raises:
      ValueError: if `num_components` is below 1.

    >>> import tensorflow as tf
    >>> from tfp_flows.distributions import conditionals
    >>> family = conditionals.GaussianMixture(2)
    >>> parameters = tf.zeros([1, family.num_parameters, 2])  # of two variables
    >>> family.log_prob(tf.constant([[1.0, 0.0]]), parameters).numpy().round(3)
    array([[-1.325, -1.033]], dtype=float32)

    Reference:
      Bishop (1994), Mixture density networks.
      Papamakarios, Pavlakou, Murray (2017), MAF, section 4.1 (MADE MoG).
      https://arxiv.org/abs/1705.07057
    """

    num_noise = 2

    def __init__(self, num_components: int, max_log_scale: float = 7.0) -> None:
        check_size("num_components", num_components)
        check_positive("max_log_scale", max_log_scale)
        self.num_components = num_components
        self.max_log_scale = max_log_scale
        self._start_locs, self._start_log_scale = _like_standard_normal(num_components)

    @property
    def num_parameters(self) -> int:
        """Number of parameters of a variable, P."""
        return 3 * self.num_components

    def log_prob(self, x: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """Log-densities, `[N, D]`."""
        log_weights, loc, log_scale = self._components(parameters)
        standard = (x[:, None, :] - loc) * tf.exp(-log_scale)
        log_normal = -0.5 * standard**2 - log_scale - 0.5 * math.log(2.0 * math.pi)
        return tf.reduce_logsumexp(log_weights + log_normal, axis=1)

    def noise(
        self, shape: Sequence[int], seed: int | TensorLike, dtype: tf.DType | str
    ) -> tf.Tensor:
        """A uniform number, to choose the component, and a normal one, `[*shape, 2]`."""
        first, second = draws.split(seed, 2)
        uniform = draws.uniform(shape, first, dtype)
        return tf.stack([uniform, draws.normal(shape, second, dtype)], axis=-1)

    def sample(self, noise: tf.Tensor, parameters: tf.Tensor) -> tf.Tensor:
        """Samples, `[N, D]`, of one component each."""
        log_weights, loc, log_scale = self._components(parameters)
        above = tf.cumsum(tf.exp(log_weights), axis=1) < noise[:, None, :, 0]
        # Without the last sum, which may round below the noise.
        chosen = tf.reduce_sum(tf.cast(above[:, :-1], tf.int32), axis=1)
        is_chosen = tf.one_hot(chosen, self.num_components, axis=1, dtype=noise.dtype)
        samples = loc + tf.exp(log_scale) * noise[:, None, :, 1]
        return tf.reduce_sum(is_chosen * samples, axis=1)

    def mixture(self, parameters: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Log-weights, locations and scales, `[..., K]`, of `parameters`, `[..., P]`."""
        shape = tf.shape(parameters)
        parameters = tf.reshape(parameters, [-1, self.num_parameters, 1])
        parts = self._components(parameters)
        shape = tf.concat([shape[:-1], [self.num_components]], axis=0)
        log_weights, loc, log_scale = (tf.reshape(part, shape) for part in parts)
        return log_weights, loc, tf.exp(log_scale)

    def default_event_space_bijector(self) -> tfp.bijectors.Bijector:
        """The identity: all reals can occur."""
        return tfp.bijectors.Identity()

    def _components(self, parameters):
        """Log-weights, locations and log-scales, `[N, K, D]` each."""
        logits, shift, s = tf.split(parameters, 3, axis=1)
        start = tf.constant(self._start_locs[:, None], parameters.dtype)
        log_scale = self._start_log_scale + soft_bounded_scale(s, self.max_log_scale)
        return tf.nn.log_softmax(logits, axis=1), start + shift, log_scale


def _like_standard_normal(num_components):
    """Locations, `[K]`, and log-scale of equal parts of a standard normal."""
    probabilities = (np.arange(num_components) + 0.5) / num_components
    locs = math.sqrt(2.0) * tf.math.erfinv(2.0 * probabilities - 1.0).numpy()
    return locs, 0.5 * math.log(1.0 - np.var(locs))
