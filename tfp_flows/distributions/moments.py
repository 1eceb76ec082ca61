"""Moments and divergences by TFP's rules, or an error that says how to estimate them."""

from __future__ import annotations

import numpy as np
from tensorflow_probability import distributions as tfd

from tfp_flows.core.arguments import require

# How to estimate each statistic without a formula from draws of a distribution d.
_DRAWS, _PAIRS = "d.sample(10_000)", "x, log_prob = d.sample_and_log_prob(10_000)"
_ESTIMATES = {
    "mean": f"tf.reduce_mean({_DRAWS}, axis=0)",
    "stddev": f"tf.math.reduce_std({_DRAWS}, axis=0)",
    "variance": f"tf.math.reduce_variance({_DRAWS}, axis=0)",
    "covariance": f"tfp.stats.covariance({_DRAWS})",
    "mode": f"x[tf.argmax(log_prob)] with {_PAIRS}",
    "entropy": f"-tf.reduce_mean(log_prob) with {_PAIRS}",
    "kl_divergence": f"tf.reduce_mean(log_prob - other.log_prob(x)) with {_PAIRS}",
    "cross_entropy": f"-tf.reduce_mean(other.log_prob({_DRAWS}))",
}


class Moments:
    """Adds to errors of missing statistics how to estimate them from draws.

    Mixed into a `tfd.Distribution`. A `tfd.TransformedDistribution` has formulas only if
    the Jacobian of its bijector is constant.
    """


def _or_from_draws(statistic):
    def method(self, *args, **kwargs):
        shape = np.shape(kwargs.get("context", ()))  # () if there is none
        words, hint = f"one `context` in `{statistic}`", " Ask for one after another."
        require(len(shape) < 2, words, f"shape {shape}", hint)
        try:
            return getattr(super(Moments, self), f"_{statistic}")(*args, **kwargs)
        except NotImplementedError as error:
            raise no_formula(statistic, self) from error

    return method


def no_formula(statistic: str, distribution: tfd.Distribution) -> NotImplementedError:
    """Returns the error that says how to estimate a statistic."""
    return NotImplementedError(
        f"Expected a distribution whose `{statistic}` has a formula; got d = "
        f"`{distribution.name}`. Estimate it: {_ESTIMATES[statistic]}."
    )


for _statistic in _ESTIMATES:
    setattr(Moments, f"_{_statistic}", _or_from_draws(_statistic))
