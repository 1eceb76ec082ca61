"""The support of a joint distribution, as a bijector from an unconstrained vector."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tfp_flows.core.arguments import check_callable, check_instance, refuse, require
from tfp_flows.core.compiled import graph_function
from tfp_flows.core.serialization import serialize
from tfp_flows.distributions.autoregressive import AutoregressiveDistribution
from tfp_flows.distributions.distribution_checks import is_discrete
from tfp_flows.inference.default_supports import (
    JOINT_MAP,
    OTHER_FORM,
    SOFTNESS,
    check_reach,
    default_support,
    for_target,
    softly_clipped,
    support_of_one,
    with_free_entries,
)
from tfp_flows.inference.parts import named

_TARGET = "a `tfd.Distribution` or the shape of an event"
_NUM_POINTS = 16  # at which two supports of a target are compared


@dataclasses.dataclass(frozen=True, eq=False)
class JointSupport:
    """The support of a target, as a bijector from an unconstrained vector.

    ```none
    vector [D]  -> split -> reshape -> constrain ->  parts of the target, in its structure
    ```

    Attributes:
      bijector: stock bijector whose `forward` maps `[..., D]` to the parts.
      event_size: D, the number of unconstrained entries of all parts.
      dtype: dtype of all parts.
    """

    bijector: tfb.Bijector
    event_size: int
    dtype: tf.DType

    @classmethod
    def from_constraint(
        cls, event_shape: Any, constraint: tfb.Bijector, dtype: tf.DType
    ) -> JointSupport:
        """The support of parts that a bijector makes of a vector of their numbers."""
        unconstrained = constraint.inverse_event_shape(event_shape)
        flat_shapes = tf.nest.flatten(unconstrained)
        are_known = all(shape.is_fully_defined() for shape in flat_shapes)
        require(are_known, "event shapes that are known", event_shape)
        sizes = [math.prod(shape) for shape in flat_shapes]
        _check_size(sum(sizes))
        bijector = tfb.Chain([constraint, *_split(unconstrained, sizes)])
        return cls(bijector, sum(sizes), dtype)

    @classmethod
    def from_distribution(
        cls, target: tfd.Distribution, argument: str = "target"
    ) -> JointSupport:
        """The support of a distribution, by the default bijectors of its parts.

        `argument` is the name that the distribution has for the user, for errors.

        Raises:
          ValueError: if a part is not continuous, has batch axes, or has no default
            bijector that reaches its support; or if parts have different dtypes.
        """
        parts = parts_of(target)
        _refuse_discrete(parts, argument)
        dtype = _common_dtype(target, argument)
        constraint = _default_constraint(target, argument)
        try:
            constraint.inverse_event_shape(target.event_shape)
        except (TypeError, ValueError) as error:  # a list of parts for one vector
            words = f"`{argument}` whose default bijector has its event shape"
            kind = type(target).__name__.removeprefix("_")
            hint = for_target(argument, OTHER_FORM) or " Name the parts of a joint one."
            got = f"{kind} of event shape {target.event_shape}"
            raise ValueError(f"Expected {words}; got {got}.{hint}") from error
        for name, part in parts:
            check_reach(part, name, argument)
        support = cls.from_constraint(target.event_shape, constraint, dtype)
        plain = _plain_support(target, support, _checked_parts(target, support, argument))
        if plain is None and tf.nest.is_nested(target.event_shape):
            # A pickled posterior has the bijector only.
            describe = functools.partial(_part_by_part, target, support)
            object.__setattr__(support.bijector, "_without_functions", describe)
        return plain or support

    def prior_draws(self, target: Any, count: int, seed: int) -> np.ndarray:
        """Draws of this support's distribution, or of a joint one's prior, unconstrained.

        Parts of a pinned joint distribution are drawn in their order, given the pinned
        parts. There are fewer rows, `[N, D]`, than `count` if some draws cannot be mapped,
        and none if the distribution cannot be sampled.
        """
        try:
            draw = getattr(target, "sample_unpinned", None) or target.sample
            # One by one, since auto-batched models draw many in a slow loop.
            one = graph_function(lambda seed: draw(seed=seed))
            draws = [one(tf.constant([seed, k])) for k in range(count)]
            parts = tf.nest.map_structure(lambda *each: tf.stack(each), *draws)
            x = self.unconstrained(parts).reshape(count, self.event_size)
        except Exception:  # models may raise any error; a fit does not need the prior
            return np.zeros([0, self.event_size])
        return x[np.isfinite(x).all(axis=1)]

    @property
    def event_shapes(self) -> Any:
        """The shape of each part, in the structure of the parts."""
        return tf.nest.map_structure(lambda part: part.shape[1:], self.one_draw())

    def one_draw(self) -> Any:
        """Returns the parts at the origin, with an axis of one draw."""
        return self.bijector.forward(tf.zeros([1, self.event_size], self.dtype))

    def entries(self, x: np.ndarray) -> np.ndarray:
        """Returns the entries of all parts, `[N, E]` in float64, of `[N, D]`."""
        parts = self.bijector.forward(tf.constant(x, self.dtype))
        rows = [np.reshape(part, [len(x), -1]) for part in tf.nest.flatten(parts)]
        return np.concatenate(rows, axis=1).astype(np.float64)

    def unconstrained(self, parameters: Any) -> np.ndarray:
        """Returns parameters as rows of unconstrained numbers, `[N, D]` in float64.

        Draws that are rounded to an end of the support, such as those of `Beta(2, 0.2)` to
        1, are moved to the next number inside.
        """
        # Arrays, since TFP's cache prints errors about tensors that a part returns as is.
        arrays = tf.nest.map_structure(np.asarray, parameters)
        x = self.bijector.inverse(arrays).numpy()
        is_inside = np.isfinite(x).all(axis=-1, keepdims=True)
        if not is_inside.all():
            moved = tf.nest.map_structure(_towards, arrays, self.one_draw())
            x = np.where(is_inside, x, self.bijector.inverse(moved).numpy())
        return x.astype(np.float64)

    def equals(self, other: JointSupport) -> bool:
        """Whether another support maps vectors to the same parts, tried at some points."""
        if self.event_size != other.event_size:
            return False
        points = 2.0 * np.random.default_rng(0).normal(size=(_NUM_POINTS, self.event_size))
        bijectors = self.bijector, other.bijector

        # In one graph, since an auto-batched model makes a function of each eager call, of
        # which TensorFlow warns.
        @graph_function
        def values(x):
            log_dets = [b.forward_log_det_jacobian(x, event_ndims=1) for b in bijectors]
            return [tf.nest.flatten(b.forward(x)) for b in bijectors], log_dets

        results = tf.nest.map_structure(np.asarray, values(tf.constant(points, self.dtype)))
        (own, others), log_dets = results  # a log-det may be one number for all points
        is_close = functools.partial(np.allclose, rtol=1e-4, atol=1e-6, equal_nan=True)
        have_shapes = [part.shape for part in own] == [part.shape for part in others]
        return have_shapes and all(map(is_close, own, others)) and is_close(*log_dets)

    def is_of(self, target: tfd.Distribution) -> bool:
        """Whether it is the support of a distribution, by TFP's bijector of it."""
        constraint = default_support(target)
        stock = self.from_constraint(target.event_shape, constraint, self.dtype)
        return self.equals(stock)

    def mapped(self, bijector: tfb.Bijector) -> JointSupport:
        """The same support from other coordinates, which `bijector` maps to these."""
        return dataclasses.replace(self, bijector=tfb.Chain([self.bijector, bijector]))

    def softly_clipped(self, softness: Sequence[float] = ()) -> JointSupport:
        """The same support, with intervals that are mapped linearly inside.

        If data show a location with the same error everywhere, its posterior then has the
        same width everywhere. Flows learn it from fewer simulations than its logit
        (docs/tried_and_dropped.md).

        Softness is that of `default_supports.softly_clipped`, for each of `part_bijectors`.
        """
        constraint, *others = self.bijector.bijectors
        parts = self.part_bijectors
        each = zip(parts, softness or [SOFTNESS] * len(parts), strict=True)
        clipped = [softly_clipped(part, value) for part, value in each]
        if all(new is old for new, old in zip(clipped, parts, strict=True)):
            return self  # such as a support of a part that depends on another
        changed: Any = clipped[0]
        if isinstance(constraint, JOINT_MAP):
            structure = constraint.bijectors
            changed = tfb.JointMap(tf.nest.pack_sequence_as(structure, clipped))
        return dataclasses.replace(self, bijector=tfb.Chain([changed, *others]))

    @property
    def part_bijectors(self) -> list[tfb.Bijector]:
        """The bijector of each part, or one of all together."""
        constraint = self.bijector.bijectors[0]
        is_map = isinstance(constraint, JOINT_MAP)
        return tf.nest.flatten(constraint.bijectors) if is_map else [constraint]

    @classmethod
    def from_shape(
        cls, event_shape: Any, support: Any, dtype: tf.DType | str
    ) -> JointSupport:
        """The support of parts that bijectors constrain, as in `fit_posterior`.

        An integer is a vector's size. Without `support`, all parts are unconstrained.
        Log-dets become those of `with_free_entries`.
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
        constraint = support or tfb.Identity()
        return cls.from_constraint(event_shape, constraint, tf.as_dtype(dtype))


def support_and_density(
    target: Any, support: Any, target_log_prob_fn: Callable | None, dtype: tf.DType | str
) -> tuple[JointSupport, Callable | None]:
    """Returns the `JointSupport` and log-density, from arguments of `flow_posterior`."""
    if target_log_prob_fn is not None:
        words = "a function of the parts of a draw"
        check_callable("target_log_prob_fn", target_log_prob_fn, words)
    if isinstance(target, (str, bytes, type)) or target is None:
        refuse(f"`target`, {_TARGET}", target)
    if not hasattr(target, "event_shape"):
        _check_shapes(target)
        return JointSupport.from_shape(target, support, dtype), target_log_prob_fn
    # A pinned joint distribution has this method and is no `tfd.Distribution`.
    is_distribution = hasattr(target, "experimental_default_event_space_bijector")
    got = f"an object of the class {type(target).__name__}"
    require(is_distribution, f"`target`, {_TARGET}", got, f" {OTHER_FORM}")
    words = "no `support` with a distribution, which has its own"
    require(support is None, words, "one")
    log_prob = target_log_prob_fn or target.unnormalized_log_prob
    return JointSupport.from_distribution(target), log_prob


def _check_shapes(target):
    """Raises `ValueError` unless `target` is a shape, or a structure of shapes."""
    hint = (
        " For a log_prob function give the shape of its argument, and the function as "
        "`target_log_prob_fn`."
    )
    got = f"the function {target!r}"
    require(not callable(target), f"`target`, {_TARGET}", got, hint)
    sizes = [size for size in tf.nest.flatten(target) if size is not None]
    if any(isinstance(s, bool) or not hasattr(s, "__index__") or s < 0 for s in sizes):
        are_shapes = all(isinstance(s, tf.TensorShape) for s in sizes)
        require(are_shapes, f"`target`, {_TARGET}", repr(target))


def _refuse_discrete(parts, argument):
    for name, part in parts:
        is_single = isinstance(part, tfd.Distribution) and not tf.nest.is_nested(part.dtype)
        is_known = is_single and is_discrete(part)
        words = f"`{argument}` of continuous parts, of one floating-point dtype"
        got = f"{name}, a discrete {type(part).__name__.removeprefix('_')}"
        hint = "Sum over it in the log_prob, or compute a Deterministic one in the model."
        require(not is_known, words, got, for_target(argument, hint))


def _common_dtype(target, argument):
    """The dtype of all parts; raises `ValueError` if they differ, or have batch axes."""
    has_batch = any(shape.rank != 0 for shape in tf.nest.flatten(target.batch_shape))
    words = "without batch axes (`tfd.Independent` makes them axes of the event)"
    shapes = named(target.batch_shape) or {target.name: target.batch_shape}
    got = ", ".join(f"{name} of batch shape {part}" for name, part in shapes.items())
    require(not has_batch, f"`{argument}` {words}", got)
    dtypes = set(tf.nest.flatten(target.dtype))
    _check_size(len(dtypes), argument)
    by_part = named(target.dtype) or {target.name: target.dtype}
    is_one = len(dtypes) == 1 and all(dtype.is_floating for dtype in dtypes)
    got = ", ".join(f"{n} of {tf.nest.flatten(d)[0].name}" for n, d in by_part.items())
    require(is_one, f"`{argument}` with parts of one floating-point dtype", got)
    return dtypes.pop()


def parts_of(target: Any) -> list[tuple[str, Any]]:
    """Returns a description and the distribution of each part that is not pinned.

    They are in the order in which `tf.nest` flattens the parts. A part that is a joint
    distribution has parts of its own, which take its place. There are none if the model
    cannot be sampled.
    """
    joint = target.distribution if hasattr(target, "pins") else target
    if not hasattr(joint, "sample_distributions"):
        return [(f"`{target.name}`", target)]
    try:
        parts, _ = joint.sample_distributions(seed=(0, 0))
        by_name = named(parts)
        names = list(by_name)
        if not isinstance(names[0], str):  # pins have names in any case
            names = [name for name, _ in joint.resolve_graph()]
    except Exception:  # a model that cannot be sampled raises where it is used
        return []
    pins = getattr(target, "pins", {})
    named_parts = []
    for name, (key, part) in zip(names, by_name.items(), strict=True):
        if name not in pins:
            inner = parts_of(part) if hasattr(part, "sample_distributions") else []
            named_parts += inner or [(f"the part {key!r}", part)]
    return named_parts


def outside_support(parts: Any, event_shape: Any, dtype: tf.DType) -> tf.Tensor:
    """Returns log-densities of draws outside the support: NaN for NaN, else -inf."""
    have_nan = [
        tf.reduce_any(tf.math.is_nan(part), axis=list(range(-shape.rank, 0)))
        for part, shape in zip(*map(tf.nest.flatten, (parts, event_shape)), strict=True)
    ]
    nan = tf.constant(math.nan, dtype)
    return tf.where(functools.reduce(tf.logical_or, have_nan), nan, -math.inf)


def _check_size(size, argument="target"):
    words = f"`{argument}` with a variable that is not pinned, at least"
    require(size, words, "none")


def _check_support_structure(event_shape, support):
    """Raises `ValueError` unless `support` has a bijector, or None, for each part."""
    if tf.nest.is_nested(event_shape) and not isinstance(support, tfb.Bijector):
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
            check_instance("support", part, tfb.Bijector, words)


def _default_constraint(target, argument):
    try:
        constraint = default_support(target)
    except AttributeError:  # a part of a joint distribution has none
        constraint = None
    if constraint is None:
        # All continuous distributions of this package have one.
        is_own = isinstance(target, AutoregressiveDistribution)
        kind = "discrete" if is_own else "discrete or has a part that is, or a mixture"
        lacking = [name for name, part in parts_of(target) if not _has_support(part)]
        lacking.append(f"`{target.name}`")
        raise ValueError(
            f"Expected continuous `{argument}` with parts that know their support, as most "
            f"of TFP's do (mixtures do not); got {lacking[0]}, which is "
            f"{kind}.{for_target(argument, OTHER_FORM)}"
        )
    return constraint


def _has_support(part):
    try:
        return default_support(part) is not None
    except Exception:  # parts may raise any error
        return False


def _checked_parts(target, support, argument):
    """Parts of one draw; raises `ValueError` if TFP's bijector does not take their dtype.

    Some have constants of float32 only.
    """
    try:
        return support.one_draw()
    except Exception as error:
        raise ValueError(
            f"Expected `{argument}` with parts whose default bijectors take their dtype, "
            f"{support.dtype.name}; that of `{target.name}` raised {type(error).__name__}: "
            f"{' '.join(str(error).split())} Try another dtype or distribution."
        ) from error


def _plain_support(target, support, parts):
    """The support by the parts' own bijectors; None if it differs from the target's.

    `parts` are those of the target's support at one draw.

    The support of an auto-batched model is vectorised op by op and lacks TFP's gradients;
    its gradient of softplus is NaN above 88 in float32. That of `tfd.Sample` cannot be
    saved.
    """
    try:
        plain = _part_by_part(target, support)
        tf.nest.assert_same_structure(plain.one_draw(), parts, check_types=True)
    except Exception:  # supports that depend on other parts, or a model without draws
        return None
    return plain


def _split(shapes, sizes):
    """Bijectors from a vector to a structure of unconstrained parts, data side first."""
    if not tf.nest.is_nested(shapes):
        return [tfb.Reshape(shapes, [sizes[0]])]
    flat = tf.nest.pack_sequence_as(shapes, [tf.TensorShape([size]) for size in sizes])
    reshape = tf.nest.map_structure(tfb.Reshape, shapes, flat)
    restructure = tf.nest.pack_sequence_as(shapes, range(len(sizes)))
    return [tfb.JointMap(reshape), tfb.Restructure(restructure), tfb.Split(sizes)]


def _as_shapes(event_shape):
    """Converts the shapes in a structure to `TensorShape`s."""
    if isinstance(event_shape, dict):
        return {name: _as_shapes(shape) for name, shape in event_shape.items()}
    if isinstance(event_shape, (int, np.integer)):
        return tf.TensorShape([event_shape])
    if not isinstance(event_shape, (list, tuple)) or all(
        size is None or isinstance(size, (int, np.integer)) for size in event_shape
    ):
        return tf.TensorShape(event_shape)
    parts = map(_as_shapes, event_shape)
    is_named = hasattr(event_shape, "_fields")
    return type(event_shape)(*parts) if is_named else type(event_shape)(parts)


def _part_by_part(target: Any, support: JointSupport) -> JointSupport:
    """Returns a `JointSupport` of the parts' own bijectors that is equal to `support`.

    TFP's support of a joint distribution calls the functions of the model, which cannot be
    saved, since the support of a part may depend on other parts. A target with such parts
    raises `ValueError`.
    """
    parts = [support_of_one(part) for _, part in parts_of(target)]
    structure = tf.nest.pack_sequence_as(target.event_shape, parts)
    plain = support.from_shape(target.event_shape, structure, support.dtype)
    words = "a model of parts whose supports do not depend on other parts"
    require(plain.equals(support), words, f"`{target.name}`")
    return plain


def described(support: tfb.Bijector, name: str) -> tuple[dict, list[np.ndarray]]:
    """Returns a support as plain data, with the values of its variables.

    Raises `ValueError`, which names the posterior, if plain data cannot describe it.
    """
    try:
        support = without_functions(support)
        data = serialize(support)
    except ValueError as error:
        raise ValueError(
            f"Expected a support of `{name}` that plain data describe: {error} Pickle "
            "`posterior.distribution`, and make a `FlowPosterior` of it and a new "
            "posterior's `support`."
        ) from error
    return data, [variable.numpy() for variable in support.variables]


def without_functions(support: tfb.Bijector) -> tfb.Bijector:
    """Returns an equal bijector without functions of a model, or raises `ValueError`."""
    if hasattr(support, "_without_functions"):
        return support._without_functions().bijector
    return support


def _towards(values, middle):
    """The next floating-point numbers, towards the middle; none is subnormal."""
    moved = np.nextafter(values, np.asarray(middle)[0])
    least = np.finfo(moved.dtype).tiny  # TensorFlow takes smaller numbers for 0
    return np.where(np.abs(moved) < least, np.copysign(least, moved), moved)
