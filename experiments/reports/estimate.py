"""Estimates of means, in nats or as shares, with two standard errors, as plain data."""

import numpy as np


def estimate(values):
    """Returns the mean of the values of N rows, `[N]`, in nats, and its error."""
    values = np.asarray(values, np.float64)
    error = values.std(ddof=1) / np.sqrt(len(values))
    return {"nats": float(values.mean()), "two_standard_errors": float(2.0 * error)}


def accuracy(is_right):
    """Returns the share of right predictions, `[N]` booleans, and its error."""
    share = float(np.mean(is_right))
    error = error_of_share(share, len(is_right))
    return {"accuracy": share, "two_standard_errors": error, "num_rows": len(is_right)}


def error_of_share(share, count):
    """Returns two standard errors of a share of `count` independent rows."""
    return float(2.0 * np.sqrt(share * (1.0 - share) / count))


def plus_minus(row):
    """Returns an `estimate` as text."""
    return f"{row['nats']:.3f} ± {row['two_standard_errors']:.3f}"
