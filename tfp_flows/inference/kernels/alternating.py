"""Local steps of one kernel, then global steps of another: independent proposals."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import (
    check_callable,
    check_instance,
    check_integer,
    check_members,
)
from tfp_flows.distributions.draws import fold_in, split, stateless

# Results that an innermost kernel does not compute from the state.
_SET = ("step_size", "num_leapfrog_steps", "momentum_distribution")


class AlternatingResults(NamedTuple):
    """The state and the diagnostics of an `AlternatingKernel`.

    Attributes:
      inner_results: results of the last local step.
      global_results: results of the last global step.
      local_acceptance: mean acceptance probability of the local steps, `[...]`; NaN if
        their kernel reports none.
      global_acceptance: mean acceptance probability of the global steps, `[...]`.
    """

    inner_results: tuple
    global_results: tuple
    local_acceptance: tf.Tensor
    global_acceptance: tf.Tensor


class AlternatingKernel(tfp.mcmc.TransitionKernel):
    """A kernel that makes steps of a local kernel, and then of a global kernel.

    Each kernel starts anew from the state that the other has left, which takes one
    evaluation of the target and its gradient. Step sizes and other adapted values are kept.
    Put stock kernels that adapt step sizes around the local kernel. Around this kernel they
    adapt the local kernel, too, if it has `store_parameters_in_results`.

    Args:
      local_kernel: a `tfp.mcmc.TransitionKernel`, adaptive or not.
      global_kernel: another kernel of the same states.
      num_local_steps: steps of the local kernel in each step.
      num_global_steps: steps of the global kernel in each step.
      name: name of the kernel.

    Raises:
      ValueError: if a kernel is not a `TransitionKernel`, or a number of steps below 1.

    >>> import tensorflow_probability as tfp
    >>> import tfp_flows
    >>> normal = tfp_flows.standard_normal(2)
    >>> local = tfp.mcmc.RandomWalkMetropolis(normal.log_prob)
    >>> everywhere = tfp_flows.inference.independent_proposals(normal.log_prob, normal)
    >>> kernel = tfp_flows.inference.AlternatingKernel(local, everywhere, num_local_steps=3)
    >>> state = normal.sample(4, seed=0)
    >>> state, results = kernel.one_step(state, kernel.bootstrap_results(state), (1, 2))
    >>> results.global_acceptance.numpy()  # the target itself proposes
    array([1., 1., 1., 1.], dtype=float32)
    """

    def __init__(
        self,
        local_kernel: tfp.mcmc.TransitionKernel,
        global_kernel: tfp.mcmc.TransitionKernel,
        *,
        num_local_steps: int = 1,
        num_global_steps: int = 1,
        name: str = "alternating_kernel",
    ) -> None:
        words = "a `tfp.mcmc.TransitionKernel`"
        check_instance("local_kernel", local_kernel, tfp.mcmc.TransitionKernel, words)
        check_instance("global_kernel", global_kernel, tfp.mcmc.TransitionKernel, words)
        self._parameters = {
            "local_kernel": local_kernel,
            "global_kernel": global_kernel,
            "num_local_steps": check_integer("num_local_steps", num_local_steps),
            "num_global_steps": check_integer("num_global_steps", num_global_steps),
            "name": name,
        }

    @property
    def parameters(self) -> dict:
        """The constructor's arguments."""
        return self._parameters

    @property
    def is_calibrated(self) -> bool:
        """Whether the chain converges to the target, as it does if both kernels do."""
        kernels = (self._parameters[name] for name in ("local_kernel", "global_kernel"))
        return all(kernel.is_calibrated for kernel in kernels)

    def bootstrap_results(self, init_state: object) -> AlternatingResults:
        """Returns the results before the first step."""
        inner = self._parameters["local_kernel"].bootstrap_results(init_state)
        results = self._parameters["global_kernel"].bootstrap_results(init_state)
        none = (tf.zeros_like(_acceptance(r)) for r in (inner, results))
        return AlternatingResults(inner, results, *none)

    def one_step(
        self,
        current_state: object,
        previous_kernel_results: AlternatingResults,
        seed: int | TensorLike | None = None,
    ) -> tuple:
        """Makes all steps, and returns the state and the `AlternatingResults`."""
        before = previous_kernel_results
        local_seed, global_seed = split(stateless(seed), 2)
        state, inner, local_acceptance = self._steps(
            "local", current_state, before.inner_results, local_seed
        )
        state, results, global_acceptance = self._steps(
            "global", state, before.global_results, global_seed
        )
        return state, AlternatingResults(
            inner, results, local_acceptance, global_acceptance
        )

    def _steps(self, which, state, results, seed):
        kernel = self._parameters[f"{which}_kernel"]
        count = self._parameters[f"num_{which}_steps"]
        results = _at_new_state(results, kernel.bootstrap_results(state))

        def step(i, state, results, total):
            state, results = kernel.one_step(state, results, seed=fold_in(seed, i))
            return i + 1, state, results, total + _acceptance(results)

        loop = (0, state, results, tf.zeros_like(_acceptance(results)))
        if count == 1:
            _, state, results, total = step(*loop)
        else:
            _, state, results, total = tf.while_loop(
                lambda i, *_: i < count, step, loop, maximum_iterations=count
            )
        return state, results, total / count


