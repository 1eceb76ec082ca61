"""The integers that stand for the bins of `[0, 1]`."""

import numpy as np
import tensorflow as tf

from tfp_flows.core.arguments import check_integer

__all__ = ["can_occur", "quantize", "reduce_bits", "refuse_others"]


def can_occur(value, num_bins):
    """Which entries are integers `0, ..., num_bins - 1`."""
    return (value >= 0) & (value < num_bins) & (value == tf.floor(value))


def refuse_others(value, num_bins, argument):
    """Raises `ValueError` if an entry of `value` is no integer `0, ..., num_bins - 1`."""
    others = tf.boolean_mask(value, ~can_occur(value, num_bins))
    if len(others):
        raise ValueError(
            f"Expected `{argument}` of integers from 0 to {num_bins - 1}; got "
            f"{others[0]:g}."
        )


def quantize(scaled, num_bins):
    """The bins that scaled data fall into; what is outside counts to the end bins."""
    return tf.clip_by_value(tf.floor(scaled * num_bins), 0, num_bins - 1)


def reduce_bits(images, num_bits):
    """Integers of `num_bits` bits that 8-bit `images` fall to, as Glow's 5-bit data do."""
    if check_integer("num_bits", num_bits) > 8:
        raise ValueError(f"Expected `num_bits` from 1 to 8; got {num_bits}.")
    return np.asarray(images) // 2 ** (8 - num_bits)
