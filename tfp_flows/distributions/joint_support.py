"""The support of a joint distribution, as a bijector from an unconstrained vector."""

from __future__ import annotations

import copy
import functools
import math
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tfp_flows.core.arguments import check_instance
from tfp_flows.core.compiled_call import graph_function
from tfp_flows.distributions.autoregressive_distribution import AutoregressiveDistribution
from tfp_flows.distributions.default_supports import check_reach
from tfp_flows.distributions.default_supports import default_support
from tfp_flows.distributions.default_supports import with_free_entries
from tfp_flows.distributions.part_by_part import part_by_part
from tfp_flows.distributions.target_checks import named
from tfp_flows.distributions.target_checks import parts_of

__all__ = ["JointSupport"]


class JointSupport:
    """The support of a target, as a bijector from an unconstrained vector.

    ```none
    vector [D]  -> split -> reshape -> constrain ->  parts of the target, in its structure
    ```

    Attributes:
      bijector: stock bijector whose `forward` maps `[..., D]` to the parts.
      event_size: D, the entries of all parts together, unconstrained.
      dtype: of all parts.
    """

    def __init__(self, event_shape: Any, constraint: tfb.Bijector, dtype: tf.DType) -> None:
        unconstrained = constraint.inverse_event_shape(event_shape)
        flat_shapes = tf.nest.flatten(unconstrained)
        if not all(shape.is_fully_defined() for shape in flat_shapes):
            raise ValueError(f"Expected event shapes that are known; got {event_shape}.")
        sizes = [math.prod(shape) for shape in flat_shapes]
        _check_size(sum(sizes))
        self.bijector = tfb.Chain([constraint, *_split(unconstrained, sizes)])
        self.event_size = sum(sizes)
        self.dtype = dtype

    @classmethod
    def of_distribution(cls, target: tfd.Distribution) -> JointSupport:
        """The support of a distribution, by the default bijectors of its parts.

        Args:
          target: a `tfd.Distribution`, joint or not, or what `experimental_pin` returns.

        Raises:
          ValueError: if a part is not continuous, has batch axes or no default bijector,
            or one that does not reach its support, or parts have different dtypes.
        """
        batch_shapes = tf.nest.flatten(target.batch_shape)
        if any(shape.rank != 0 for shape in batch_shapes):
            raise ValueError(
                "Expected `target` without batch axes (`tfd.Independent` makes them axes "
                f"of the event); got batch shape {target.batch_shape}."
            )
        dtypes = set(tf.nest.flatten(target.dtype))
        _check_size(len(dtypes))
        if len(dtypes) > 1 or not all(dtype.is_floating for dtype in dtypes):
            found = named(target.dtype) or {target.name: target.dtype}
            raise ValueError(
                "Expected `target` with parts of one floating-point dtype; got "
                f"{', '.join(f'{name} of {dtype.name}' for name, dtype in found.items())}."
            )
        (dtype,) = dtypes
        constraint = _default_constraint(target)
        for name, part in parts_of(target):
            check_reach(part, name)
        support = cls(target.event_shape, constraint, dtype)
        _check_call(target, support)
        if not tf.nest.is_nested(target.event_shape):
            return support
        plain = _of_parts(target, support)
        if plain is None:
            # A posterior has only the bijector, and may be pickled.
            describe = functools.partial(part_by_part, target, support)
            object.__setattr__(support.bijector, "_part_by_part", describe)
        return plain or support

    def prior_draws(self, target: Any, count: int, seed: int) -> np.ndarray:
        """Draws of a distribution, where nothing is observed, on the unconstrained space.

        Args:
          target: what the support was made of; for a pinned joint distribution, its parts
            are drawn in their order, with what is pinned as it is.
          count: number of draws.
          seed: integer.

        Returns:
          `[N, D]`, fewer than `count` if some cannot be mapped, and none if the
          distribution cannot be sampled.
        """
        try:
            draw = getattr(target, "sample_unpinned", None) or target.sample
            # One by one: models that are batched automatically draw many in a slow loop.
            one = graph_function(lambda seed: draw(seed=seed))
            draws = [one(tf.constant([seed, k])) for k in range(count)]
            parts = tf.nest.map_structure(lambda *each: tf.stack(each), *draws)
            x = self.bijector.inverse(parts).numpy().astype(np.float64)
        except Exception:  # whatever a model raises, its prior is not needed for a fit
            return np.zeros([0, self.event_size])
        return x[np.isfinite(x).all(axis=1)]

    def mapped(self, bijector: tfb.Bijector) -> JointSupport:
        """The same support from other coordinates, which a bijector maps to these."""
        mapped = copy.copy(self)
        mapped.bijector = tfb.Chain([self.bijector, bijector])
        return mapped

    @classmethod
    def of_shape(
        cls, event_shape: Any, support: Any, dtype: tf.DType | str
    ) -> JointSupport:
        """The support that bijectors constrain the parts to.

        Args:
          event_shape: a shape, or a structure of shapes; an integer is a vector's.
          support: bijector from all reals to the support of the part, in the structure of
            `event_shape`; None, as a whole or for a part, leaves it unconstrained. Their
            log-dets become those `with_free_entries`.
          dtype: of all parts.
        """
        event_shape = _as_shapes(event_shape)
        _check_size(len(tf.nest.flatten(event_shape)))
        if support is None:
            support = tf.nest.map_structure(lambda _: None, event_shape)
        _check_support_structure(event_shape, support)
        support = with_free_entries(support)
        if tf.nest.is_nested(event_shape) and not isinstance(support, tfb.Bijector):
            parts = tf.nest.map_structure(lambda b: b or tfb.Identity(), support)
            support = tfb.JointMap(parts)
        return cls(event_shape, support or tfb.Identity(), tf.as_dtype(dtype))


