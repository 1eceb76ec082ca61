"""Moments and divergences: by TFP's own rules, or refused with what to do instead."""

import contextlib

__all__ = ["Moments"]


class Moments:
    """Says how to estimate from draws what TFP's rules do not give.

    Mixed into a `tfd.Distribution`, whose rules these are: those of a
    `tfd.TransformedDistribution` hold where the bijector's Jacobian is constant.
    """

    def _mean(self, **kwargs):
        with self._or_from_draws("mean", "tf.reduce_mean({draws}, axis=0)"):
            return super()._mean(**kwargs)

    def _stddev(self, **kwargs):
        with self._or_from_draws("stddev", "tf.math.reduce_std({draws}, axis=0)"):
            return super()._stddev(**kwargs)

    def _variance(self, **kwargs):
        with self._or_from_draws("variance", "tf.math.reduce_variance({draws}, axis=0)"):
            return super()._variance(**kwargs)

    def _covariance(self, **kwargs):
        with self._or_from_draws("covariance", "tfp.stats.covariance({draws})"):
            return super()._covariance(**kwargs)

    def _mode(self, **kwargs):
        estimate = "x[tf.argmax(log_prob)] for x, log_prob = {pairs}"
        with self._or_from_draws("mode", estimate):
            return super()._mode(**kwargs)

    def _entropy(self, **kwargs):
        estimate = "-tf.reduce_mean(log_prob) for x, log_prob = {pairs}"
        with self._or_from_draws("entropy", estimate):
            return super()._entropy(**kwargs)

    def _kl_divergence(self, other):
        estimate = "tf.reduce_mean(log_prob - other.log_prob(x)) for x, log_prob = {pairs}"
        with self._or_from_draws("kl_divergence", estimate):
            return super()._kl_divergence(other)

    def _cross_entropy(self, other):
        estimate = "-tf.reduce_mean(other.log_prob({draws}))"
        with self._or_from_draws("cross_entropy", estimate):
            return super()._cross_entropy(other)

    @contextlib.contextmanager
    def _or_from_draws(self, statistic, estimate):
        try:
            yield
        except NotImplementedError as error:
            estimate = estimate.format(
                draws="d.sample(10_000)", pairs="d.sample_and_log_prob(10_000)"
            )
            raise NotImplementedError(
                f"Expected a distribution whose `{statistic}` has a formula; got d = "
                f"`{self.name}`. Estimate it: {estimate}."
            ) from error
