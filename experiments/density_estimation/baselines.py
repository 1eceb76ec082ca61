"""Log-likelihoods that a model has to beat: of a Gaussian, or of independent bits."""

import numpy as np
import scipy.stats

__all__ = ["baseline", "bernoulli_log_probs", "gaussian_log_probs"]

_RIDGES = (0.0, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)


def baseline(dataset):
    """Returns the log-likelihood to beat: its name among the results, and `[N]` nats."""
    if dataset.is_binary:
        return "bernoulli_log_likelihood", bernoulli_log_probs(dataset)
    return "gaussian_log_likelihood", gaussian_log_probs(dataset)


def bernoulli_log_probs(dataset):
    """Returns the test rows' log-probabilities under independent Bernoulli variables.

    They are fitted to the training rows. A value counts as seen half a time more than it
    was, lest one that was not be impossible.
    """
    count = len(dataset.train)
    ones = (dataset.train.sum(axis=0, dtype=np.float64) + 0.5) / (count + 1.0)
    test = dataset.test.astype(np.float64)
    return test @ np.log(ones) + (1.0 - test) @ np.log1p(-ones)


def gaussian_log_probs(dataset):
    """Returns the test rows' log-densities under a full-covariance Gaussian.

    It is fitted to the training rows. Where the data are conditional, its mean is linear
    in the context. The covariance gets the ridge, as a share of the mean variance, that
    suits the validation rows best; none is among the choices.
    """
    train, validation, test = _around_linear_mean(dataset)
    mean = train.mean(axis=0)
    covariance = np.atleast_2d(np.cov(train, rowvar=False))
    ridges = np.asarray(_RIDGES) * np.trace(covariance) / len(covariance)
    candidates = [covariance + ridge * np.eye(len(covariance)) for ridge in ridges]
    best = max(candidates, key=lambda c: gaussian_log_prob(validation, mean, c).mean())
    return gaussian_log_prob(test, mean, best)


def gaussian_log_prob(rows, mean, covariance):
    """Returns the normal log-density, `[N]`, in nats; -inf if `covariance` is singular."""
    try:
        # By Cholesky: what SciPy does by itself, an eigendecomposition, takes ten times
        # as long with the thousands of variables of images.
        factor = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        return np.full(len(rows), -np.inf)
    covariance = scipy.stats.Covariance.from_cholesky(factor)
    return np.atleast_1d(scipy.stats.multivariate_normal.logpdf(rows, mean, covariance))


def _around_linear_mean(dataset):
    """Returns the three sets less what their context, if any, says of them linearly."""
    sets = ("train", "validation", "test")
    if not dataset.context_size:
        return [getattr(dataset, name).astype(np.float64) for name in sets]
    context = _contexts(dataset, sets)
    weights = np.linalg.lstsq(context["train"], dataset.train, rcond=None)[0]
    return [getattr(dataset, name) - context[name] @ weights for name in sets]


def _contexts(dataset, sets):
    """Returns the contexts by set, `[N, C + 1]`: standardised for the solver, and a one."""
    contexts = {n: getattr(dataset, f"{n}_context").astype(np.float64) for n in sets}
    mean, scale = contexts["train"].mean(axis=0), contexts["train"].std(axis=0)
    scale = np.where(scale > 0.0, scale, 1.0)
    return {
        name: np.column_stack([(context - mean) / scale, np.ones(len(context))])
        for name, context in contexts.items()
    }
