"""Division of rows into train, validation and test, and their common scale."""

import numpy as np

__all__ = ["split_last_tenth", "split_tenths", "standardized"]


def split_tenths(rows):
    """Returns train, validation and test: the last tenth is test, as the authors of MAF do.

    Of the rest, the last tenth is validation.
    """
    train, test = split_last_tenth(rows)
    return *split_last_tenth(train), test


def split_last_tenth(rows):
    """Returns all but the last tenth of the rows, and the last tenth, rounded down."""
    first, last = np.split(rows, [len(rows) - int(0.1 * len(rows))])
    return first, last


def standardized(train, validation, test):
    """Returns the sets in float32, scaled by train and validation together."""
    both = np.concatenate([train, validation])
    mean, deviation = both.mean(axis=0), both.std(axis=0)
    return [((x - mean) / deviation).astype(np.float32) for x in (train, validation, test)]
