"""Bases of flows, whose draws are quick and the same in every mode of execution."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd

from tfp_flows.core.arguments import check_dtype
from tfp_flows.core.arguments import check_event_shape
from tfp_flows.distributions import draws

__all__ = ["Logistic", "Normal", "standard_logistic", "standard_normal"]


class Normal(tfd.Normal):
    """`tfd.Normal` with the noise of `draws.py`.

    Under XLA on a CPU, TensorFlow's default generator is slower than a flow of four steps
    (figures in BUILD_NOTES.md), and draws other numbers than without XLA.
    """

    def _sample_n(self, n, seed=None):
        return _scaled(self, draws.normal, n, seed)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {"loc": self.loc, "scale": self.scale}


class Logistic(tfd.Logistic):
    """`tfd.Logistic` with the noise of `draws.py`: see `Normal`."""

    def _sample_n(self, n, seed=None):
        return _scaled(self, draws.logistic, n, seed)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        return {"loc": self.loc, "scale": self.scale}


def standard_normal(
    event_shape: int | Sequence[int], *, dtype: tf.DType | str = tf.float32
) -> tfd.Distribution:
    """Independent standard normals: the usual base.

    Args:
      event_shape: integer, or shape of one event.
      dtype: of the samples.

    >>> import tfp_flows
    >>> tfp_flows.standard_normal(2).log_prob([0.0, 0.0]).numpy().round(3)
    np.float32(-1.838)
    """
    return _independent(Normal, event_shape, dtype)


def standard_logistic(
    event_shape: int | Sequence[int], *, dtype: tf.DType | str = tf.float32
) -> tfd.Distribution:
    """Independent standard logistic variables: NICE's base.

    Args:
      event_shape: integer, or shape of one event.
      dtype: of the samples.

    >>> import tfp_flows
    >>> tfp_flows.standard_logistic(2).log_prob([0.0, 0.0]).numpy().round(3)
    np.float32(-2.773)

    Reference:
      Dinh, Krueger, Bengio (2014), NICE, section 3.4. https://arxiv.org/abs/1410.8516
    """
    return _independent(Logistic, event_shape, dtype)


def _scaled(distribution, draw, n, seed):
    """Draws noise, scaled; as in TFP, a graph draws anew from an integer seed each time."""
    shape = tf.concat([[n], distribution.batch_shape_tensor()], axis=0)
    noise = draw(shape, tfp.random.sanitize_seed(seed), distribution.dtype)
    return distribution.loc + distribution.scale * noise


def _independent(family, event_shape, dtype):
    event_shape = check_event_shape("event_shape", event_shape)
    check_dtype("dtype", dtype)
    # Both in the event's shape, so that `tf.vectorized_map` can add axes before it.
    zeros, ones = tf.zeros(event_shape, dtype), tf.ones(event_shape, dtype)
    return tfd.Independent(
        family(loc=zeros, scale=ones),
        reinterpreted_batch_ndims=len(event_shape),
    )
