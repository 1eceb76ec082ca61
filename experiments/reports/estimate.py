"""Estimates of means, in nats or as shares, with two standard errors."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A mean in nats, with two standard errors of the mean."""

    nats: float
    two_standard_errors: float

    @classmethod
    def from_rows(cls, values):
        """Summarises the values `[N]` of N rows, in nats."""
        values = np.asarray(values, np.float64)
        error = values.std(ddof=1) / np.sqrt(len(values))
        return cls(float(values.mean()), float(2.0 * error))


def error_of_share(share, count):
    """Returns two standard errors of a share of `count` independent rows."""
    return float(2.0 * np.sqrt(share * (1.0 - share) / count))


def plus_minus(row):
    """Returns an `Estimate`, given as plain data, as text."""
    return f"{row['nats']:.3f} ± {row['two_standard_errors']:.3f}"
