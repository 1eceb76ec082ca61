"""Published test log-likelihoods: data set -> model -> `PublishedRow`."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class PublishedRow:
    """A published test log-likelihood of a model on a data set.

    Args:
      log_likelihood: nats a row; None if only bits per dimension were published.
      two_standard_errors: nats a row; None if it was not published.
      source: the publication and its table.
      bits_per_dimension: bits if nats were not published; else None.
    """

    log_likelihood: float | None
    two_standard_errors: float | None
    source: str
    bits_per_dimension: float | None = None


def _table(source, sets, text):
    """Rows of a name and, for each set, nats and, if published, two standard errors."""
    table = {name: {} for name in sets}
    for line in text.strip().splitlines():
        model, *cells = line.split("|")
        for rows, cell in zip(table.values(), cells, strict=True):
            nats, *error = map(float, cell.split())
            rows[model.strip()] = PublishedRow(nats, *(error or [None]), source)
    return table


MAF_TABLE = _table(
    "Papamakarios et al. (2017), table 1",
    ("power", "gas", "hepmass", "miniboone", "bsds300"),
    """
    Gaussian     | -7.74 0.02 | -3.58 0.75 | -27.93 0.02 | -37.24 1.07 |  96.67 0.25
    MADE         | -3.08 0.03 |  3.56 0.04 | -20.98 0.02 | -15.59 0.50 | 148.85 0.28
    MADE MoG     |  0.40 0.01 |  8.47 0.02 | -15.15 0.02 | -12.27 0.47 | 153.71 0.28
    RealNVP (5)  | -0.02 0.01 |  4.78 1.80 | -19.62 0.02 | -13.55 0.49 | 152.97 0.28
    RealNVP (10) |  0.17 0.01 |  8.33 0.14 | -18.71 0.02 | -13.84 0.52 | 153.28 1.78
    MAF (5)      |  0.14 0.01 |  9.07 0.02 | -17.70 0.02 | -11.75 0.44 | 155.69 0.28
    MAF (10)     |  0.24 0.01 | 10.08 0.02 | -17.73 0.02 | -12.24 0.45 | 154.93 0.28
    MAF MoG (5)  |  0.30 0.01 |  9.59 0.02 | -17.39 0.02 | -11.68 0.44 | 156.36 0.28
    """,
)

# In logit space, unconditional and conditioned on the class.
LOGIT_TABLE = _table(
    "Papamakarios et al. (2017), table 2",
    ("mnist", "mnist by class", "cifar10", "cifar10 by class"),
    """
    Gaussian     | -1366.9  1.4 | -1344.7  1.8 | 2367.0 29.0 | 2030.0 41.0
    MADE         | -1380.8  4.8 | -1361.9  1.9 |  147.0 20.0 |  187.0 20.0
    MADE MoG     | -1038.5  1.8 | -1030.3  1.7 | -397.0 21.0 | -119.0 20.0
    RealNVP (5)  | -1323.2  6.6 | -1326.3  5.8 | 2576.0 27.0 | 2642.0 26.0
    RealNVP (10) | -1370.7 10.1 | -1371.3 43.9 | 2568.0 26.0 | 2475.0 25.0
    MAF (5)      | -1300.5  1.7 | -1302.9  1.7 | 2936.0 27.0 | 2983.0 26.0
    MAF (10)     | -1313.1  2.0 | -1316.8  1.8 | 3049.0 26.0 | 3058.0 26.0
    MAF MoG (5)  | -1100.3  1.6 | -1092.3  1.7 | 2911.0 26.0 | 2936.0 26.0
    """,
)


_MADE_SOURCE = "Germain et al. (2015), quoted from memory, not checked"
MADE_TABLE = _table(
    _MADE_SOURCE,
    ("adult", "connect4", "dna_made", "mushrooms", "nips", "ocr_letters"),
    """
    MADE, 1 mask        | -13.12 | -11.90 | -83.63 | -9.68 | -280.25 | -28.34
    MADE, sampled masks | -13.13 | -11.90 | -79.66 | -9.69 | -277.28 | -30.04
    """,
)
MADE_TABLE |= _table(
    _MADE_SOURCE,
    ("binarized_mnist",),
    """
    MADE, 1 hidden layer, 1 mask    | -88.40
    MADE, 2 hidden layers, 1 mask   | -89.59
    MADE, 1 hidden layer, 32 masks  | -88.04
    MADE, 2 hidden layers, 32 masks | -86.64
    NADE, fixed order               | -88.33
    """,
)


def _bits(bits, source):
    return PublishedRow(None, None, source, bits_per_dimension=bits)


# Unconditional models of 8-bit images. NICE scales pixels to [0, 1], as these data sets.
IMAGE_TABLE = {
    "mnist": {"NICE": PublishedRow(1980.50, None, "Dinh et al. (2014)")},
    "cifar10": {
        "RealNVP": _bits(3.49, "Dinh et al. (2016), table 1"),
        "Glow": _bits(3.35, "Kingma and Dhariwal (2018), table 2"),
    },
}
