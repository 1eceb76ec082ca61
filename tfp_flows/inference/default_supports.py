"""Default supports of single distributions, whose log-dets fit TFP's densities."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tfp_flows.core.arguments import require
from tfp_flows.core.serialization import Configured

# TFP makes instances of these bases if a part is no composite tensor.
_SAMPLE, _INDEPENDENT, _RESHAPED, _BROADCAST = (
    getattr(tfd, name).__mro__[1]
    for name in ("Sample", "Independent", "BatchReshape", "BatchBroadcast")
)
CHAIN, JOINT_MAP = tfb.Chain.__mro__[1], tfb.JointMap.__mro__[1]
# Number of draws that a support has to reach, and the share that it may miss by rounding.
_NUM_DRAWS, MOST_MISSED = 256, 0.02
# Smallest size, with a margin, at which float32 numbers have all their digits.
_LEAST = 1e-30
# Advice about a target without a usable support.
OTHER_FORM = (
    "Give the event shape, a `support`, such as tfb.Shift(low)(tfb.Softplus()), and the "
    "log-density as `target_log_prob_fn`."
)
SOFTNESS = 0.03  # default softness of the ends of intervals, in their widths


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


class _FixedBijector(Configured, tfb.Bijector):
    """A bijector whose parameters TFP need not know, since they have no batch axes."""

    @classmethod
    def _parameter_properties(cls, dtype):
        return {}


class FactorOfProduct(_FixedBijector):
    """The identity on Cholesky factors, with the log-det of their product.

    TFP's distributions with `input_output_cholesky=True` draw factors, but have the density
    of the matrix. `product` maps the factor to the matrix.
    """

    def __init__(self, product: tfb.Bijector, name: str = "factor_of_product") -> None:
        parameters = {"product": product, "name": name}
        super().__init__(forward_min_event_ndims=2, parameters=parameters, name=name)
        self.product = product

    def _forward(self, x):
        return tf.identity(x)

    def _inverse(self, y):
        return tf.identity(y)

    def _forward_log_det_jacobian(self, x):
        return self.product.forward_log_det_jacobian(x, event_ndims=2)


class TransformedDensity(_FixedBijector):
    """The bijector of a transformed distribution, with the log-det of its density.

    ```none
    log_det(x) = base.log_prob(x) - distribution.log_prob(bijector(x))
    ```

    On a simplex, TFP's density does not have the bijector's own log-det.
    """

    def __init__(
        self, distribution: tfd.TransformedDistribution, name: str = "transformed_density"
    ) -> None:
        super().__init__(
            forward_min_event_ndims=distribution.distribution.event_shape.rank,
            inverse_min_event_ndims=distribution.event_shape.rank,
            parameters={"distribution": distribution, "name": name},
            name=name,
        )
        self.distribution = distribution

    def _forward(self, x):
        return self.distribution.bijector.forward(x)

    def _inverse(self, y):
        return self.distribution.bijector.inverse(y)

    def _forward_log_det_jacobian(self, x):
        y = self.distribution.bijector.forward(x)
        return self.distribution.distribution.log_prob(x) - self.distribution.log_prob(y)


class Interval(_FixedBijector):
    """A linear map from the unit interval to another, whose ends rounding does not reach.

    ```none
    y = low + (high - low) x,    log |dy / dx| = log(high - low)
    ```

    Results, and ends, are clipped to numbers at which the inverse of `tfb.SoftClip` is
    finite.
    """

    def __init__(self, low: Any, high: Any, name: str = "interval") -> None:
        self.low, self.high = low, high = np.asarray(low), np.asarray(high)
        self._width = high - low
        margin = 2.0 * np.finfo(low.dtype).eps * self._width
        self._least = np.maximum(np.nextafter(low, high), low + margin)
        self._greatest = np.minimum(np.nextafter(high, low), high - margin)
        super().__init__(
            forward_min_event_ndims=0,
            dtype=tf.as_dtype(low.dtype),
            parameters={"low": low, "high": high, "name": name},
            name=name,
        )

    def _forward(self, x):
        return tf.clip_by_value(x * self._width + self.low, self._least, self._greatest)

    def _inverse(self, y):
        # Draws of a prior may be rounded to an end.
        inside = tf.clip_by_value(y, self._least, self._greatest)
        y = tf.where((y >= self.low) & (y <= self.high), inside, y)
        return (y - self.low) / self._width

    def _forward_log_det_jacobian(self, x):
        return tf.math.log(tf.constant(self._width, x.dtype))


def default_support(distribution: tfd.Distribution) -> Any:
    """Returns a bijector from all reals to the support; None if there is none.

    It is TFP's default bijector, except for

    - simplexes and correlation matrices, whose densities need the log-det of free entries;
    - Wishart distributions, for which TFP 0.25 takes a softplus twice, so that no Cholesky
      factor has less than log 2 on its diagonal;
    - Pareto distributions, whose shift is a function that files cannot hold.
    """
    stock = distribution.experimental_default_event_space_bijector()
    own = None if stock is None else _own_support(distribution, stock)
    return stock if own is None else own


def support_of_one(distribution: tfd.Distribution) -> Any:
    """Returns the default support of a distribution, or of the one that it repeats."""
    return default_support(_from_one(distribution))


def with_free_entries(support: Any) -> Any:
    """Returns a support whose log-dets of simplexes and correlations fit the densities.

    A bijector, or a structure of bijectors, is returned unchanged unless it contains
    `tfb.SoftmaxCentered` or the outer product of `tfb.CorrelationCholesky`.
    """
    before = tf.nest.flatten(support)
    after = [_part_with_free_entries(part) for part in before]
    return support if _are_same(after, before) else tf.nest.pack_sequence_as(support, after)


def softly_clipped(bijector: tfb.Bijector, softness: float) -> tfb.Bijector:
    """Returns a bijector to an interval that is linear but near its ends.

    It bends within `softness` widths of the interval from an end. The sigmoid of an
    interval, and what this function returns, are changed; others stay as they are.
    """
    if not is_interval(bijector):
        return bijector
    ends = bijector.bijectors[0] if isinstance(bijector, CHAIN) else bijector
    interval = Interval(ends.low, ends.high)
    # `SoftClip` takes no vectors.
    dtype = interval.dtype.as_numpy_dtype
    unit = tfb.SoftClip(*(np.array(t, dtype) for t in (0, 1, softness)))
    return tfb.Chain([interval, unit])


def is_interval(bijector: tfb.Bijector) -> bool:
    """Whether it is the sigmoid of an interval, or such a one that is softly clipped."""
    if isinstance(bijector, CHAIN):
        return isinstance(bijector.bijectors[0], Interval)
    return isinstance(bijector, tfb.Sigmoid) and bijector.low is not None


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
    is_wishart = isinstance(distribution, tfd.WishartLinearOperator)
    is_lkj = isinstance(distribution, tfd.LKJ)
    if is_wishart or is_lkj:
        # The default shift would leave out factors near zero.
        wishart = tfb.FillScaleTriL(diag_bijector=tfb.Softplus(), diag_shift=None)
        factor = wishart if is_wishart else tfb.CorrelationCholesky()
        product = tfb.CholeskyOuterProduct() if is_wishart else CorrelationOuterProduct()
        is_factor = distribution.input_output_cholesky
        return tfb.Chain([FactorOfProduct(product) if is_factor else product, factor])
    if isinstance(distribution, tfd.Pareto):
        low = tf.convert_to_tensor(distribution.scale)
        return tfb.Chain([tfb.Shift(low), tfb.Softplus()])
    is_transformed = isinstance(distribution, tfd.TransformedDistribution)
    is_repeated = isinstance(distribution, (_SAMPLE, _INDEPENDENT, _RESHAPED, _BROADCAST))
    if not (is_transformed or is_repeated):
        changed = with_free_entries(stock)
        return None if changed is stock else changed
    one = distribution.distribution
    own = _own_support(one, one.experimental_default_event_space_bijector())
    if own is None or isinstance(distribution, _INDEPENDENT):
        return own
    if isinstance(distribution, tfd.RelaxedOneHotCategorical):
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


def check_reach(distribution: tfd.Distribution, name: str, argument: str) -> None:
    """Raises `ValueError`, with its names, if the support misses some of 256 draws."""
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
        missed = max(share_missed(*map(np.asarray, pair)) for pair in pairs)
    kind = type(_from_one(distribution)).__name__.removeprefix("_")
    got = f"that of {name}, {kind}, which misses {missed:.0%} of its draws, as TFP's of"
    require(
        missed <= MOST_MISSED,
        f"`{argument}` with parts whose default bijectors reach their supports",
        f"{got} distributions on a sphere and of a TruncatedNormal without an upper end do",
        for_target(argument, OTHER_FORM),
    )


def for_target(argument: str, advice: str) -> str:
    """Returns advice about a refused `target`, which priors of simulators cannot follow."""
    return f" {advice}" if argument == "target" else ""


def _from_one(distribution):
    while isinstance(distribution, (_SAMPLE, _INDEPENDENT)):
        distribution = distribution.distribution
    return distribution


def share_missed(x: np.ndarray, y: np.ndarray) -> float:
    """Share of draws, `[N, *event]`, that a round trip to y moves, if of usual size."""
    x, y = (np.reshape(value, [len(value), -1]).astype(np.float64) for value in (x, y))
    size = np.abs(x)
    is_zero = np.all(x == 0.0, axis=0)  # for example above a triangle's diagonal
    is_inside = np.all(np.isfinite(x) & (is_zero | (size > _LEAST)), axis=1)
    error = np.max(np.abs(y - x), axis=1, initial=0.0)
    is_back = error <= 0.01 * np.max(size, axis=1, initial=0.0)
    return 1.0 - np.mean(is_back[is_inside]) if is_inside.any() else 0.0
