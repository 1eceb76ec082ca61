"""The support of a joint distribution, as a bijector from an unconstrained vector."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tfp_flows.core.arguments import check_callable
from tfp_flows.core.arguments import check_instance
from tfp_flows.core.compiled import graph_function
from tfp_flows.core.serialization import Configured
from tfp_flows.core.serialization import serialize
from tfp_flows.distributions.autoregressive import AutoregressiveDistribution
from tfp_flows.inference.target import check_target
from tfp_flows.inference.target import named
from tfp_flows.inference.target import parts_of

__all__ = ["described", "JointSupport", "support_and_density", "with_free_entries"]
# TFP makes instances of these bases if a part is no composite tensor.
_SAMPLE, _INDEPENDENT, _RESHAPED, _BROADCAST = (
    getattr(tfp.distributions, name).__mro__[1]
    for name in ("Sample", "Independent", "BatchReshape", "BatchBroadcast")
)
# Points at which two supports of a target are compared.
_NUM_POINTS = 16
# Draws that a support has to reach, and the largest share that rounding may make it miss.
_NUM_DRAWS, _MOST_MISSED = 256, 0.02
# Smallest size at which numbers of float32 have all their digits, with a margin.
_LEAST = 1e-30


class JointSupport:
    """The support of a target, as a bijector from an unconstrained vector.

    ```none
    vector [D]  -> split -> reshape -> constrain ->  parts of the target, in its structure
    ```

    Attributes:
      bijector: stock bijector whose `forward` maps `[..., D]` to the parts.
      event_size: D, the number of unconstrained entries of all parts.
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
    def from_distribution(cls, target: tfd.Distribution) -> JointSupport:
        """The support of a distribution, by the default bijectors of its parts.

        Args:
          target: a `tfd.Distribution`, joint or not, or a pinned joint distribution.

        Raises:
          ValueError: if a part is not continuous, has batch axes, or has no default
            bijector that reaches its support; or if parts have different dtypes.
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
        plain = _from_parts(target, support)
        if plain is None:
            # A pickled posterior has the bijector only.
            describe = functools.partial(part_by_part, target, support)
            object.__setattr__(support.bijector, "_part_by_part", describe)
        return plain or support

    def prior_draws(self, target: Any, count: int, seed: int) -> np.ndarray:
        """Draws of a distribution, or of a joint distribution's prior, unconstrained.

        Args:
          target: the distribution of this support. Parts of a pinned joint distribution
            are drawn in their order, given the pinned parts.
          count: number of draws.
          seed: integer.

        Returns:
          `[N, D]`: fewer rows than `count` if some draws cannot be mapped, and no rows if
          the distribution cannot be sampled.
        """
        try:
            draw = getattr(target, "sample_unpinned", None) or target.sample
            # One by one, since auto-batched models draw many in a slow loop.
            one = graph_function(lambda seed: draw(seed=seed))
            draws = [one(tf.constant([seed, k])) for k in range(count)]
            parts = tf.nest.map_structure(lambda *each: tf.stack(each), *draws)
            x = self.bijector.inverse(parts).numpy().astype(np.float64)
        except Exception:  # models may raise any error; a fit does not need the prior
            return np.zeros([0, self.event_size])
        return x[np.isfinite(x).all(axis=1)]

    def mapped(self, bijector: tfb.Bijector) -> JointSupport:
        """The same support from other coordinates, which `bijector` maps to these."""
        mapped = copy.copy(self)
        mapped.bijector = tfb.Chain([self.bijector, bijector])
        return mapped

    @classmethod
    def from_shape(
        cls, event_shape: Any, support: Any, dtype: tf.DType | str
    ) -> JointSupport:
        """The support of parts that bijectors constrain.

        Args:
          event_shape: a shape, or a structure of shapes; an integer is a vector's size.
          support: bijectors from all reals to the support of each part, in the structure of
            `event_shape`; None leaves a part, or all parts, unconstrained. Log-dets become
            those of `with_free_entries`.
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


