"""A kernel whose step is local steps of one kernel, then global steps of another."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import check_instance, check_integer
from tfp_flows.distributions.draws import fold_in, split, stateless

# Results of an innermost kernel that are its parameters: it does not compute them.
_PARAMETERS = ("step_size", "num_leapfrog_steps", "momentum_distribution")


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

    Attributes:
      parameters: the constructor's arguments.

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
        self.parameters: dict = {
            "local_kernel": local_kernel,
            "global_kernel": global_kernel,
            "num_local_steps": check_integer("num_local_steps", num_local_steps),
            "num_global_steps": check_integer("num_global_steps", num_global_steps),
            "name": name,
        }

    @property
    def is_calibrated(self) -> bool:
        """Whether the chain converges to the target, as it does if both kernels do."""
        kernels = (self.parameters[name] for name in ("local_kernel", "global_kernel"))
        return all(kernel.is_calibrated for kernel in kernels)

    def bootstrap_results(self, init_state: object) -> AlternatingResults:
        """Returns the results before the first step."""
        inner = self.parameters["local_kernel"].bootstrap_results(init_state)
        results = self.parameters["global_kernel"].bootstrap_results(init_state)
        zeros = (tf.zeros_like(_acceptance(each)) for each in (inner, results))
        return AlternatingResults(inner, results, *zeros)

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
        kernel = self.parameters[f"{which}_kernel"]
        count = self.parameters[f"num_{which}_steps"]
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
    parameters = {name: getattr(old, name) for name in _PARAMETERS if hasattr(old, name)}
    return fresh._replace(**parameters) if parameters else fresh


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
