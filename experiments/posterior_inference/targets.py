"""Models with data, and densities to approximate, some with known evidence."""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
import scipy.stats
import sklearn.datasets
import tensorflow as tf
import tensorflow_probability as tfp

tfd = tfp.distributions

_EFFECTS = np.array([28, 8, -3, 7, -1, 1, 18, 12], np.float32)
_ERRORS = np.array([15, 10, 16, 11, 9, 11, 10, 18], np.float32)
_DESIGN = np.random.default_rng(0).normal(size=(20, 5)) @ np.tri(5)
_RESPONSE = _DESIGN @ [1.0, -2.0, 0.0, 1.0, 0.5] + np.random.default_rng(1).normal(size=20)


@dataclasses.dataclass(frozen=True)
class Target:
    """A joint distribution, and values of its observed parts.

    Args:
      build: function without arguments that returns the joint distribution.
      observed: values of observed parts, by name; empty if all parts are latent.
      evidence: function without arguments that returns the exact log-evidence in nats; None
        if unknown.
      first: mean and standard deviation of the first variable if it is normal; or None.
      inapplicable: surrogate posteriors that cannot be built -> reason.
      reference: published draws of the posterior, `[N, D]`; or None.
      names: D names of the columns of `reference`; None: those of the parts.
      parameters: function from latent parts, `[..., *event]` each, to columns, `[..., D]`;
        None: the columns are the parts.
    """

    build: Callable
    observed: dict = dataclasses.field(default_factory=dict)
    evidence: Callable | None = None
    first: tuple | None = None
    inapplicable: dict = dataclasses.field(default_factory=dict)
    reference: np.ndarray | None = None
    names: tuple | None = None
    parameters: Callable | None = None

    def pinned(self):
        """Returns the distribution of the latent parts, with `unnormalized_log_prob`."""
        model = self.build()
        return model.experimental_pin(**self.observed) if self.observed else model

    def rows(self, parts):
        """Joins latent parts, `[N, *event]` each, to rows of the `labels`, `[N, D]`."""
        return flatten(self.parameters(parts) if self.parameters else parts)

    def labels(self):
        """Returns D names of the columns of `rows`."""
        return list(self.names or labels(self.pinned().event_shape))


def flatten(parts):
    """Joins parts, `[N, *event]` each, to rows, `[N, D]`, in the parts' own units."""
    return np.concatenate([np.reshape(p, [len(p), -1]) for p in tf.nest.flatten(parts)], 1)


def labels(event_shape):
    """Returns D names for the columns of `flatten`."""
    names = []
    for name, shape in event_shape._asdict().items():
        indices = np.ndindex(*shape)
        names += [name + (str(list(i)) if i else "") for i in indices]
    return names


def joint(model):
    """Turns a generator of distributions into a function that builds the joint one."""
    return functools.partial(tfd.JointDistributionCoroutineAutoBatched, model)


def eight_schools(errors=_ERRORS):
    """The joint distribution of effects, `[J]`, with errors of known size, `[J]`."""

    @joint
    def build():
        mean = yield tfd.Normal(0.0, 5.0, name="mean")
        spread = yield tfd.HalfCauchy(0.0, 5.0, name="spread")
        z = yield tfd.Sample(tfd.Normal(0.0, 1.0), len(errors), name="z")
        yield tfd.Independent(tfd.Normal(mean + spread * z, errors), 1, name="effects")

    return build()


@joint
def _eight_schools_centered():
    mean = yield tfd.Normal(0.0, 5.0, name="mean")
    spread = yield tfd.HalfCauchy(0.0, 5.0, name="spread")
    school = yield tfd.Sample(tfd.Normal(mean, spread), 8, name="school")
    yield tfd.Independent(tfd.Normal(school, _ERRORS), 1, name="effects")


