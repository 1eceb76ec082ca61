"""MNIST and CIFAR-10 in logit space, as the MAF paper models them."""

import dataclasses
import functools

import numpy as np

from experiments.data.dataset import PublishedRow
from experiments.data.keras_images import ENTRIES as KERAS_ENTRIES

__all__ = ["ENTRIES"]

_ALPHAS = {"mnist": 1e-6, "cifar10": 0.05}
_SOURCE = "Papamakarios et al. (2017), table 2"
# Nats in logit space, two standard errors: of MNIST, of it given the class; of CIFAR-10 ...
_ROWS = {
    "Gaussian": ((-1366.9, 1.4), (-1344.7, 1.8), (2367.0, 29.0), (2030.0, 41.0)),
    "MADE": ((-1380.8, 4.8), (-1361.9, 1.9), (147.0, 20.0), (187.0, 20.0)),
    "MADE MoG": ((-1038.5, 1.8), (-1030.3, 1.7), (-397.0, 21.0), (-119.0, 20.0)),
    "RealNVP (5)": ((-1323.2, 6.6), (-1326.3, 5.8), (2576.0, 27.0), (2642.0, 26.0)),
    "RealNVP (10)": ((-1370.7, 10.1), (-1371.3, 43.9), (2568.0, 26.0), (2475.0, 25.0)),
    "MAF (5)": ((-1300.5, 1.7), (-1302.9, 1.7), (2936.0, 27.0), (2983.0, 26.0)),
    "MAF (10)": ((-1313.1, 2.0), (-1316.8, 1.8), (3049.0, 26.0), (3058.0, 26.0)),
    "MAF MoG (5)": ((-1100.3, 1.6), (-1092.3, 1.7), (2911.0, 26.0), (2936.0, 26.0)),
}


def load_in_logit_space(name, request):
    """Returns `logit(alpha + (1 - 2 alpha) x)` of the dequantised images x of `name`.

    Log-likelihoods are densities there, and comparable with the paper's only. The noise is
    drawn once.
    """
    images = KERAS_ENTRIES[name].load(request)
    alpha = _ALPHAS[name]
    column = 2 * list(_ALPHAS).index(name) + request.conditional
    sets = ("train", "validation", "test")
    return dataclasses.replace(
        images,
        name=f"{name}_logit",
        **{s: _logit(getattr(images, s), alpha) for s in sets},
        bin_width=None,
        logit_alpha=alpha,
        published={k: PublishedRow(*row[column], _SOURCE) for k, row in _ROWS.items()},
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