def _at_new_state(old, fresh):
    """Results of a bootstrap with the adapted values of earlier results.

    Wrappers keep everything but the state. An innermost kernel keeps its parameters only,
    so that no log-density or gradient of another state is kept.
    """
    if hasattr(old, "inner_results"):
        changes = {"inner_results": _at_new_state(old.inner_results, fresh.inner_results)}
        if hasattr(old, "transformed_state"):
            changes["transformed_state"] = fresh.transformed_state
        return old._replace(**changes)
    if hasattr(old, "accepted_results"):
        accepted = _at_new_state(old.accepted_results, fresh.accepted_results)
        return fresh._replace(accepted_results=accepted)
    kept = {name: getattr(old, name) for name in _SET if hasattr(old, name)}
    return fresh._replace(**kept) if kept else fresh


def _acceptance(results):
    """Acceptance probability of a step, `[...]`."""
    while hasattr(results, "inner_results"):
        results = results.inner_results
    if hasattr(results, "log_accept_ratio"):
        ratio = results.log_accept_ratio
        lowest = tf.constant(-float("inf"), ratio.dtype)
        ratio = tf.where(tf.math.is_nan(ratio), lowest, ratio)
        return tf.exp(tf.minimum(ratio, 0.0))
    return tf.constant(float("nan"))


class ProposalResults(NamedTuple):
    """Log-densities of a state under target and proposal, `[...]`."""

    target_log_prob: tf.Tensor
    proposal_log_prob: tf.Tensor
    log_acceptance_correction: tf.Tensor  # that of the former state less that of this one


class _Draw(tfp.mcmc.TransitionKernel):
    """Draws states of a distribution, without rejecting any."""

    def __init__(self, target_log_prob_fn, proposal, name):
        self._parameters = {
            "target_log_prob_fn": target_log_prob_fn,
            "proposal": proposal,
            "name": name,
        }

    @property
    def parameters(self):
        return self._parameters

    @property
    def is_calibrated(self):
        return False

    def bootstrap_results(self, init_state):
        proposal_log_prob = self._parameters["proposal"].log_prob(init_state)
        return ProposalResults(
            self._parameters["target_log_prob_fn"](init_state),
            proposal_log_prob,
            tf.zeros_like(proposal_log_prob),
        )

    def one_step(self, current_state, previous_kernel_results, seed=None):
        before = previous_kernel_results
        drawn, log_prob = self._parameters["proposal"].experimental_sample_and_log_prob(
            tf.shape(before.target_log_prob), seed=stateless(seed)
        )
        drawn = tf.ensure_shape(drawn, current_state.shape)
        return drawn, ProposalResults(
            self._parameters["target_log_prob_fn"](drawn),
            log_prob,
            before.proposal_log_prob - log_prob,
        )


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
