"""Published figures of images of 8 bits, unconditional."""

from experiments.data.dataset import PublishedRow

__all__ = ["IMAGE_TABLE"]

# Data set -> model -> `PublishedRow`; no errors were published with them. NICE's nats are
# of pixels scaled to [0, 1], as ours.
IMAGE_TABLE = {
    "mnist": {"NICE": PublishedRow(1980.50, None, "Dinh et al. (2014)")},
    "cifar10": {
        "RealNVP": PublishedRow(
            None, None, "Dinh et al. (2016), table 1", bits_per_dimension=3.49
        ),
        "Glow": PublishedRow(
            None, None, "Kingma and Dhariwal (2018), table 2", bits_per_dimension=3.35
        ),
    },
}
