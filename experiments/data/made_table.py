"""Published test log-likelihoods of binary data sets."""

from experiments.data.dataset import PublishedRow

__all__ = ["MADE_TABLE"]

_SOURCE = "Germain et al. (2015), quoted from memory, not checked"
# Nats a row: one mask, and masks that are sampled.
_TABLES = {
    "adult": (-13.12, -13.13),
    "connect4": (-11.90, -11.90),
    "dna_made": (-83.63, -79.66),
    "mushrooms": (-9.68, -9.69),
    "nips": (-280.25, -277.28),
    "ocr_letters": (-28.34, -30.04),
}
_BINARIZED_MNIST = {
    "MADE, 1 hidden layer, 1 mask": -88.40,
    "MADE, 2 hidden layers, 1 mask": -89.59,
    "MADE, 1 hidden layer, 32 masks": -88.04,
    "MADE, 2 hidden layers, 32 masks": -86.64,
    "NADE, fixed order": -88.33,
}


def _rows(log_likelihoods):
    return {k: PublishedRow(v, None, _SOURCE) for k, v in log_likelihoods.items()}


# Data set -> model -> `PublishedRow`; no errors were published with them.
MADE_TABLE = {
    name: _rows({"MADE, 1 mask": fixed, "MADE, sampled masks": sampled})
    for name, (fixed, sampled) in _TABLES.items()
} | {"binarized_mnist": _rows(_BINARIZED_MNIST)}
