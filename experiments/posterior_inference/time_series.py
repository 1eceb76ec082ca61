"""Models of time series: autoregression, ARMA(1, 1) and GARCH(1, 1)."""

import functools

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from experiments.posterior_inference.flat_priors import wide_half_normal
from experiments.posterior_inference.flat_priors import wide_normal
from experiments.posterior_inference.targets import Target

__all__ = ["NormalSeries", "arma", "autoregression", "garch", "recurrence"]

tfd = tfp.distributions
_Root = tfd.JointDistributionCoroutine.Root


class NormalSeries(tfd.Distribution):
    """A series each of whose values is normal, given those before it.

    Args:
      predict: function of a series, `[..., T]` in float64, that returns the means and the
        standard deviations, `[*batch, T]` each, of its values, given those before each.
      num_steps: T.
      batch_of: tensor of the shape `batch`.
    """

    def __init__(self, predict, num_steps, *, batch_of, name="NormalSeries"):
        parameters = dict(locals())
        self._predict, self._num_steps = predict, num_steps
        self._batch_of = tf.convert_to_tensor(batch_of)
        super().__init__(
            dtype=self._batch_of.dtype,
            reparameterization_type=tfd.FULLY_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            parameters=parameters,
            name=name,
        )

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {"batch_of": tfp.util.ParameterProperties()}

    def _event_shape(self):
        return tf.TensorShape([self._num_steps])

    def _event_shape_tensor(self):
        return tf.constant([self._num_steps])

    def _batch_shape(self):
        return self._batch_of.shape

    def _batch_shape_tensor(self):
        return tf.shape(self._batch_of)

    def _log_prob(self, series):
        series = tf.cast(series + tf.zeros_like(self._batch_of)[..., None], tf.float64)
        log_prob = tfd.Normal(*self._predict(series)).log_prob(series)
        return tf.cast(tf.reduce_sum(log_prob, axis=-1), self.dtype)

    def _sample_n(self, n, seed=None):
        shape = tf.concat([[n], tf.shape(self._batch_of), [self._num_steps]], axis=0)
        seed = tfp.random.sanitize_seed(seed)
        noise = tf.random.stateless_normal(shape, seed, dtype=tf.float64)
        times = tf.range(self._num_steps)

        def set_value(t, series):
            mean, deviation = self._predict(series)
            return t + 1, tf.where(times == t, mean + deviation * noise, series)

        _, series = tf.while_loop(
            lambda t, _: t < self._num_steps, set_value, [0, tf.zeros_like(noise)]
        )
        return tf.cast(series, self.dtype)


def recurrence(inputs, coefficient):
    """Solves `x_1 = inputs_1`, `x_t = inputs_t + coefficient x_{t-1}`.

    With K terms of `x_t = sum_k coefficient^k inputs_{t-k}`, twice as many follow from the
    sums of K terms at t and at t - K: about log2(T) products of whole series.

    Args:
      inputs: `[..., T]`, T known.
      coefficient: `[...]`.
    """
    power, count, total = coefficient[..., None], 1, inputs
    while count < inputs.shape[-1]:
        total += power * _delayed(total, count)
        power, count = power**2, 2 * count
    return total


def autoregression(data):
    """Returns the `Target` of an AR(K) with normal errors.

    Args:
      data: `y`, `[T]`, of which the first `K` are given.
    """
    y, order = data["y"], int(data["K"])
    first, rest = y[:order], y[order:]

    def predict(alpha, beta, sigma, series):
        ones = tf.ones_like(series[..., :1])
        series = tf.concat([ones * first, series], axis=-1)
        lags = [series[..., order - k : len(y) - k] for k in range(1, order + 1)]
        # [..., T - K, K] times [..., K]
        mean = alpha[..., None] + tf.linalg.matvec(tf.stack(lags, axis=-1), beta)
        return mean, sigma[..., None] * tf.ones_like(mean)

    def model():
        alpha = yield _Root(tfd.Normal(0.0, 10.0, name="alpha"))
        beta = yield _Root(tfd.Sample(tfd.Normal(0.0, 10.0), order, name="beta"))
        sigma = yield _Root(tfd.HalfCauchy(0.0, 2.5, name="sigma"))
        yield _series(predict, (alpha, beta, sigma), len(rest))

    return _target(model, rest)


def arma(data):
    """Returns the `Target` of an ARMA(1, 1) with normal errors.

    Args:
      data: `y`, `[T]`.
    """

    def predict(mu, phi, theta, sigma, series):
        before = tf.concat([_first(mu, series), series[..., :-1]], axis=-1)
        inputs = series - mu[..., None] - phi[..., None] * before
        errors = recurrence(inputs, -theta)
        return series - errors, sigma[..., None] * tf.ones_like(errors)

    def model():
        mu = yield _Root(tfd.Normal(0.0, 10.0, name="mu"))
        phi = yield _Root(tfd.Normal(0.0, 2.0, name="phi"))
        theta = yield _Root(tfd.Normal(0.0, 2.0, name="theta"))
        sigma = yield _Root(tfd.HalfCauchy(0.0, 2.5, name="sigma"))
        yield _series(predict, (mu, phi, theta, sigma), len(data["y"]))

    return _target(model, data["y"])


def garch(data):
    """Returns the `Target` of a GARCH(1, 1), flat where `alpha1 + beta1 < 1`.

    Args:
      data: `y`, `[T]`, and `sigma1`, the standard deviation of its first value.
    """

    def predict(mu, alpha0, alpha1, share, series):
        squares = alpha1[..., None] * (series - mu[..., None])[..., :-1] ** 2
        inputs = alpha0[..., None] + squares
        first = _first(tf.ones_like(mu) * data["sigma1"] ** 2, inputs)
        inputs = tf.concat([first, inputs], axis=-1)
        variances = recurrence(inputs, (1.0 - alpha1) * share)
        return mu[..., None] * tf.ones_like(variances), tf.sqrt(variances)

    def model():
        mu = yield _Root(wide_normal(name="mu"))
        alpha0 = yield _Root(wide_half_normal(name="alpha0"))
        # Their density is that of alpha1 and beta1 = (1 - alpha1) share, flat.
        alpha1 = yield _Root(tfd.Beta(1.0, 2.0, name="alpha1"))
        share = yield _Root(tfd.Uniform(0.0, 1.0, name="share"))
        yield _series(predict, (mu, alpha0, alpha1, share), len(data["y"]))

    def parameters(parts):
        mu, alpha0, alpha1, share = parts
        return np.stack([mu, alpha0, alpha1, (1.0 - alpha1) * share], axis=-1)

    def parts(rows):
        mu, alpha0, alpha1, beta1 = np.moveaxis(rows, -1, 0)
        return [mu, alpha0, alpha1, beta1 / (1.0 - alpha1)]

    return _target(model, data["y"], parameters=parameters, parts=parts)


def _series(predict, parameters, num_steps):
    # In float32, sums over all times would lose digits.
    wide = [tf.cast(p, tf.float64) for p in parameters]
    predict = functools.partial(predict, *wide)
    return NormalSeries(predict, num_steps, batch_of=parameters[0], name="y")


def _target(model, y, **maps):
    build = functools.partial(tfd.JointDistributionCoroutine, model)
    return Target(build, {"y": y.astype(np.float32)}, **maps)


def _first(value, series):
    """A first value, `[...]`, as `[..., 1]` with all batch axes of a series."""
    return value[..., None] * tf.ones_like(series[..., :1])


def _delayed(series, count):
    zeros = [[0, 0]] * (series.shape.rank - 1)
    return tf.pad(series[..., :-count], [*zeros, [count, 0]])
