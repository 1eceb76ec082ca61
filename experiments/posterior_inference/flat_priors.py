"""Priors as good as flat: the posteriors differ by less than Monte Carlo error."""

import tensorflow_probability as tfp

__all__ = ["wide_half_normal", "wide_normal"]

tfd = tfp.distributions


def wide_normal(name=None):
    """In place of a flat prior on all reals."""
    return tfd.Normal(0.0, 1e4, name=name or "Normal")


def wide_half_normal(name=None):
    """In place of a flat prior above zero."""
    return tfd.HalfNormal(1e3, name=name or "HalfNormal")