def _eight_schools_evidence(num_points=20000):
    """Midpoint rule over the spread, whose half-Cauchy prior becomes uniform in u."""
    u = (np.arange(num_points) + 0.5) / num_points
    variances = (
        _ERRORS.astype(np.float64) ** 2 + (5.0 * np.tan(0.5 * np.pi * u)[:, None]) ** 2
    )
    # Covariance diag(variances) + 25 * ones, by the matrix determinant lemma.
    precision = np.sum(1.0 / variances, axis=1) + 1.0 / 25.0
    log_det = np.log(variances).sum(axis=1) + np.log(25.0 * precision)
    distance = (_EFFECTS**2 / variances).sum(axis=1)
    distance -= (_EFFECTS / variances).sum(axis=1) ** 2 / precision
    log_density = -0.5 * (distance + log_det + 8 * np.log(2.0 * np.pi))
    return float(np.logaddexp.reduce(log_density) - np.log(num_points))


@functools.cache
def _breast_cancer():
    table = sklearn.datasets.load_breast_cancer()
    x = (table.data - table.data.mean(axis=0)) / table.data.std(axis=0)
    return x.astype(np.float32), table.target.astype(np.float32)


@joint
def _logistic_regression():
    x, _ = _breast_cancer()
    intercept = yield tfd.Normal(0.0, 1.0, name="intercept")
    slope = yield tfd.Sample(tfd.Normal(0.0, 1.0), x.shape[1], name="slope")
    logits = tf.linalg.matvec(x, slope) + intercept
    yield tfd.Independent(tfd.Bernoulli(logits, dtype=tf.float32), 1, name="is_benign")


@joint
def _funnel():
    v = yield tfd.Normal(0.0, 3.0, name="v")
    yield tfd.Sample(tfd.Normal(0.0, tf.exp(0.5 * v)), 9, name="x")


@joint
def _banana():
    x = yield tfd.Normal(0.0, 10.0, name="x")
    yield tfd.Normal(0.03 * (x**2 - 100.0), 1.0, name="y")


class _MixtureOnAllReals(tfd.MixtureSameFamily):
    """A mixture with the default bijector that TFP's lacks: the identity."""

    def _default_event_space_bijector(self):
        return tfp.bijectors.Identity()


@joint
def _mixture():
    yield _MixtureOnAllReals(
        tfd.Categorical(probs=[0.5, 0.3, 0.2]),
        tfd.MultivariateNormalDiag(
            [[-3.0, 0.0], [3.0, 2.0], [2.0, -4.0]], [[1.0, 0.6], [0.8, 0.8], [0.5, 1.0]]
        ),
        name="x",
    )


@joint
def _gaussian():
    slope = yield tfd.Sample(tfd.Normal(0.0, 2.0), 5, name="slope")
    mean = tf.linalg.matvec(tf.constant(_DESIGN, tf.float32), slope)
    yield tfd.Independent(tfd.Normal(mean, 1.0), 1, name="response")


def _gaussian_evidence():
    covariance = 4.0 * _DESIGN @ _DESIGN.T + np.eye(len(_RESPONSE))
    return float(scipy.stats.multivariate_normal.logpdf(_RESPONSE, cov=covariance))


def _normalised():
    return 0.0


_NO_ASVI = "ASVI interpolates parameters, and those of a mixture are distributions"
_SCHOOLS = {"observed": {"effects": _EFFECTS}, "evidence": _eight_schools_evidence}

TARGETS = {
    "eight_schools": Target(eight_schools, **_SCHOOLS),
    "eight_schools_centered": Target(_eight_schools_centered, **_SCHOOLS),
    "logistic_regression": Target(_logistic_regression, {"is_benign": _breast_cancer()[1]}),
    "funnel": Target(_funnel, evidence=_normalised, first=(0.0, 3.0)),
    "banana": Target(_banana, evidence=_normalised, first=(0.0, 10.0)),
    "mixture": Target(_mixture, {}, _normalised, inapplicable={"asvi": _NO_ASVI}),
    "gaussian": Target(
        _gaussian, {"response": _RESPONSE.astype(np.float32)}, _gaussian_evidence
    ),
}
