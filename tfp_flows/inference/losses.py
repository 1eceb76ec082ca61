"""Losses of variational inference: those of TFP, with low-variance gradients."""

from __future__ import annotations

import functools
from collections.abc import Callable

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import (
    check_callable,
    check_flag,
    check_integer,
    check_members,
    require,
)
from tfp_flows.distributions.draws import stateless
from tfp_flows.inference.parts import check_number_a_draw

_POSTERIOR = "a `tfd.Distribution`, such as one of `flow_posterior`"


def variational_loss(
    target_log_prob_fn: Callable,
    posterior: tfp.distributions.Distribution,
    *,
    sample_size: int = 1,
    importance_sample_size: int = 1,
    sticking_the_landing: bool = False,
    seed: int | TensorLike | None = None,
) -> tf.Tensor:
    """The negative lower bound of the log-evidence, as `tfp.vi` estimates it.

    ```none
    log w_k = target_log_prob(z_k) - log q(z_k),    z_k drawn from q
    loss = -log(mean of w_1 ... w_K),   averaged over `sample_size` such groups
    ```

    With K = 1, the loss is the negative ELBO. `sticking_the_landing` drops the part of the
    gradient whose mean is zero, which is noise even if q is the posterior; for K > 1 it is
    the doubly reparameterised estimator. It costs one evaluation of `log_prob`. This is
    cheap for couplings. For an IAF it is the sequential direction, which also loses digits
    while the posterior is far from the target. To train:

    ```python
    def loss(seed):
        return tfp_flows.variational_loss(
            pinned.unnormalized_log_prob,
            posterior,
            sample_size=32,
            sticking_the_landing=True,
            seed=seed,
        )

    tfp.math.minimize(
        loss,
        num_steps=1000,
        optimizer=keras.optimizers.Adam(1e-2),
        trainable_variables=posterior.trainable_variables,
        jit_compile=True,
    )
    ```

    Args:
      target_log_prob_fn: unnormalised log-density, a function of the parts of a draw.
      posterior: a `tfd.Distribution` with reparameterised draws, such as a `FlowPosterior`.
      sample_size: number of groups of draws.
      importance_sample_size: number of draws in a group, K.
      sticking_the_landing: whether the part of the gradient whose mean is zero is dropped.
      seed: integer, which gives the same draws at each call, or any argument of
        `tfp.random.sanitize_seed`.

    Returns:
      Scalar, in nats.

    Raises:
      ValueError: if an argument is invalid, or if the target does not return a number for
        each draw.

    >>> import tfp_flows
    >>> normal = tfp_flows.standard_normal(2)
    >>> q = tfp_flows.FlowDistribution(normal, tfp_flows.RealNVP(2, num_steps=2, seed=0))
    >>> loss = tfp_flows.variational_loss(normal.log_prob, q, sample_size=8, seed=1)
    >>> abs(float(loss)) < 1e-4  # q starts as the target
    True

    Reference:
      Roeder, Wu, Duvenaud (2017), Sticking the landing. https://arxiv.org/abs/1703.09194
      Tucker et al. (2018), Doubly reparameterized gradient estimators for Monte Carlo
      objectives. https://arxiv.org/abs/1810.04152
    """
    words = "a function of the parts of a draw"
    check_callable("target_log_prob_fn", target_log_prob_fn, words)
    check_members("posterior", posterior, ("log_prob", "event_shape"), _POSTERIOR)
    check_integer("sample_size", sample_size)
    check_integer("importance_sample_size", importance_sample_size)
    check_flag("sticking_the_landing", sticking_the_landing)
    estimators = tfp.vi.GradientEstimators
    options = {"gradient_estimator": estimators.REPARAMETERIZATION}
    dtype = tf.as_dtype(tf.nest.flatten(posterior.dtype)[0])
    batch_shape = functools.reduce(
        tf.broadcast_static_shape, tf.nest.flatten(posterior.batch_shape)
    )
    if sticking_the_landing:
        posterior = _FixedWeights(posterior)
        options = {
            "gradient_estimator": estimators.DOUBLY_REPARAMETERIZED,
            "stopped_surrogate_posterior": posterior,
        }
    log_probs = []

    def log_prob(*parts, **named_parts):
        log_probs.append(target_log_prob_fn(*parts, **named_parts))
        return tf.convert_to_tensor(log_probs[-1], dtype_hint=dtype)

    loss = failure = None
    try:
        loss = tfp.vi.monte_carlo_variational_loss(
            log_prob,
            posterior,
            sample_size=sample_size,
            importance_sample_size=importance_sample_size,
            seed=stateless(seed),
            **options,
        )
    except Exception as error:
        failure = error
    # `tfp.vi` would wrap an error of the target in another, so the check comes after it.
    num_draws = sample_size * importance_sample_size
    shape = tf.TensorShape([num_draws]).concatenate(batch_shape)
    for result in log_probs:
        _check_target(result, shape, dtype)
    if failure:
        raise failure
    return loss


def _check_target(result, shape, dtype):
    """Refuses log-densities of a target that are no tensor of a number for each draw."""
    words = f"a log-density of the target of {dtype.name} numbers, as the posterior"
    hint = " Compute it by TensorFlow: NumPy has no gradients."
    require(tf.is_tensor(result), words, type(result).__name__, hint)
    require(result.dtype == dtype, words, result.dtype.name)
    check_number_a_draw(result, shape)


class _FixedWeights:
    """A posterior for one evaluation of the loss, whose `log_prob` has constant weights.

    A copy with constant weights is impossible, since flows own their variables.
    """

    def __init__(self, posterior):
        self._posterior = posterior
        self.reparameterization_type = posterior.reparameterization_type

    def experimental_sample_and_log_prob(self, sample_shape, seed):
        draws, self._total = self._posterior.experimental_sample_and_log_prob(
            sample_shape, seed=seed
        )
        return draws, self._total

    def log_prob(self, draws):
        """The log-density of the last draws, with a gradient through the draws alone."""
        # The total gradient less the gradient with respect to the weights.
        fixed = tf.nest.map_structure(tf.stop_gradient, draws)
        by_weights = self._posterior.log_prob(fixed)
        return self._total - (by_weights - tf.stop_gradient(by_weights))
