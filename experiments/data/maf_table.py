"""Published test log-likelihoods of the five tables that flows are compared on."""

from experiments.data.dataset import PublishedRow

__all__ = ["MAF_TABLE"]

_SOURCE = "Papamakarios et al. (2017), table 1"
_SETS = ("power", "gas", "hepmass", "miniboone", "bsds300")
# Nats, and two standard errors, of each set in the order of `_SETS`.
_ROWS = {
    "Gaussian": (
        (-7.74, 0.02),
        (-3.58, 0.75),
        (-27.93, 0.02),
        (-37.24, 1.07),
        (96.67, 0.25),
    ),
    "MADE": ((-3.08, 0.03), (3.56, 0.04), (-20.98, 0.02), (-15.59, 0.50), (148.85, 0.28)),
    "MADE MoG": (
        (0.40, 0.01),
        (8.47, 0.02),
        (-15.15, 0.02),
        (-12.27, 0.47),
        (153.71, 0.28),
    ),
    "RealNVP (5)": (
        (-0.02, 0.01),
        (4.78, 1.80),
        (-19.62, 0.02),
        (-13.55, 0.49),
        (152.97, 0.28),
    ),
    "RealNVP (10)": (
        (0.17, 0.01),
        (8.33, 0.14),
        (-18.71, 0.02),
        (-13.84, 0.52),
        (153.28, 1.78),
    ),
    "MAF (5)": ((0.14, 0.01), (9.07, 0.02), (-17.70, 0.02), (-11.75, 0.44), (155.69, 0.28)),
    "MAF (10)": (
        (0.24, 0.01),
        (10.08, 0.02),
        (-17.73, 0.02),
        (-12.24, 0.45),
        (154.93, 0.28),
    ),
    "MAF MoG (5)": (
        (0.30, 0.01),
        (9.59, 0.02),
        (-17.39, 0.02),
        (-11.68, 0.44),
        (156.36, 0.28),
    ),
}

# Data set -> model -> `PublishedRow`.
MAF_TABLE = {
    name: {model: PublishedRow(*row[column], _SOURCE) for model, row in _ROWS.items()}
    for column, name in enumerate(_SETS)
}
