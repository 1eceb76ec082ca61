"""Bijectors from all reals to the supports of distributions, with log-dets that fit.

The densities of TFP's distributions on a simplex, or of correlation matrices, are relative
to free entries: all shares but the last one, and entries below the diagonal. The log-dets
of TFP's bijectors to these supports are not; they are here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow_probability import bijectors as tfb

from tfp_flows.core.serialization import Configured

__all__ = ["check_reach", "default_support", "support_of_one", "with_free_entries"]

# TFP makes instances of these bases if a part is no composite tensor.
_SAMPLE, _INDEPENDENT, _RESHAPED, _BROADCAST = (
    getattr(tfp.distributions, name).__mro__[1]
    for name in ("Sample", "Independent", "BatchReshape", "BatchBroadcast")
)
_NUM_DRAWS = 256
_MOST_MISSED = 0.02  # rounding moves some
_LEAST = 1e-30  # below which draws of float32 have few digits, or none


class Simplex(Configured, tfb.SoftmaxCentered):
    """`tfb.SoftmaxCentered`, with the log-det of all K shares but the last one.

    TFP's is that of the surface of the simplex, which is larger by log(K) / 2. The density
    of `tfd.Dirichlet` is relative to K - 1 shares.
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
    which is constant here. Entries that rounding takes beyond -1 or 1 are set to these.
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
    """Leaves a Cholesky factor as it is, with the log-det of its product.

    TFP's distributions with `input_output_cholesky=True` draw factors, but their density is
    that of the matrix.

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
    """The bijector of a transformed distribution, with the log-det that its density has.

    ```none
    log_det(x) = base.log_prob(x) - distribution.log_prob(bijector(x))
    ```

    On a simplex, TFP's density does not have the log-det of the bijector on all entries.

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

    It is TFP's own, but for

    - simplexes and correlation matrices, whose log-dets are those of free entries, to which
      the density is relative;
    - Wishart distributions, for which that of TFP 0.25 takes a softplus twice: no Cholesky
      factor has less than log 2 on its diagonal.
    """
    stock = distribution.experimental_default_event_space_bijector()
    own = None if stock is None else _own_support(distribution, stock)
    return stock if own is None else own


def support_of_one(distribution: tfp.distributions.Distribution) -> Any:
    """Returns the default support of a distribution, or of the one that it repeats."""
    return default_support(_of_one(distribution))


def with_free_entries(support: Any) -> Any:
    """Returns a support whose log-dets on simplexes and of correlations are the density's.

    Args:
      support: a bijector, TFP's or another, or a structure of them. It is returned as it is
        unless it contains `tfb.SoftmaxCentered`, or the outer product of
        `tfb.CorrelationCholesky`.
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
    if "jd" in parameters:  # of a joint distribution, some parts of which depend on others
        return type(part)(parameters["jd"], bijector_fn=default_support)
    changed = {name: with_free_entries(value) for name, value in parameters.items()}
    if "bijector_fn" in parameters:  # that of a Markov chain
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
    """The support if it is not TFP's, `stock`; else None."""
    is_wishart = isinstance(distribution, tfp.distributions.WishartLinearOperator)
    is_lkj = isinstance(distribution, tfp.distributions.LKJ)
    if is_wishart or is_lkj:
        # A shift, which the default has, would leave out factors near zero.
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
    """The bijectors of a chain, with those of chains within it."""
    for bijector in chain.bijectors:
        yield from _links(bijector) if isinstance(bijector, tfb.Chain) else [bijector]


def _are_same(after, before):
    return all(new is old for new, old in zip(after, before, strict=True))


def check_reach(distribution: tfp.distributions.Distribution, name: str) -> None:
    """Raises `ValueError`, with `name`, if the support does not reach some of 256 draws."""
    try:
        bijector = support_of_one(distribution)
        draws = distribution.sample(_NUM_DRAWS, seed=tf.constant([0, 0]))
        # A copy, which the bijector does not know as what it has inverted.
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
            f"that of {name}, {type(_of_one(distribution)).__name__.removeprefix('_')}, "
            f"misses {missed:.0%} of its draws, as TFP's of distributions on a sphere do. "
            "Give the event shape, a `support`, and the log-density as "
            "`target_log_prob_fn`."
        )


def _of_one(distribution):
    while isinstance(distribution, (_SAMPLE, _INDEPENDENT)):
        distribution = distribution.distribution
    return distribution


def _share_missed(x, y):
    """Share of draws that come back elsewhere, of those away from the ends of floats."""
    x, y = (np.reshape(value, [len(value), -1]).astype(np.float64) for value in (x, y))
    size = np.abs(x)
    is_zero = np.all(x == 0.0, axis=0)  # as above the diagonal of a triangle
    is_inside = np.all(np.isfinite(x) & (is_zero | (size > _LEAST)), axis=1)
    error = np.max(np.abs(y - x), axis=1, initial=0.0)
    is_back = error <= 0.01 * np.max(size, axis=1, initial=0.0)
    return 1.0 - np.mean(is_back[is_inside]) if is_inside.any() else 0.0