def support_and_density(
    target: Any, support: Any, target_log_prob_fn: Callable | None, dtype: tf.DType | str
) -> tuple[JointSupport, Callable | None]:
    """Returns the `JointSupport` of a target and its unnormalised log-density.

    Args:
      target: a distribution, or an event shape, or a structure of event shapes.
      support: bijectors in the structure of an event shape.
      target_log_prob_fn: function of the parts; by default that of a distribution.
      dtype: of the parts, if `target` is an event shape.
    """
    if target_log_prob_fn is not None:
        words = "a function of the parts of a draw"
        check_callable("target_log_prob_fn", target_log_prob_fn, words)
    check_target(target)
    if not isinstance(target, tfd.Distribution) and not hasattr(target, "event_shape"):
        return JointSupport.from_shape(target, support, dtype), target_log_prob_fn
    if support is not None:
        raise ValueError("Expected no `support` with a distribution, which has its own.")
    log_prob = target_log_prob_fn or target.unnormalized_log_prob
    return JointSupport.from_distribution(target), log_prob


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
        # All continuous distributions of this package have one.
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


def _from_parts(target, support):
    """The support by the parts' own bijectors; None if it differs from the target's.

    The support of an auto-batched model is vectorised op by op and lacks TFP's gradients;
    its gradient of softplus is NaN above 88 in float32.
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
    """Bijectors from a vector to a structure of unconstrained parts, data side first."""
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
    """Converts the shapes in a structure to `TensorShape`s."""
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


def part_by_part(target: Any, support: JointSupport) -> JointSupport:
    """Returns a `JointSupport` of the parts' own bijectors that is equal to `support`.

    TFP's support of a joint distribution calls the functions of the model, which cannot be
    saved, since the support of a part may depend on other parts. A target with such parts
    raises `ValueError`.
    """
    parts = [support_of_one(part) for _, part in parts_of(target)]
    structure = tf.nest.pack_sequence_as(target.event_shape, parts)
    plain = support.from_shape(target.event_shape, structure, support.dtype)
    if not all(map(_is_close, _answers(support), _answers(plain))):
        raise ValueError(
            "Expected a `target` of parts whose supports do not depend on other parts; got "
            f"`{target.name}`."
        )
    return plain


def described(support: tfp.bijectors.Bijector, name: str) -> tuple[dict, list[np.ndarray]]:
    """Returns a support as plain data, with the values of its variables.

    Raises `ValueError`, which names the posterior, if plain data cannot describe it.
    """
    try:
        if hasattr(support, "_part_by_part"):  # holds the functions of a model
            support = support._part_by_part().bijector
        data = serialize(support)
    except ValueError as error:
        raise ValueError(
            f"Expected a support of `{name}` that plain data describe: {error} Pickle "
            "`posterior.distribution`, and make a `FlowPosterior` of it and a new "
            "posterior's `support`."
        ) from error
    return data, [variable.numpy() for variable in support.variables]


def _answers(support):
    """The parts of some unconstrained points, and their log-dets."""
    rng = np.random.default_rng(0)
    points = 2.0 * rng.normal(size=(_NUM_POINTS, support.event_size))
    points = tf.constant(points, support.dtype)
    parts = support.bijector.forward(points)
    log_det = support.bijector.forward_log_det_jacobian(points, event_ndims=1)
    return [np.asarray(answer) for answer in (*tf.nest.flatten(parts), log_det)]


def _is_close(a, b):
    # The log-det of an unconstrained part may be one number for all points.
    return np.allclose(a, b, rtol=1e-4, atol=1e-6, equal_nan=True)


class Simplex(Configured, tfb.SoftmaxCentered):
    """`tfb.SoftmaxCentered` with the log-det of K - 1 of the K shares.

    The density of `tfd.Dirichlet` is relative to K - 1 shares. TFP's log-det belongs to the
    surface of the simplex and is larger by log(K) / 2.
    """

    def _forward_log_det_jacobian(self, x):
        num_shares = tf.cast(tf.shape(x)[-1] + 1, x.dtype)
        return super()._forward_log_det_jacobian(x) - 0.5 * tf.math.log(num_shares)

    def _inverse_log_det_jacobian(self, y):
        num_shares = tf.cast(tf.shape(y)[-1], y.dtype)
        return super()._inverse_log_det_jacobian(y) + 0.5 * tf.math.log(num_shares)


class CorrelationOuterProduct(Configured, tfb.CholeskyOuterProduct):
    """`tfb.CholeskyOuterProduct` of factors whose rows have norm 1.

    ```none
    A = L L^T,    log |det dA / dL| = sum_j (n - 1 - j) log L_jj,    j = 0, ..., n - 1
    ```

    The log-det is that of the entries below the diagonal. TFP's includes the diagonal,
    which is constant here. Entries are clipped to -1 and 1, since rounding may exceed them.
    """

    def _forward(self, x):
        return tf.clip_by_value(super()._forward(x), -1.0, 1.0)

    def _forward_log_det_jacobian(self, x):
        diagonal = tf.linalg.diag_part(x)
        powers = tf.range(tf.shape(x)[-1] - 1, -1, -1)
        return tf.reduce_sum(tf.cast(powers, x.dtype) * tf.math.log(diagonal), axis=-1)

    def _inverse_log_det_jacobian(self, y):
        return -self._forward_log_det_jacobian(tf.linalg.cholesky(y))


class FactorOfProduct(Configured, tfb.Bijector):
    """The identity on Cholesky factors, with the log-det of their product.

    TFP's distributions with `input_output_cholesky=True` draw factors, but have the density
    of the matrix.

    Args:
      product: bijector from the factor to the matrix.
      name: name of the bijector.
    """

    def __init__(self, product: tfb.Bijector, name: str = "factor_of_product") -> None:
        parameters = {"product": product, "name": name}
        super().__init__(forward_min_event_ndims=2, parameters=parameters, name=name)
        self.product = product

    @classmethod
    def _parameter_properties(cls, dtype):
        return {}

    def _forward(self, x):
        return tf.identity(x)

    def _inverse(self, y):
        return tf.identity(y)

    def _forward_log_det_jacobian(self, x):
        return self.product.forward_log_det_jacobian(x, event_ndims=2)


class TransformedDensity(Configured, tfb.Bijector):
    """The bijector of a transformed distribution, with the log-det of its density.

    ```none
    log_det(x) = base.log_prob(x) - distribution.log_prob(bijector(x))
    ```

    On a simplex, TFP's density does not have the bijector's own log-det.

    Args:
      distribution: a `tfd.TransformedDistribution`.
      name: name of the bijector.
    """

    def __init__(
        self,
        distribution: tfp.distributions.TransformedDistribution,
        name: str = "transformed_density",
    ) -> None:
        super().__init__(
            forward_min_event_ndims=distribution.distribution.event_shape.rank,
            inverse_min_event_ndims=distribution.event_shape.rank,
            parameters={"distribution": distribution, "name": name},
            name=name,
        )
        self.distribution = distribution

    @classmethod
    def _parameter_properties(cls, dtype):
        return {}

    def _forward(self, x):
        return self.distribution.bijector.forward(x)

    def _inverse(self, y):
        return self.distribution.bijector.inverse(y)

    def _forward_log_det_jacobian(self, x):
        y = self.distribution.bijector.forward(x)
        return self.distribution.distribution.log_prob(x) - self.distribution.log_prob(y)


def default_support(distribution: tfp.distributions.Distribution) -> Any:
    """Returns a bijector from all reals to the support; None if there is none.

    It is TFP's default bijector, except for

    - simplexes and correlation matrices, whose densities need the log-det of free entries;
    - Wishart distributions, for which TFP 0.25 takes a softplus twice, so that no Cholesky
      factor has less than log 2 on its diagonal.
    """
    stock = distribution.experimental_default_event_space_bijector()
    own = None if stock is None else _own_support(distribution, stock)
    return stock if own is None else own


def support_of_one(distribution: tfp.distributions.Distribution) -> Any:
    """Returns the default support of a distribution, or of the one that it repeats."""
    return default_support(_from_one(distribution))


def with_free_entries(support: Any) -> Any:
    """Returns a support whose log-dets of simplexes and correlations fit the densities.

    Args:
      support: a bijector, or a structure of bijectors. Unless it contains
        `tfb.SoftmaxCentered` or the outer product of `tfb.CorrelationCholesky`, it is
        returned unchanged.
    """
    before = tf.nest.flatten(support)
    after = [_part_with_free_entries(part) for part in before]
    return support if _are_same(after, before) else tf.nest.pack_sequence_as(support, after)


def _part_with_free_entries(part):
    if not isinstance(part, tfb.Bijector):
        return part
    if isinstance(part, tfb.Chain):
        return _chain_with_free_entries(part)
    if isinstance(part, tfb.SoftmaxCentered) and not isinstance(part, Simplex):
        return Simplex(validate_args=part.validate_args)
    parameters = part.parameters or {}
    if "jd" in parameters:  # a joint distribution whose parts depend on each other
        return type(part)(parameters["jd"], bijector_fn=default_support)
    changed = {name: with_free_entries(value) for name, value in parameters.items()}
    if "bijector_fn" in parameters:  # a Markov chain
        changed["bijector_fn"] = default_support
    is_same = _are_same(changed.values(), parameters.values())
    return part if is_same else part.copy(**changed)


def _chain_with_free_entries(chain):
    links = list(_links(chain))
    changed: list = []
    for bijector in map(with_free_entries, links):
        is_factor = isinstance(bijector, tfb.CorrelationCholesky)
        if is_factor and changed and isinstance(changed[-1], tfb.CholeskyOuterProduct):
            changed[-1] = CorrelationOuterProduct()
        changed.append(bijector)
    return chain if _are_same(changed, links) else chain.copy(bijectors=changed)


def _own_support(distribution, stock):
    """The support if it differs from TFP's, `stock`; else None."""
    is_wishart = isinstance(distribution, tfp.distributions.WishartLinearOperator)
    is_lkj = isinstance(distribution, tfp.distributions.LKJ)
    if is_wishart or is_lkj:
        # The default shift would leave out factors near zero.
        wishart = tfb.FillScaleTriL(diag_bijector=tfb.Softplus(), diag_shift=None)
        factor = wishart if is_wishart else tfb.CorrelationCholesky()
        product = tfb.CholeskyOuterProduct() if is_wishart else CorrelationOuterProduct()
        is_factor = distribution.input_output_cholesky
        return tfb.Chain([FactorOfProduct(product) if is_factor else product, factor])
    is_transformed = isinstance(distribution, tfp.distributions.TransformedDistribution)
    is_repeated = isinstance(distribution, (_SAMPLE, _INDEPENDENT, _RESHAPED, _BROADCAST))
    if not (is_transformed or is_repeated):
        changed = with_free_entries(stock)
        return None if changed is stock else changed
    one = distribution.distribution
    own = _own_support(one, one.experimental_default_event_space_bijector())
    if own is None or isinstance(distribution, _INDEPENDENT):
        return own
    if isinstance(distribution, tfp.distributions.RelaxedOneHotCategorical):
        return Simplex()
    if is_transformed:
        return tfb.Chain([TransformedDensity(distribution), own])
    name = "base_bijector" if isinstance(distribution, _RESHAPED) else "bijector"
    return stock.copy(**{name: own})


