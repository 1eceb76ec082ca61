"""Trains Glow beside those of normflows and nflows, for as long each, on the same images.

    python -m benchmarks.glow_likelihood --data_dir=DIR --minutes=6

All have equal levels, steps and channels, batches, noise, Adam and learning rates, and
take turns, so that a busy machine is fair to all. After each turn the table grows by a row:
bits per dimension of the test images.
"""

import numpy as np
from absl import app, flags

from benchmarks import glow_tensorflow, glow_torch, runner
from benchmarks.budgeted_training import Images
from benchmarks.workloads import Glow
from experiments.data import load_dataset

_PEERS = {"normflows": glow_torch.normflows, "nflows": glow_torch.nflows}


def images_of(name, *, data_dir, num_test):
    """Returns the `Images` of a data set, without the validation images."""
    dataset = load_dataset(name, data_dir=data_dir)
    shape = (-1, *dataset.image_shape, 1)

    def pixels(rows):
        return np.floor(rows / dataset.bin_width).astype(np.uint8).reshape(shape)

    return Images(pixels(dataset.train), pixels(dataset.test[:num_test]))


def main(argv):
    """Trains all in turns."""
    del argv
    values = flags.FLAGS
    images = images_of(values.dataset, data_dir=values.data_dir, num_test=values.num_test)
    workload = Glow(
        trains=True,
        image_size=images.train.shape[1],
        channels=images.train.shape[3],
        num_levels=values.num_levels,
        num_steps=values.num_steps,
        hidden_channels=values.hidden_channels,
        batch_size=values.batch_size,
    )
    runner.run_in_turns(
        *(glow_tensorflow.train, glow_torch.train, _PEERS),
        *(workload, images, runner.budget()),
        unit="bits per dimension",
    )


if __name__ == "__main__":
    runner.define_flags_of_turns(_PEERS, minutes=6.0, batch_size=64, num_test=10_000)
    flags.DEFINE_enum("dataset", "mnist", ["mnist", "fashion_mnist"], "Images to train on.")
    flags.DEFINE_integer("num_levels", 2, "Levels of the flow.", lower_bound=1)
    flags.DEFINE_integer("num_steps", 8, "Steps a level.", lower_bound=1)
    flags.DEFINE_integer("hidden_channels", 64, "Of each network.", lower_bound=1)
    app.run(main)
