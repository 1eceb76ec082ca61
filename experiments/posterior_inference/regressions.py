"""Linear regressions of posteriordb, unstandardised."""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from experiments.posterior_inference.flat_priors import wide_half_normal
from experiments.posterior_inference.flat_priors import wide_normal
from experiments.posterior_inference.targets import Target

__all__ = ["REGRESSIONS", "Regression"]

tfd = tfp.distributions


@dataclasses.dataclass(frozen=True)
class Regression:
    """A linear model with normal errors, as a function of its data.

    Args:
      design: function of the data, a dictionary of arrays, that returns `[N, K]`.
      response: function of the data that returns `[N]`.
      slope: function without arguments that returns the prior of each coefficient.
      intercept: the same for an intercept; None where a column of the design is one.
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
                mean += yield _named(self.intercept(), "intercept")
            deviation = yield _named(self.deviation(), "deviation")
            yield tfd.Independent(tfd.Normal(mean, deviation), 1, name="response")

        return tfd.JointDistributionCoroutineAutoBatched(model)


def _named(distribution, name):
    return distribution.copy(name=name)


def _columns(*columns):
    """A design with a leading column of ones."""
    return np.stack([np.ones_like(columns[0]), *columns], axis=1)


def _kidscore(data):
    return _columns(data["mom_hs"], data["mom_iq"])


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
        _kidscore,
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
