"""What a fresh process does that knows only `tfp_flows` and the files of `test_saving`."""

import sys

import keras
import numpy as np
import tensorflow as tf
from derivatives import op_by_op

import tfp_flows


def answers(distribution, x, context):
    """Densities of `x` and samples of one seed, op by op."""
    with op_by_op():
        return {
            "log_prob": distribution.log_prob(x, **context),
            "sample": distribution.sample(4, seed=7, **context),
        }


def load_all(folder):
    """Writes the answers of each saved distribution beside its file."""
    assert tfp_flows.__version__
    assert "experiments" not in sys.modules
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
