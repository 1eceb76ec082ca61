"""Models of posteriordb: regressions, time series, a mixture, and two others."""

import dataclasses
import functools
import math
from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from experiments.posterior_inference.predator_prey import solve
from experiments.posterior_inference.targets import Target, eight_schools

tfd = tfp.distributions

_JITTER = 1e-10  # on the diagonal of kernels of Gaussian processes


def wide_normal(name="Normal"):
    """Replaces a flat prior on all reals."""
    return tfd.Normal(0.0, 1e4, name=name)


def wide_half_normal(name="HalfNormal"):
    """Replaces a flat prior above zero."""
    return tfd.HalfNormal(1e3, name=name)


@dataclasses.dataclass(frozen=True)
class Regression:
    """A linear model with normal errors, as a function of its data.

    Args:
      design: function of the data, a dictionary of arrays, that returns `[N, K]`.
      response: function of the data that returns `[N]`.
      slope: function without arguments that returns the prior of each coefficient.
      intercept: the same for an intercept; None if the design has a column of ones.
      deviation: the same for the standard deviation of the errors.
    """

    design: Callable
    response: Callable
    slope: Callable = wide_normal
    intercept: Callable | None = None
    deviation: Callable = wide_half_normal

    def __call__(self, data):
        """Returns the `Target`."""
        design = tf.constant(self.design(data), tf.float32)
        observed = {"response": self.response(data).astype(np.float32)}
        return Target(functools.partial(self._model, design), observed)

    def _model(self, design):
        def model():
            mean = tf.linalg.matvec(
                design, (yield tfd.Sample(self.slope(), design.shape[1], name="slope"))
            )
            if self.intercept is not None:
                mean += yield self.intercept().copy(name="intercept")
            deviation = yield self.deviation().copy(name="deviation")
            yield tfd.Independent(tfd.Normal(mean, deviation), 1, name="response")

        return tfd.JointDistributionCoroutineAutoBatched(model)


def _columns(*columns):
    """A design with a leading column of ones."""
    return np.stack([np.ones_like(columns[0]), *columns], axis=1)


def _logearn(data):
    height, male = data["height"], data["male"]
    return _columns(height, male, height * male)


def _logmesquite(data):
    first, second = data["diam1"], data["diam2"]
    return _columns(
        np.log(first * second * data["canopy_height"]),
        np.log(first * second),
        np.log(first / second),
        np.log(data["total_height"]),
        data["group"],
    )


def _nes(data):
    ages = [(data["age_discrete"] == age).astype(np.float64) for age in (2, 3, 4)]
    others = [data[name] for name in ("educ1", "gender", "income")]
    return _columns(data["real_ideo"], data["race_adj"], *ages, *others)


def _diamonds(data):
    x = data["X"][:, 1:]
    return x - x.mean(axis=0)


REGRESSIONS = {
    "kidiq-kidscore_momhsiq": Regression(
        lambda data: _columns(data["mom_hs"], data["mom_iq"]),
        lambda data: data["kid_score"],
        deviation=lambda: tfd.HalfCauchy(0.0, 2.5),
    ),
    "earnings-logearn_interaction": Regression(_logearn, lambda data: np.log(data["earn"])),
    "mesquite-logmesquite_logvash": Regression(
        _logmesquite, lambda data: np.log(data["weight"])
    ),
    "nes1980-nes": Regression(_nes, lambda data: data["partyid7"]),
    "sblrc-blr": Regression(
        lambda data: data["X"],
        lambda data: data["y"],
        slope=lambda: tfd.Normal(0.0, 10.0),
        deviation=lambda: tfd.HalfNormal(10.0),
    ),
    "diamonds-diamonds": Regression(
        _diamonds,
        lambda data: data["Y"],
        slope=lambda: tfd.Normal(0.0, 1.0),
        intercept=lambda: tfd.StudentT(3.0, 8.0, 10.0),
        deviation=lambda: tfd.HalfStudentT(3.0, 0.0, 10.0),
    ),
}


_Root = tfd.JointDistributionCoroutine.Root


