"""The export of a distribution as a TensorFlow SavedModel."""

from __future__ import annotations

import os

import keras
import tensorflow as tf

from tfp_flows.training.data import RowFormat

__all__ = ["write_saved_model"]


def write_saved_model(
    model: keras.Model, row_format: RowFormat, path: str | os.PathLike, verbose: bool
) -> None:
    """Writes the endpoints `serve`, `log_prob` and `sample` of a model's distribution.

    Args:
      model: a model of rows with a `distribution`.
      row_format: the form of its rows.
      path: folder to write to.
      verbose: whether to print what was written.

    Raises:
      ValueError: if the distribution does not know its event shape.
    """
    if row_format.event_shape is None:
        raise ValueError("Expected a distribution of known `event_shape`; got none.")
    distribution = model.distribution
    x = tf.TensorSpec([None, *row_format.event_shape], row_format.dtype, name="x")
    context = []
    if row_format.context_size:
        shape = [None, row_format.context_size]
        context = [tf.TensorSpec(shape, row_format.dtype, name="context")]
    scalars = [tf.TensorSpec([], tf.int32, name=name) for name in ("count", "seed")]

    def log_prob(x, context=None):
        return distribution.log_prob(x, **_given(context))

    def sample(count, seed, context=None):
        return distribution.sample(count, seed=seed, **_given(context))

    archive = keras.export.ExportArchive()
    archive.track(model)
    for name in ("serve", "log_prob"):
        archive.add_endpoint(name, log_prob, input_signature=[x, *context])
    archive.add_endpoint("sample", sample, input_signature=[*scalars, *context])
    archive.write_out(str(path), verbose=verbose)


def _given(context):
    return {} if context is None else {"context": context}
