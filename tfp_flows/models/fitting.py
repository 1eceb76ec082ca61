"""What models that fit distributions do around Keras's own `fit`."""

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.models.callbacks import StopOnNaN

__all__ = [
    "first_rows",
    "num_replicas",
    "refuse_missing",
    "targets_for",
    "with_stop_on_nan",
    "with_targets",
]


def num_replicas():
    """Returns how many replicas of a strategy train in step."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def refuse_missing(gradients, weights):
    """Raises `ValueError` where the loss does not depend on a weight."""
    missing = [w.name for g, w in zip(gradients, weights, strict=True) if g is None]
    if missing:
        raise ValueError(
            "Expected a loss that depends on every trainable variable; got no gradient "
            f"for {missing}."
        )


def with_stop_on_nan(callbacks):
    """Returns the `callbacks` of a `fit`, as it takes them, with a `StopOnNaN`."""
    callbacks = callbacks or []
    if isinstance(callbacks, keras.callbacks.CallbackList):
        return callbacks
    callbacks = list(callbacks) if isinstance(callbacks, (list, tuple)) else [callbacks]
    if any(isinstance(callback, StopOnNaN) for callback in callbacks):
        return callbacks
    # First, since a callback that restores weights must have the last word.
    return [StopOnNaN(), *callbacks]


def targets_for(sample_weight):
    """Targets that nothing reads, since Keras drops weights that come without any."""
    return None if sample_weight is None else np.zeros(len(sample_weight), np.float32)


def with_targets(data):
    """Returns `validation_data` that Keras keeps the weights of, if it has any."""
    if isinstance(data, tuple) and len(data) == 3 and data[1] is None:
        return (data[0], targets_for(data[2]), data[2])
    return data


def first_rows(dataset, count=2**14):
    """Returns about the first `count` rows of a `tf.data.Dataset` of batches, as arrays."""
    batches, rows = [], 0
    for batch in dataset.as_numpy_iterator():
        inputs = keras.utils.unpack_x_y_sample_weight(batch)[0]
        batches.append(inputs if isinstance(inputs, tuple) else (inputs,))
        rows += len(batches[-1][0])
        if rows >= count:
            break
    if not batches:
        raise ValueError("Expected a dataset `x` with at least one batch; got none.")
    columns = [np.concatenate(column) for column in zip(*batches, strict=True)]
    return columns[0] if len(columns) == 1 else tuple(columns)
