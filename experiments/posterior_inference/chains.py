"""NUTS through a bijector, and what its draws cost."""

import dataclasses
import functools

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

__all__ = ["Chains", "run_nuts", "unconstrained_log_prob"]


@dataclasses.dataclass(frozen=True)
class Chains:
    """Draws, and the gradients they took.

    Attributes:
      draws: `[draws, chains, D]`, in the coordinates of the target.
      num_gradients: evaluations of the target's gradient, of all chains, without
        adaptation.
      divergences: share of the steps that diverged.
    """

    draws: np.ndarray
    num_gradients: int
    divergences: float

    @property
    def effective_sizes(self):
        """Effective sample size of each variable, `[D]`, of all chains together."""
        return tfp.mcmc.effective_sample_size(
            self.draws, filter_beyond_positive_pairs=True, cross_chain_dims=1
        ).numpy()


def unconstrained_log_prob(pinned, support):
    """Returns the log-density of the unconstrained vector, `[..., D]`.

    Args:
      pinned: what has `unnormalized_log_prob` of the parts.
      support: bijector from the vector to the parts.
    """

    def log_prob(x):
        log_det = support.forward_log_det_jacobian(x, event_ndims=1)
        return pinned.unnormalized_log_prob(support.forward(x)) + log_det

    return log_prob


def run_nuts(log_prob, bijector, start, *, num_draws, num_adaptation_steps, seed):
    """Runs NUTS on the coordinates that `bijector` maps to those of the target.

    The step size is adapted, the mass matrix is the identity.

    Args:
      log_prob: function of `[chains, D]`.
      bijector: from the sampler's coordinates to the target's: a trained flow is NeuTra,
        the identity is plain NUTS.
      start: `[chains, D]`, in the target's coordinates.
      num_draws: draws of each chain.
      num_adaptation_steps: steps before, which do not count.
      seed: anything that `tfp.random.sanitize_seed` takes.

    Reference:
      Hoffman et al. (2019), NeuTra-lizing bad geometry in Hamiltonian Monte Carlo using
      neural transport. https://arxiv.org/abs/1903.03704
    """
    kernel = tfp.mcmc.NoUTurnSampler(log_prob, step_size=0.1)
    kernel = tfp.mcmc.DualAveragingStepSizeAdaptation(
        kernel, num_adaptation_steps, target_accept_prob=0.8
    )
    kernel = tfp.mcmc.TransformedTransitionKernel(kernel, bijector)

    def trace(_, results):
        nuts = results.inner_results.inner_results
        return nuts.leapfrogs_taken, nuts.has_divergence

    @functools.partial(tf.function, jit_compile=True, autograph=False)
    def sample():
        return tfp.mcmc.sample_chain(
            num_draws,
            start,
            kernel=kernel,
            num_burnin_steps=num_adaptation_steps,
            trace_fn=trace,
            seed=seed,
        )

    draws, (leapfrogs, diverged) = sample()
    return Chains(draws.numpy(), int(np.sum(leapfrogs)), float(np.mean(diverged.numpy())))
