"""Measurements of a trained VAE on test rows."""

import dataclasses

import numpy as np

from experiments.density_estimation.evaluation import bernoulli_log_probs
from experiments.iaf_vae import models
from experiments.reports import facts
from experiments.reports.estimate import estimate

# Numbers of draws per row for the ELBO, and for the moments of latents.
_BOUND_DRAWS = 8
_MOMENT_DRAWS = 64
_MOMENT_ROWS = 1000

# Least variance of an active latent's posterior mean: Burda et al. (2016), section 5.3.
_ACTIVE_VARIANCE = 0.01


def measure(model, images, settings):
    """Returns the numbers as plain data."""
    test = images.dataset.test
    bound = model.elbo(test, num_samples=_BOUND_DRAWS, seed=settings.seed)
    # Some files are sorted: the first rows of binarised MNIST are all zeros.
    order = np.random.default_rng(settings.data_seed).permutation(len(test))
    rows = test[order[: settings.log_likelihood_rows or None]]
    log_likelihood = model.log_likelihood(
        rows, settings.importance_samples, seed=settings.seed
    )
    bound_of_those = model.elbo(rows, num_samples=_BOUND_DRAWS, seed=settings.seed)
    named = ("posterior", "prior", "likelihood", "encoder")
    numbers = facts.from_training(model, images.dataset, settings) | models.shape_of(images)
    numbers |= {name: getattr(settings, name) for name in named}
    numbers["latent_size"] = model.latent_size
    numbers |= {name: estimate(values) for name, values in bound._asdict().items()}
    numbers["log_likelihood"] = estimate(log_likelihood) | {
        "num_samples": settings.importance_samples,
        "num_rows": len(rows),
        # On the same rows as the log-likelihood.
        "elbo": float(bound_of_those.elbo.mean()),
    }
    statistics = latent_statistics(model, test[:_MOMENT_ROWS], settings.seed)
    numbers["active_latents"] = int(np.sum(statistics.variance > _ACTIVE_VARIANCE))
    numbers["kl_per_latent"] = statistics.kl.tolist()
    if images.num_bins:
        numbers["bits_per_dimension"] = estimate(_bits(log_likelihood, images))
    else:
        # Probabilities in place of zeros and ones have the same expected counts.
        log_probs = bernoulli_log_probs(images.dataset)
        numbers["bernoulli_log_likelihood"] = estimate(log_probs)
    return numbers


@dataclasses.dataclass(frozen=True)
class LatentStatistics:
    """Moments of L latents, and the KL divergence of each.

    Args:
      means: `[N, L]`, posterior means.
      variance: `[L]`, variance of these means over the rows.
      kl: `[L]`, mean KL divergence in nats between Gaussians with the moments of posterior
        and prior. It is exact for independent Gaussians, and an approximation for flows.
    """

    means: np.ndarray
    variance: np.ndarray
    kl: np.ndarray


def latent_statistics(model, x, seed):
    """Returns the `LatentStatistics` of rows, `[N, *event]`, by Monte Carlo."""
    z = model.encode(x, _MOMENT_DRAWS, seed=seed).numpy().astype(np.float64)
    means, variances = z.mean(axis=0), z.var(axis=0, ddof=1)
    # A pair: stock distributions of TFP make an integer seed depend on a global seed.
    prior = [model.prior.sample(1000, seed=(i, seed)).numpy() for i in range(10)]
    prior = np.concatenate(prior).astype(np.float64)
    prior_mean, prior_variance = prior.mean(axis=0), prior.var(axis=0)
    # Monte Carlo variance of the posterior means.
    noise = variances / _MOMENT_DRAWS
    ratios, squares = variances / prior_variance, (means - prior_mean) ** 2 - noise
    kl = 0.5 * (ratios + squares / prior_variance - 1.0 - np.log(ratios))
    variance = means.var(axis=0) - noise.mean(axis=0)
    return LatentStatistics(means, variance, kl.mean(axis=0))


def _bits(log_likelihood, images):
    """Bits per dimension of rows, by probabilities of levels, or by densities."""
    bits = -log_likelihood / (images.dataset.event_size * np.log(2.0))
    return bits + np.log2(images.num_bins) if images.dataset.bin_width else bits
