"""Independence Metropolis-Hastings: proposals that do not depend on the state."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.core.arguments import check_callable, check_members
from tfp_flows.distributions.draws import stateless


class ProposalResults(NamedTuple):
    """Log-densities of a state under target and proposal, `[...]`."""

    target_log_prob: tf.Tensor
    proposal_log_prob: tf.Tensor
    log_acceptance_correction: tf.Tensor  # that of the former state less that of this one


class _Draw(tfp.mcmc.TransitionKernel):
    """Draws states of a distribution, without rejecting any."""

    is_calibrated = False

    def __init__(self, target_log_prob_fn, proposal, name):
        self.parameters = {
            "target_log_prob_fn": target_log_prob_fn,
            "proposal": proposal,
            "name": name,
        }

    def bootstrap_results(self, init_state):
        log_q = self.parameters["proposal"].log_prob(init_state)
        log_p = self.parameters["target_log_prob_fn"](init_state)
        return ProposalResults(log_p, log_q, tf.zeros_like(log_q))

    def one_step(self, current_state, previous_kernel_results, seed=None):
        before = previous_kernel_results
        drawn, log_q = self.parameters["proposal"].experimental_sample_and_log_prob(
            tf.shape(before.target_log_prob), seed=stateless(seed)
        )
        drawn = tf.ensure_shape(drawn, current_state.shape)
        log_p = self.parameters["target_log_prob_fn"](drawn)
        return drawn, ProposalResults(log_p, log_q, before.proposal_log_prob - log_q)


def independent_proposals(
    target_log_prob_fn: Callable,
    proposal: tfp.distributions.Distribution,
    *,
    name: str = "independent_proposals",
) -> tfp.mcmc.MetropolisHastings:
    """Metropolis-Hastings whose proposals are draws of a fixed distribution.

    ```none
    y ~ q,   accepted with probability min(1, p(y) q(x) / (p(x) q(y)))
    ```

    A chain goes from one mode to another in one step if q covers both. All chains, of any
    batch shape, move at once.

    Args:
      target_log_prob_fn: unnormalised log-density p, a function of states `[..., *event]`.
      proposal: q, a `tfd.Distribution` of one tensor, without batch axes, such as a
        `FlowDistribution`.
      name: name of the kernel.

    Returns:
      A stock kernel. Its results have `is_accepted` and `log_accept_ratio`, and both
      log-densities of the state in `accepted_results`.

    Raises:
      ValueError: if `target_log_prob_fn` is not a function, or `proposal` not a
        distribution.

    >>> import tensorflow as tf
    >>> import tensorflow_probability as tfp
    >>> import tfp_flows
    >>> wide = tfp.distributions.MultivariateNormalDiag([0.0, 0.0], [3.0, 3.0])
    >>> target = tfp_flows.standard_normal(2)
    >>> kernel = tfp_flows.inference.independent_proposals(target.log_prob, wide)
    >>> state = tf.zeros([100, 2])
    >>> state, results = kernel.one_step(state, kernel.bootstrap_results(state), (1, 2))
    >>> 0 < int(tf.reduce_sum(tf.cast(results.is_accepted, tf.int32))) < 100
    True

    Reference:
      Gabrie, Rotskoff, Vanden-Eijnden (2022), Adaptive Monte Carlo augmented with
      normalizing flows. https://arxiv.org/abs/2105.12603
    """
    check_callable("target_log_prob_fn", target_log_prob_fn, "a function of states")
    members = ("log_prob", "experimental_sample_and_log_prob", "event_shape")
    check_members("proposal", proposal, members, "a `tfp.distributions.Distribution`")
    return tfp.mcmc.MetropolisHastings(_Draw(target_log_prob_fn, proposal, name), name=name)
