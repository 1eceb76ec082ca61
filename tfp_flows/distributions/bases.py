"""Bases of flows, whose draws are fast and the same in every mode of execution."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import distributions as tfd

from tfp_flows.core.arguments import check_dtype, check_event_shape
from tfp_flows.core.circular import as_circular
from tfp_flows.core.serialization import Configured
from tfp_flows.distributions import draws


class Normal(tfd.Normal):
    """`tfd.Normal` with the noise of `draws.py`.

    Under XLA on a CPU, TensorFlow's default generator is slower than a flow of four
    steps, and its numbers differ from those without XLA.
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
      dtype: dtype of the samples.

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
      dtype: dtype of the samples.

    >>> import tfp_flows
    >>> tfp_flows.standard_logistic(2).log_prob([0.0, 0.0]).numpy().round(3)
    np.float32(-2.773)

    Reference:
      Dinh, Krueger, Bengio (2014), NICE, section 3.4. https://arxiv.org/abs/1410.8516
    """
    return _independent(Logistic, event_shape, dtype)


def _scaled(distribution, draw, n, seed):
    """Draws scaled noise. A graph draws anew in each call, as always in TFP."""
    shape = tf.concat([[n], distribution.batch_shape_tensor()], axis=0)
    noise = draw(shape, tfp.random.sanitize_seed(seed), distribution.dtype)
    return distribution.loc + distribution.scale * noise


def _independent(family, event_shape, dtype):
    event_shape = check_event_shape("event_shape", event_shape)
    check_dtype("dtype", dtype)
    # Both have the event's shape, so that `tf.vectorized_map` can add axes before it.
    zeros, ones = tf.zeros(event_shape, dtype), tf.ones(event_shape, dtype)
    return tfd.Independent(family(loc=zeros, scale=ones), len(event_shape))


def circular_base(
    event_size: int,
    circular: Sequence[int] | Sequence[bool],
    *,
    dtype: tf.DType | str = tf.float32,
) -> tfd.Distribution:
    """Independent variables: angles that are uniform, and standard normals.

    It is the base of a `NeuralSplineFlow` with the same `circular`. The density of an angle
    is `1 / (2 pi)`, relative to the circle, for any number that represents the angle.
    Samples are in `[-pi, pi]`.

    >>> import tfp_flows
    >>> base = tfp_flows.circular_base(3, circular=[2])
    >>> base.sample(5, seed=0).shape.as_list()
    [5, 3]

    Args:
      event_size: number of variables, D.
      circular: which are angles: a list of indices, or D booleans.
      dtype: dtype of the samples.
    """
    check_dtype("dtype", dtype)
    return NormalsAndAngles(as_circular(circular, event_size).tolist(), dtype)


class NormalsAndAngles(Configured, tfd.Distribution):
    """The distribution that `circular_base` returns.

    Args:
      circular: booleans, `[D]`.
      dtype: dtype of the samples.
      validate_args: as in TFP.
      name: name of the distribution.
    """

    def __init__(
        self,
        circular: Sequence[bool],
        dtype: tf.DType | str = tf.float32,
        validate_args: bool = False,
        name: str = "NormalsAndAngles",
    ) -> None:
        """Takes the arguments that the class describes."""
        parameters = dict(locals())
        self._circular = np.asarray(circular, bool)
        super().__init__(
            dtype=tf.as_dtype(dtype),
            reparameterization_type=tfd.FULLY_REPARAMETERIZED,
            validate_args=validate_args,
            allow_nan_stats=True,
            parameters=parameters,
            name=name,
        )

    @classmethod
    def _parameter_properties(cls, dtype, num_classes=None):
        return {}

    def _batch_shape(self):
        return tf.TensorShape([])

    def _event_shape(self):
        return tf.TensorShape(self._circular.shape)

    def _sample_n(self, n, seed=None):
        from_angles, from_normals = draws.split(tfp.random.sanitize_seed(seed), 2)
        shape = tf.stack([n, len(self._circular)])
        angles = 2.0 * math.pi * (draws.uniform(shape, from_angles, self.dtype) - 0.5)
        normals = draws.normal(shape, from_normals, self.dtype)
        return tf.where(self._circular, angles, normals)

    def _log_prob(self, value):
        finite = tf.where(self._circular, tf.zeros_like(value), value)
        log_density = np.where(self._circular, 2.0, 1.0) * -0.5 * math.log(2.0 * math.pi)
        # The density of a NaN or infinite angle is NaN.
        nan = tf.where(tf.math.is_finite(value), tf.zeros_like(value), value - value)
        summands = tf.cast(log_density, value.dtype) - 0.5 * finite**2
        return tf.reduce_sum(summands + tf.where(self._circular, nan, 0.0), axis=-1)
