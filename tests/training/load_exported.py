"""What a process with TensorFlow alone does with what `test_exporting` has exported."""

import sys

import numpy as np
import tensorflow as tf


def load_all(folder):
    """Writes the answers of each exported model of a folder beside it."""
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            inputs = dict(np.load(path.with_suffix(".inputs.npz")))
            x, context = inputs.pop("x"), list(inputs.values())
            exported = tf.saved_model.load(str(path))
            np.savez(
                path.with_suffix(".answers.npz"),
                log_prob=exported.log_prob(x, *context),
                serve=exported.serve(x[:2], *(c[:2] for c in context)),
                signature=exported.signatures["log_prob"](
                    **{k: tf.constant(v) for k, v in {"x": x, **inputs}.items()}
                )["output_0"],
                sample=exported.sample(5, 7, *context),
                negative=exported.sample(tf.constant(2), tf.constant(-3), *context),
            )
    assert not {"tfp_flows", "tensorflow_probability"} & set(sys.modules)
