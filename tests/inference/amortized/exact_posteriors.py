"""A model whose posterior is known: a normal mean, and data that are normal about it."""

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfp_flows.density.data import Data
from tfp_flows.density.fit import Fit
from tfp_flows.distributions.mixture import Mixture
from tfp_flows.inference.amortized.calibration import Judge
from tfp_flows.inference.amortized.features import Features, Scale
from tfp_flows.inference.amortized.observation_checks import Extent, Surroundings
from tfp_flows.inference.amortized.pairs import Pairs
from tfp_flows.inference.amortized.posterior import AmortizedPosterior
from tfp_flows.inference.amortized.simulator import JointSimulator

SIZE, NOISE = 3, 0.5  # theta ~ N(0, 1) and x ~ N(theta, NOISE), `[3]` each


def pairs(count, seed):
    """Parameters and data of the model."""
    rng = np.random.default_rng(seed)
    theta = rng.normal(size=(count, SIZE))
    return Pairs(theta, rng.normal(theta, NOISE))


def joint():
    """The model as a joint distribution."""
    theta = tfd.Sample(tfd.Normal(0.0, 1.0), SIZE)
    return tfd.JointDistributionNamed(
        {"theta": theta, "x": lambda theta: tfd.Independent(tfd.Normal(theta, NOISE), 1)}
    )


class ExactPosterior(tf.Module):
    """The posterior given x; or one that is wrong.

    Args:
      scale: factor of the standard deviations, one or `[3]`.
      shift: of the means, in standard deviations.
      use: factor of the data; 0 for a posterior that ignores them, which is the prior.
    """

    dtype, event_shape, context_size = tf.float64, tf.TensorShape([SIZE]), SIZE

    def __init__(self, scale=1.0, shift=0.0, use=1.0):
        super().__init__(name="exact")
        precision = 1.0 + use / NOISE**2
        self._deviation = np.asarray(scale) * precision**-0.5
        self._slope = use / NOISE**2 / precision
        self._shift = shift * self._deviation

    def _normal(self, context):
        mean = self._slope * tf.cast(context, tf.float64) + self._shift
        return tfd.Independent(
            tfd.Normal(mean, tf.constant(self._deviation, tf.float64)), 1
        )

    def sample(self, sample_shape=(), seed=None, *, context):
        return self._normal(context).sample(sample_shape, seed=seed)

    def log_prob(self, value, *, context):
        return self._normal(context).log_prob(value)


def fitted(**options):
    """A `Mixture` of one component that stands for a fitted density."""
    density = Mixture([ExactPosterior(**options)])
    object.__setattr__(density, "report", _Report())
    return density


class _Report:
    gain, gain_error = 0.0, 0.1


TRAIN = pairs(2_000, 0)


def fit(checked, **options):
    """A `Fit` that stands for a trained one."""
    density = fitted(**options)
    return Fit(density, density, Data(*TRAIN), Data(*checked))


def amortized(checked, *, is_known=False, likelihood=None, **options):
    """An `AmortizedPosterior` that stands for a trained one.

    Args:
      checked: `Pairs` of the report.
      is_known: whether the joint density weighs draws.
      likelihood: a `LearnedLikelihood` that weighs them.
      **options: of `ExactPosterior`.
    """
    source, found = JointSimulator(joint(), "x"), fit(checked, **options)
    as_they_are = Scale(np.zeros(SIZE), np.ones(SIZE), np.zeros(SIZE, bool))
    return AmortizedPosterior(
        found.density,
        source.support,
        source.form,
        Features(as_they_are),
        report=Judge().calibration(found, 2),
        surroundings=Surroundings.from_simulations(TRAIN.x, checked.x),
        extent=Extent.from_simulations(TRAIN.x, checked.x),
        likelihood=likelihood,
        pin=source.pin if is_known else None,
    )
