"""One model in every structure of a joint distribution, with its data pinned."""

import numpy as np
import tensorflow_probability as tfp

tfd = tfp.distributions
Y = np.float32([1.0, -2.0])
SCALE = tfd.Gamma(3.0, 1.0, name="scale")


def places(scale):
    return tfd.Sample(tfd.Normal(scale, 1.0), 2, name="places")


def observed(places):
    return tfd.Independent(tfd.Normal(places, 1.0), 1, name="observed")


def coroutine():
    scale = yield SCALE
    x = yield places(scale)
    yield observed(x)


NAMED = {"scale": SCALE, "places": places, "observed": observed}
PINNED = {
    "coroutine": tfd.JointDistributionCoroutineAutoBatched(coroutine).experimental_pin(
        observed=Y
    ),
    "named": tfd.JointDistributionNamedAutoBatched(NAMED).experimental_pin(observed=Y),
    "sequential": tfd.JointDistributionSequentialAutoBatched(
        [SCALE, places, observed]
    ).experimental_pin(None, None, Y),
}


def log_prob(scale, places):
    """The log-density of the pinned model, a function of draws."""
    joint = tfd.JointDistributionNamed(NAMED)
    return joint.log_prob(scale=scale, places=places, observed=Y)
