"""Test log-likelihoods: of a model, and of the baseline that it has to beat."""

import dataclasses
import math

import numpy as np

import tfp_flows

_RIDGES = (0.0, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1)


@dataclasses.dataclass(frozen=True)
class LogLikelihood:
    """A mean log-likelihood, in nats a row, with two standard errors of that mean."""

    nats: float
    two_standard_errors: float

    @classmethod
    def of_rows(cls, log_prob):
        """Summarises the log-densities `[N]` of N rows, in nats."""
        log_prob = np.asarray(log_prob, np.float64)
        return cls(
            float(log_prob.mean()),
            float(2.0 * log_prob.std(ddof=1) / np.sqrt(len(log_prob))),
        )


def flow_log_likelihood(model, rows, *, batch_size):
    """Returns the `LogLikelihood` of `rows` under a `DensityEstimator`.

    Args:
      model: a `DensityEstimator`.
      rows: `[N, D]`, or `(rows, context)`, as of `Dataset.inputs`.
      batch_size: rows per step.
    """
    return LogLikelihood.of_rows(model.predict(rows, batch_size=batch_size, verbose=0))


def baseline(dataset):
    """Returns the `LogLikelihood` to beat, by its name among the results."""
    if dataset.is_binary:
        return {"bernoulli_log_likelihood": bernoulli_log_likelihood(dataset)}
    return {"gaussian_log_likelihood": gaussian_log_likelihood(dataset)}


def bernoulli_log_likelihood(dataset):
    """Returns the test `LogLikelihood` of independent Bernoulli variables fitted on train.

    A value counts as seen half a time more than it was, lest one that was not be
    impossible.
    """
    count = len(dataset.train)
    ones = (dataset.train.sum(axis=0, dtype=np.float64) + 0.5) / (count + 1.0)
    test = dataset.test.astype(np.float64)
    log_prob = test @ np.log(ones) + (1.0 - test) @ np.log1p(-ones)
    return LogLikelihood.of_rows(log_prob)


def bits_per_dimension(log_likelihood, dataset):
    """Returns bits per dimension as plain data, of data that were integers; else None.

    Args:
      log_likelihood: the `LogLikelihood` of the test rows.
      dataset: a `Dataset`, whose `bin_width` makes bits of densities.
    """
    if dataset.bin_width is None:
        return None
    size = dataset.event_size
    bits = tfp_flows.bits_per_dimension(
        log_likelihood.nats, size, bins_per_unit=1.0 / dataset.bin_width
    )
    error = log_likelihood.two_standard_errors / (size * math.log(2.0))
    return dataclasses.asdict(bits) | {
        "two_standard_errors": error,
        "num_rows": len(dataset.test),
    }


def gaussian_log_likelihood(dataset):
    """Returns the test `LogLikelihood` of a full-covariance Gaussian fitted on train.

    Where the data are conditional, its mean is linear in the context. The covariance gets
    the ridge, as a share of the mean variance, that suits the validation rows best; none
    is among the choices.
    """
    train, validation, test = _around_linear_mean(dataset)
    mean = train.mean(axis=0)
    covariance = np.atleast_2d(np.cov(train, rowvar=False))
    ridges = np.asarray(_RIDGES) * np.trace(covariance) / len(covariance)
    candidates = [covariance + ridge * np.eye(len(covariance)) for ridge in ridges]
    best = max(candidates, key=lambda c: gaussian_log_prob(validation, mean, c).mean())
    return LogLikelihood.of_rows(gaussian_log_prob(test, mean, best))


def gaussian_log_prob(rows, mean, covariance):
    """Returns the normal log-density, `[N]`, in nats; -inf if `covariance` is singular."""
    sign, log_det = np.linalg.slogdet(covariance)
    if sign <= 0.0:
        return np.full(len(rows), -np.inf)
    centred = rows - mean
    distance = np.sum(centred * np.linalg.solve(covariance, centred.T).T, axis=1)
    return -0.5 * (distance + log_det + len(mean) * np.log(2.0 * np.pi))


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
