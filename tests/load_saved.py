"""A fresh process that knows only `tfp_flows`: loads what `test_saving` has saved."""

import os
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import tensorflow as tf

import tfp_flows


def answers(distribution, x, context):
    """Densities of `x` and samples of one seed."""
    return {
        "log_prob": distribution.log_prob(x, **context),
        "sample": distribution.sample(4, seed=7, **context),
    }


def main(folder):
    """Writes the answers of each saved distribution beside its file."""
    for path in sorted(folder.glob("*.keras")):
        inputs = dict(np.load(path.with_suffix(".inputs.npz")))
        x = inputs.pop("x")
        model = keras.saving.load_model(path)
        distribution = model.distribution
        np.savez(path.with_suffix(".keras.npz"), **answers(distribution, x, inputs))

        for variable in distribution.variables:
            variable.assign(tf.zeros_like(variable))
        checkpoint = tf.train.Checkpoint(distribution=distribution)
        checkpoint.read(str(path.with_suffix(".ckpt"))).assert_consumed()
        np.savez(path.with_suffix(".ckpt.npz"), **answers(distribution, x, inputs))

        exported = tf.saved_model.load(str(path.with_suffix(".exported")))
        log_prob = exported.log_prob(x, *inputs.values())
        sample = exported.sample(*inputs.values())
        np.savez(path.with_suffix(".exported.npz"), log_prob=log_prob, sample=sample)


if __name__ == "__main__":
    assert tfp_flows.__version__
    main(Path(sys.argv[1]))