class Ascending(tfd.Sample):
    """Sorted independent draws of one distribution.

    The density of n sorted values is n! times that of independent draws.
    """

    def _log_prob(self, value, **kwargs):
        size = tf.cast(self.event_shape[-1], value.dtype)
        return super()._log_prob(value, **kwargs) + tf.math.lgamma(size + 1.0)

    def _sample_n(self, n, seed, **kwargs):
        return tf.sort(super()._sample_n(n, seed, **kwargs), axis=-1)

    def _default_event_space_bijector(self):
        return tfp.bijectors.Ascending()


def two_normals(data):
    """Returns the `Target` of a mixture of two normals, for the data `y`, `[N]`."""

    def model():
        mu = yield _Root(Ascending(tfd.Normal(0.0, 2.0), 2, name="mu"))
        sigma = yield _Root(tfd.Sample(tfd.HalfNormal(2.0), 2, name="sigma"))
        theta = yield _Root(tfd.Beta(5.0, 5.0, name="theta"))
        mixture = tfd.MixtureSameFamily(
            tfd.Categorical(probs=tf.stack([theta, 1.0 - theta], axis=-1)),
            tfd.Normal(mu, sigma),
        )
        yield tfd.Sample(mixture, len(data["y"]), name="y")

    return _target(model, {"y": data["y"]})


class NormalSeries(tfd.Distribution):
    """A time series with normal values, given earlier values.

    Args:
      predict: function of a series, `[..., T]` in float64, that returns mean and standard
        deviation of each value given the earlier ones, `[*batch, T]` each.
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
    """Solves `x_1 = inputs_1`, `x_t = inputs_t + coefficient x_{t-1}`, `[..., T]`.

    The sum `x_t = sum_k coefficient^k inputs_{t-k}` over 2K terms follows from the sums
    over K terms at t and at t - K, so about log2(T) operations on whole series are enough.
    """
    power, count, total = coefficient[..., None], 1, inputs
    batch = [[0, 0]] * (inputs.shape.rank - 1)
    while count < inputs.shape[-1]:
        total += power * tf.pad(total[..., :-count], [*batch, [count, 0]])
        power, count = power**2, 2 * count
    return total


def autoregression(data):
    """Returns the `Target` of an AR(`K`) with normal errors, for the data `y`, `[T]`.

    The first K values are given.
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

    return _target(model, {"y": rest})


def arma(data):
    """Returns the `Target` of an ARMA(1, 1) with normal errors, for the data `y`, `[T]`."""

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

    return _target(model, {"y": data["y"]})


def garch(data):
    """Returns the `Target` of a GARCH(1, 1), flat where `alpha1 + beta1 < 1`.

    The data are `y`, `[T]`, and `sigma1`, the standard deviation of its first value.
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
        # These priors make alpha1 and beta1 = (1 - alpha1) * share uniform.
        alpha1 = yield _Root(tfd.Beta(1.0, 2.0, name="alpha1"))
        share = yield _Root(tfd.Uniform(0.0, 1.0, name="share"))
        yield _series(predict, (mu, alpha0, alpha1, share), len(data["y"]))

    def parameters(parts):
        mu, alpha0, alpha1, share = parts
        return np.stack([mu, alpha0, alpha1, (1.0 - alpha1) * share], axis=-1)

    return _target(model, {"y": data["y"]}, parameters=parameters)


def _series(predict, parameters, num_steps):
    # Float64, since sums over all times lose digits in float32.
    wide = [tf.cast(p, tf.float64) for p in parameters]
    predict = functools.partial(predict, *wide)
    return NormalSeries(predict, num_steps, batch_of=parameters[0], name="y")


def _target(model, observed, parameters=None):
    build = functools.partial(tfd.JointDistributionCoroutine, model)
    observed = {name: array.astype(np.float32) for name, array in observed.items()}
    return Target(build, observed, parameters=parameters)


def _first(value, series):
    """Returns a first value, `[...]`, as `[..., 1]` with all batch axes of a series."""
    return value[..., None] * tf.ones_like(series[..., :1])


class _NormalAboveZero(tfd.TruncatedNormal):
    """Normals above zero; TFP's default bijector needs a finite upper end."""

    def _default_event_space_bijector(self):
        return tfp.bijectors.Exp()


