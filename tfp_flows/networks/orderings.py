"""Degrees and orderings, which determine the masks of an autoregressive network."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfp_flows.core.arguments import check_array, check_seed, check_size, require


def natural_ordering(event_size: int) -> np.ndarray:
    """Variable i comes i-th: degrees `1, ..., D`.

    >>> import tfp_flows
    >>> tfp_flows.natural_ordering(3).tolist()
    [1, 2, 3]
    """
    check_size("event_size", event_size)
    return np.arange(1, event_size + 1)


def reversed_ordering(event_size: int) -> np.ndarray:
    """The last variable comes first: degrees `D, ..., 1`.

    >>> import tfp_flows
    >>> tfp_flows.networks.reversed_ordering(3).tolist()
    [3, 2, 1]
    """
    return natural_ordering(event_size)[::-1].copy()


def random_ordering(event_size: int, seed: int) -> np.ndarray:
    """A uniformly drawn ordering; the same for the same seed.

    >>> import tfp_flows
    >>> sorted(tfp_flows.networks.random_ordering(3, seed=0).tolist())
    [1, 2, 3]
    """
    check_size("event_size", event_size)
    check_seed("seed", seed)
    return np.random.default_rng(seed).permutation(event_size) + 1


def check_ordering(ordering: npt.ArrayLike, event_size: int | None = None) -> np.ndarray:
    """Returns an ordering, a permutation of `1, ..., D`, as an array of degrees."""
    ordering = check_array("ordering", ordering)
    if ordering.ndim != 1 or event_size not in (None, len(ordering)):
        expected = "D" if event_size is None else event_size
        raise ValueError(
            f"Expected `ordering` of shape [{expected}]; got {list(ordering.shape)}."
        )
    is_integer = ordering.dtype.kind in "iu"
    is_all = is_integer and sorted(ordering) == list(range(1, len(ordering) + 1))
    words = f"`ordering`, a permutation of the integers 1 to {len(ordering)}"
    require(is_all, words, ordering.tolist())
    return ordering.astype(np.int64)


def hidden_degrees(
    num_units: int, event_size: int, *, lowest: int = 1, seed: Any = None
) -> np.ndarray:
    """Returns degrees of a hidden layer's units, from `lowest` to `event_size - 1`, rising.

    A unit of degree d sees variables of degree up to d, and outputs of higher degree see
    it. Sorting relabels the units and changes nothing else; it makes the masks
    block-triangular. Units of degree 0 see only the context. With a seed, degrees are drawn
    uniformly. Their `lowest` must then not fall from layer to layer, or units might see
    nothing.

    Reference:
      Germain, Gregor, Murray, Larochelle (2015), MADE, section 3 and 4.2.
      https://arxiv.org/abs/1502.03509
    """
    highest = event_size - 1
    lowest = min(lowest, highest)
    count = highest - lowest + 1
    if seed is not None:
        return np.sort(np.random.default_rng(seed).integers(count, size=num_units)) + lowest
    return lowest + np.arange(num_units) * count // num_units


def take(array: tf.Tensor, indices: Any, axis: int) -> tf.Tensor:
    """`tf.gather` along `axis`, without it where `indices` leave or reverse the order."""
    if tf.is_tensor(indices):
        return tf.gather(array, indices, axis=axis)
    natural = np.arange(len(indices))
    if (indices == natural).all():
        return array
    if (indices == natural[::-1]).all():
        return tf.reverse(array, [axis])
    return tf.gather(array, indices, axis=axis)
