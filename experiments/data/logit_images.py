"""MNIST and CIFAR-10 in logit space, as the MAF paper models them."""

import dataclasses
import functools

import numpy as np

from experiments.data.keras_images import ENTRIES as KERAS_ENTRIES
from experiments.data.published import LOGIT_TABLE

_ALPHAS = {"mnist": 1e-6, "cifar10": 0.05}


def load_in_logit_space(name, request):
    """Returns `logit(alpha + (1 - 2 alpha) x)` of the dequantised images x of `name`.

    Log-likelihoods are densities there, and comparable with the paper's only. The noise is
    drawn once.
    """
    images = KERAS_ENTRIES[name].load(request)
    alpha = _ALPHAS[name]
    sets = ("train", "validation", "test")
    return dataclasses.replace(
        images,
        name=f"{name}_logit",
        **{s: _logit(getattr(images, s), alpha) for s in sets},
        bin_width=None,
        logit_alpha=alpha,
        published=LOGIT_TABLE[f"{name} by class" if request.conditional else name],
    )


def _logit(rows, alpha):
    # In pieces of float64: the ends are near 0 and 1.
    pieces = np.array_split(rows, max(1, len(rows) // 1000))
    shares = (alpha + (1.0 - 2.0 * alpha) * piece.astype(np.float64) for piece in pieces)
    return np.concatenate([(np.log(p) - np.log1p(-p)).astype(np.float32) for p in shares])


ENTRIES = {
    f"{name}_logit": dataclasses.replace(
        KERAS_ENTRIES[name],
        load=functools.partial(load_in_logit_space, name),
        origin=f"{name} in logit space, as in the MAF paper",
        has_pixels=False,
    )
    for name in _ALPHAS
}