def _check_size(size):
    if not size:
        raise ValueError(
            "Expected `target` with a variable that is not pinned, at least; got none."
        )


def _check_support_structure(event_shape, support):
    """Raises `ValueError` unless `support` has a bijector, or None, for each part."""
    if tf.nest.is_nested(event_shape) and not isinstance(support, tfp.bijectors.Bijector):
        try:
            tf.nest.assert_same_structure(event_shape, support)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"Expected `support` in the structure of the event shape {event_shape}; "
                f"got {support!r}."
            ) from error
    for part in tf.nest.flatten(support):
        if part is not None:
            words = "bijectors, or None for a part that is unconstrained"
            check_instance("support", part, tfp.bijectors.Bijector, words)


def _default_constraint(target):
    try:
        constraint = default_support(target)
    except AttributeError:  # a part of a joint distribution has none
        constraint = None
    if constraint is None:
        # Of this package's own distributions, only discrete ones have none.
        is_own = isinstance(target, AutoregressiveDistribution)
        kind = "discrete" if is_own else "discrete or has a part that is, or a mixture"
        raise ValueError(
            "Expected continuous `target` with parts that know their support, as most of "
            "TFP's do (mixtures do not; give the event shape and `support` instead); got "
            f"`{target.name}`, which is {kind}."
        )
    return constraint


def _check_call(target, support):
    """Raises `ValueError` if TFP's bijector does not take the target's dtype.

    Some have constants of float32 only.
    """
    try:
        support.bijector.forward(tf.zeros([1, support.event_size], support.dtype))
    except Exception as error:
        raise ValueError(
            "Expected `target` with parts whose default bijectors take their dtype, "
            f"{support.dtype.name}; that of `{target.name}` raised {type(error).__name__}: "
            f"{' '.join(str(error).split())} Try another dtype or distribution."
        ) from error


def _of_parts(target, support):
    """The support by the parts' own bijectors; None if they are not those of `target`.

    That of an auto-batched model is vectorised op by op, without TFP's own gradients: that
    of softplus is NaN above 88 in float32 then.
    """
    try:
        plain = part_by_part(target, support)
        point = tf.zeros([1, support.event_size], support.dtype)
        parts = (s.bijector.forward(point) for s in (plain, support))
        tf.nest.assert_same_structure(*parts, check_types=True)
    except Exception:  # supports that depend on other parts, or a model without draws
        return None
    return plain


def _split(shapes, sizes):
    """Bijectors, data side first, from a vector to a structure of unconstrained parts."""
    if not tf.nest.is_nested(shapes):
        return [tfb.Reshape(shapes, [sizes[0]])]
    reshape = tf.nest.map_structure(
        tfb.Reshape,
        shapes,
        tf.nest.pack_sequence_as(shapes, [tf.TensorShape([size]) for size in sizes]),
    )
    restructure = tf.nest.pack_sequence_as(shapes, range(len(sizes)))
    return [tfb.JointMap(reshape), tfb.Restructure(restructure), tfb.Split(sizes)]


def _as_shapes(event_shape):
    """Makes `TensorShape`s of the shapes in a structure."""
    if isinstance(event_shape, dict):
        return {name: _as_shapes(shape) for name, shape in event_shape.items()}
    is_shape = not isinstance(event_shape, (list, tuple)) or all(
        size is None or isinstance(size, int) for size in event_shape
    )
    if is_shape:
        event_shape = [event_shape] if isinstance(event_shape, int) else event_shape
        return tf.TensorShape(event_shape)
    parts = map(_as_shapes, event_shape)
    is_named = hasattr(event_shape, "_fields")
    return type(event_shape)(*parts) if is_named else type(event_shape)(parts)