def _links(chain):
    """The bijectors of a chain and of the chains within it."""
    for bijector in chain.bijectors:
        yield from _links(bijector) if isinstance(bijector, tfb.Chain) else [bijector]


def _are_same(after, before):
    return all(new is old for new, old in zip(after, before, strict=True))


def check_reach(distribution: tfp.distributions.Distribution, name: str) -> None:
    """Raises `ValueError`, with `name`, if the support misses some of 256 draws."""
    try:
        bijector = support_of_one(distribution)
        draws = distribution.sample(_NUM_DRAWS, seed=tf.constant([0, 0]))
        # A copy, since the bijector caches the draws that belong to its own result.
        unconstrained = tf.nest.map_structure(tf.identity, bijector.inverse(draws))
        found = bijector.forward(unconstrained)
    except Exception:  # no draws, or no inverse: nothing is known
        return
    pairs = zip(tf.nest.flatten(draws), tf.nest.flatten(found), strict=True)
    with np.errstate(invalid="ignore", over="ignore"):
        missed = max(_share_missed(*map(np.asarray, pair)) for pair in pairs)
    if missed > _MOST_MISSED:
        raise ValueError(
            "Expected `target` with parts whose default bijectors reach their supports; "
            f"that of {name}, {type(_from_one(distribution)).__name__.removeprefix('_')}, "
            f"misses {missed:.0%} of its draws, as TFP's of distributions on a sphere do. "
            "Give the event shape, a `support`, and the log-density as "
            "`target_log_prob_fn`."
        )


def _from_one(distribution):
    while isinstance(distribution, (_SAMPLE, _INDEPENDENT)):
        distribution = distribution.distribution
    return distribution


def _share_missed(x, y):
    """Share of draws that the round trip moves, among draws of resolvable size."""
    x, y = (np.reshape(value, [len(value), -1]).astype(np.float64) for value in (x, y))
    size = np.abs(x)
    is_zero = np.all(x == 0.0, axis=0)  # for example above a triangle's diagonal
    is_inside = np.all(np.isfinite(x) & (is_zero | (size > _LEAST)), axis=1)
    error = np.max(np.abs(y - x), axis=1, initial=0.0)
    is_back = error <= 0.01 * np.max(size, axis=1, initial=0.0)
    return 1.0 - np.mean(is_back[is_inside]) if is_inside.any() else 0.0