def lotka_volterra(data):
    """Returns the `Target` of counts of prey and predators.

    The data are `y_init`, `[2]`, at time 0, and `y`, `[T, 2]`, at the times `ts`, `[T]`.
    """
    middle, spread = np.float32([[1.0, 0.05, 1.0, 0.05], [0.5, 0.05, 0.5, 0.05]])

    def model():
        theta = yield _Root(
            tfd.Independent(_NormalAboveZero(middle, spread, 0.0, np.inf), 1, name="theta")
        )
        z_init = yield _Root(
            tfd.Sample(tfd.LogNormal(math.log(10.0), 1.0), 2, name="z_init")
        )
        sigma = yield _Root(tfd.Sample(tfd.LogNormal(-1.0, 1.0), 2, name="sigma"))
        first = tfd.LogNormal(tf.math.log(z_init), sigma)
        yield tfd.Independent(first, 1, name="y_init")
        wide = (tf.cast(p, tf.float64) for p in (theta, z_init))
        log_z = tf.cast(solve(*wide, data["ts"]), theta.dtype)
        counts = tfd.LogNormal(log_z, sigma[..., None, :])
        yield tfd.Independent(counts, 2, name="y")

    return _target(model, {name: data[name] for name in ("y_init", "y")})


def poisson_regression(data):
    """Returns the `Target` of counts `k` at points `x`, `[N]` each, which are the data.

    The Gaussian process is `f = L z`, with standard normal z and a Cholesky factor L.
    """
    squares = (data["x"][:, None] - data["x"]) ** 2
    size = len(data["x"])

    def process(rho, alpha, z):
        rho, alpha = _within(rho, 1e-3, 1e3), _within(alpha, 0.0, 1e6)
        kernel = alpha**2 * tf.exp(-0.5 * squares / rho**2)
        # For alpha above 30 the model's jitter would be lost in rounding.
        jitter = tf.maximum(1e-13 * alpha**2, _JITTER)
        factor = tf.linalg.cholesky(kernel + jitter * np.eye(size))
        return tf.linalg.matvec(factor, tf.cast(z, tf.float64))

    def model():
        rho = yield _Root(tfd.Gamma(25.0, 4.0, name="rho"))
        alpha = yield _Root(tfd.HalfNormal(2.0, name="alpha"))
        z = yield _Root(tfd.Sample(tfd.Normal(0.0, 1.0), size, name="z"))
        log_rate = tf.cast(process(rho, alpha, z), z.dtype)
        yield tfd.Independent(tfd.Poisson(log_rate=log_rate), 1, name="k")

    def parameters(parts):
        rho, alpha, z = parts
        columns = [np.stack([rho, alpha], axis=-1), process(rho, alpha, z)]
        return np.concatenate(columns, axis=-1)

    return _target(model, {"k": data["k"]}, parameters=parameters)


def _within(value, low, high):
    """Returns float64, `[..., 1, 1]`, clipped so that a Cholesky factor exists.

    Otherwise TensorFlow raises an error for a whole batch of draws.
    """
    value = tf.cast(value, tf.float64)[..., None, None]
    value = tf.where(tf.math.is_finite(value), value, 1.0)
    return tf.clip_by_value(value, low, high)


def schools(data):
    """Returns the `Target` of eight schools, for the effects `y` and their errors `sigma`.

    The parameters are those of posteriordb: effects of schools, mu and tau.
    """

    def parameters(parts):
        mean, spread, z = (np.asarray(part) for part in parts)
        effects = mean[..., None] + spread[..., None] * z
        return np.concatenate([effects, np.stack([mean, spread], axis=-1)], axis=-1)

    errors, effects = (data[name].astype(np.float32) for name in ("sigma", "y"))
    observed = {"effects": effects}
    return Target(lambda: eight_schools(errors), observed, parameters=parameters)


# Name -> function of the data, a dictionary of arrays, that returns the `Target`.
MODELS = {
    "arK-arK": autoregression,
    "arma-arma11": arma,
    "eight_schools-eight_schools_noncentered": schools,
    "garch-garch11": garch,
    "gp_pois_regr-gp_pois_regr": poisson_regression,
    "hudson_lynx_hare-lotka_volterra": lotka_volterra,
    "low_dim_gauss_mix-low_dim_gauss_mix": two_normals,
    **REGRESSIONS,
}
