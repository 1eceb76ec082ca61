"""Trains Glow beside those of normflows and nflows, for as long each, on the same images.

    python -m benchmarks.glow_likelihood --data_dir=DIR --minutes=6

All have equal levels, steps and channels, batches, noise, Adam and learning rates, and
take turns, so that a busy machine is fair to all. After each turn the table grows by a row:
bits per dimension of the test images.
"""

import functools
import sys

import numpy as np
from absl import app
from absl import flags

from benchmarks import glow_tensorflow
from benchmarks import glow_torch
from benchmarks import runner
from benchmarks.budgeted_training import Budget
from benchmarks.budgeted_training import Images
from benchmarks.timing import installed
from benchmarks.worker import Worker
from benchmarks.workloads import Glow
from experiments.data import load_dataset

_OURS = "tfp_flows"
_PEERS = {"normflows": glow_torch.normflows, "nflows": glow_torch.nflows}


def compare(contenders, num_turns):
    """Prints a row a contender and turn; returns the last `Progress` of each."""
    print(
        "\n| contender | parameters | trained for (s) | processor (s) | images "
        "| bits per dimension, ± 2 s.e. |\n|---|---|---|---|---|---|"
    )
    for _ in range(num_turns):
        progress = [contender.run() for contender in contenders]
        for contender, now in zip(contenders, progress, strict=True):
            bits = now.scores
            error = 2.0 * bits.std(ddof=1) / np.sqrt(len(bits))
            print(
                f"| {contender.name} | {contender.num_parameters:,} | {now.seconds:.0f} "
                f"| {now.processor_seconds:.0f} | {now.num_rows:,} "
                f"| {bits.mean():.3f} ± {error:.3f} |",
                flush=True,
            )
    return progress


def images_of(name, *, data_dir, num_test):
    """Returns the `Images` of a data set; those to validate with are left out."""
    dataset = load_dataset(name, data_dir=data_dir)
    shape = (-1, *dataset.image_shape, 1)

    def pixels(rows):
        return np.floor(rows / dataset.bin_width).astype(np.uint8).reshape(shape)

    return Images(pixels(dataset.train), pixels(dataset.test[:num_test]))


def main(argv):
    """Trains all in turns."""
    del argv
    values = flags.FLAGS
    runner.print_head()
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
    budget = Budget(
        60.0 * values.minutes, values.num_turns, values.batch_size, values.learning_rate
    )
    print(f"{values.dataset}: {workload}; {budget}", flush=True)
    with Worker(values.peers_python) as worker:
        builders = [
            functools.partial(
                worker.build,
                glow_torch.train,
                _PEERS[name],
                workload,
                images,
                budget,
                num_threads=values.num_threads,
            )
            for name in values.contenders
            if name in _PEERS
        ]
        if _OURS in values.contenders:
            ours = functools.partial(glow_tensorflow.train, workload, images, budget)
            builders.insert(0, ours)
        compare(installed(builders), values.num_turns)


if __name__ == "__main__":
    flags.DEFINE_enum("dataset", "mnist", ["mnist", "fashion_mnist"], "Images to train on.")
    flags.DEFINE_string("data_dir", "", "Folder of the data, as of density_estimation.")
    flags.DEFINE_multi_enum(
        "contenders", [_OURS, *_PEERS], [_OURS, *_PEERS], "Whom to train."
    )
    flags.DEFINE_string(
        "peers_python", sys.executable, "Interpreter with nflows and normflows."
    )
    flags.DEFINE_float("minutes", 6.0, "Training time of each.", lower_bound=0.0)
    flags.DEFINE_integer("num_turns", 6, "Turns that it is divided into.", lower_bound=1)
    flags.DEFINE_integer("num_levels", 2, "Levels of the flow.", lower_bound=1)
    flags.DEFINE_integer("num_steps", 8, "Steps a level.", lower_bound=1)
    flags.DEFINE_integer("hidden_channels", 64, "Of each network.", lower_bound=1)
    flags.DEFINE_integer("batch_size", 64, "Images a step.", lower_bound=1)
    flags.DEFINE_float("learning_rate", 1e-3, "Adam's, at the start.")
    flags.DEFINE_integer("num_threads", 2, "Threads of PyTorch.", lower_bound=1)
    flags.DEFINE_integer("num_test", 10_000, "Test images that are scored.", lower_bound=2)
    app.run(main)
