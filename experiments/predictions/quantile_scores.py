"""Scores of predictions that are quantiles."""

import numpy as np

__all__ = ["FLOW", "LEVELS", "compared", "shares_inside"]

FLOW = "the flow"
LEVELS = np.arange(1, 20) / 20.0
_INTERVAL = slice(0, None, len(LEVELS) - 1)  # from .05 to .95


def compared(predicted, y, scale):
    """Returns the scores of each method as plain data.

    For each: CRPS and the mean width of intervals of 90 %, both as shares of `scale`, the
    share of values in these intervals, and of values up to the quantile of each level.

    Args:
      predicted: quantiles of `LEVELS`, `[N, D, L]`, by the name of the method.
      y: what came, `[N, D]`.
      scale: standard deviations of the columns among the training rows, `[D]` or a number.

    Reference:
      Gneiting and Raftery 2007, Strictly proper scoring rules, prediction, and estimation:
      the CRPS is twice the integral of the pinball loss over all levels; here, by the
      trapezoidal rule over 19, and both ends, where it is 0.
    """
    y = np.asarray(y, np.float64)
    return {
        "levels": LEVELS.tolist(),
        "num_rows": len(y),
        "methods": {name: _scores(y, found, scale) for name, found in predicted.items()},
    }


def shares_inside(below, up_to, levels):
    """Returns which shares of randomised PITs are between two levels, `[N]`.

    Args:
      below: distribution functions below what came, `[N]`.
      up_to: distribution functions up to what came, `[N]`: the PIT is uniform between both.
      levels: the two.

    Reference:
      Czado, Gneiting and Held 2009, Predictive model assessment for count data.
    """
    below, up_to = below - 1e-12, up_to + 1e-12
    inside = np.minimum(up_to, levels[1]) - np.maximum(below, levels[0])
    return np.maximum(inside, 0.0) / (up_to - below)


def _scores(y, predicted, scale):
    above = y[..., None] - predicted
    pinball = np.maximum(LEVELS * above, (LEVELS - 1.0) * above)
    crps = 2.0 * (pinball.sum(axis=-1) / (len(LEVELS) + 1) / scale).mean(axis=1)
    low, high = np.moveaxis(predicted[..., _INTERVAL], -1, 0)
    return {
        "crps": float(crps.mean()),
        "two_standard_errors": float(2.0 * crps.std(ddof=1) / np.sqrt(len(y))),
        "width": float(((high - low) / scale).mean()),
        "inside": float(((low <= y) & (y <= high)).mean()),
        "below": (above <= 0.0).mean(axis=(0, 1)).tolist(),
    }
