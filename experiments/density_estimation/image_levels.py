"""What each level of a multi-scale flow holds of an image."""

import dataclasses
import math

import numpy as np
import tensorflow as tf

import tfp_flows

__all__ = ["bits_of_levels", "latent_sizes", "resample_levels"]

_ROWS_A_CALL = 256


@dataclasses.dataclass(frozen=True)
class _Path:
    """The way from a row to the levels: what comes before, and the `MultiScale`."""

    before: list
    multi_scale: tfp_flows.MultiScale


def latent_sizes(distribution):
    """Returns the number of latents of each level, finest first; None without levels."""
    path = _find_levels(getattr(distribution, "bijector", None))
    if path is None or len(path.multi_scale.levels) < 2:
        return None
    return [math.prod(shape) for shape in path.multi_scale.latent_shapes]


def bits_of_levels(distribution, rows, context=None, *, bin_width):
    """Returns what each level adds to the bits per dimension of integers, as plain data.

    A level's share is the surprise at its latents and the log-det of its steps, through
    which also pass the variables that later levels keep. What comes before the levels, and
    the width of the bins, is the first share.

    Args:
      distribution: a `FlowDistribution` of a multi-scale flow.
      rows: `[N, D]`.
      context: `[N, C]`; None without one.
      bin_width: of the data.
    """
    path = _find_levels(distribution.bijector)
    nats = []
    for start in range(0, len(rows), _ROWS_A_CALL):
        part = slice(start, start + _ROWS_A_CALL)
        given = None if context is None else context[part]
        nats.append(_nats_of_levels(distribution, path, rows[part], given))
    size = rows.shape[1]
    before, *levels = np.mean(np.concatenate(nats), axis=0)
    before += size * math.log(bin_width)
    return {
        "before_the_levels": -before / (size * math.log(2.0)),
        "levels": [-level / (size * math.log(2.0)) for level in levels],
        "latent_sizes": latent_sizes(distribution),
        "num_rows": len(rows),
    }


def resample_levels(distribution, rows, context=None, *, seed):
    """Draws the latents of the finest levels anew and keeps those of the coarser ones.

    Args:
      distribution: a `FlowDistribution` of a multi-scale flow of L levels.
      rows: `[N, D]`.
      context: `[N, C]`; None without one.
      seed: integer.

    Returns:
      L + 1 arrays `[N, D]`: with none, with the first, with the first two ... drawn anew.
    """
    kwargs = {} if context is None else {"context": context}
    kept = distribution.bijector.inverse_and_log_det(rows, **kwargs)[0].numpy()
    drawn = distribution.distribution.sample(
        len(rows), seed=tf.constant([seed, 0], tf.int32)
    ).numpy()
    ends = np.cumsum([0, *latent_sizes(distribution)])
    is_drawn = np.arange(kept.shape[1]) < ends[:, None]
    return [
        distribution.bijector.forward_and_log_det(np.where(d, drawn, kept), **kwargs)[0]
        for d in is_drawn
    ]


def _nats_of_levels(distribution, path, rows, context):
    """Log-density in parts, `[N, 1 + L]`: before the levels, and of each level."""
    y, log_det = tf.convert_to_tensor(rows), tf.zeros(len(rows))
    if context is not None:
        context = _seen_at_levels(distribution.bijector, tf.constant(context, y.dtype))
    for bijector in path.before:
        y, part = bijector.inverse_and_log_det(y, context=_for(bijector, context))
        log_det += part
    nats, latents = [log_det], []
    levels = path.multi_scale.levels
    for level, shape in zip(levels, path.multi_scale.latent_shapes, strict=True):
        y, log_det = level.inverse_and_log_det(y, context=_for(level, context))
        y, factored = tf.split(y, [y.shape[-1] - shape[-1], shape[-1]], axis=-1)
        nats.append(log_det)
        latents.append(tf.reshape(factored, [len(rows), -1]))
    surprise = distribution.distribution.distribution.log_prob(tf.concat(latents, axis=1))
    parts = tf.split(surprise, latent_sizes(distribution), axis=1)
    nats[1:] = [a + tf.reduce_sum(b, axis=1) for a, b in zip(nats[1:], parts, strict=True)]
    return np.stack([n.numpy().astype(np.float64) for n in nats], axis=1)


def _find_levels(bijector):
    if isinstance(bijector, tfp_flows.MultiScale):
        return _Path([], bijector)
    if not isinstance(bijector, tfp_flows.FlowChain):
        return None
    *before, last = bijector.bijectors
    path = _find_levels(last)
    return path and _Path([*before, *path.before], path.multi_scale)


def _seen_at_levels(bijector, context):
    while isinstance(bijector, tfp_flows.FlowChain):
        context = bijector.context_of_parts(context)
        *_, bijector = bijector.bijectors
    return context


def _for(bijector, context):
    return context if bijector.context_size else None
