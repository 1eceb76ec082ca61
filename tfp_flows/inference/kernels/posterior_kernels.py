"""Kernels that sample a target through the flow of its posterior."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import (
    check_callable,
    check_flag,
    check_instance,
    check_integer,
    check_positive,
    check_share,
    require,
)
from tfp_flows.inference.kernels.alternating import AlternatingKernel
from tfp_flows.inference.kernels.independent_proposals import independent_proposals
from tfp_flows.inference.parts import call_with_parts, check_number_a_draw
from tfp_flows.inference.surrogate import FlowPosterior


def adaptive_nuts(
    target_log_prob_fn: Callable,
    *,
    step_size: float = 0.1,
    num_adaptation_steps: int = 500,
    target_accept_prob: float = 0.8,
) -> tfp.mcmc.TransitionKernel:
    """The No-U-Turn Sampler whose step size adapts in its first steps by dual averaging.

    Args:
      target_log_prob_fn: log-density, a function of states.
      step_size: the first one.
      num_adaptation_steps: number of adaptation steps, whose draws are to be discarded.
      target_accept_prob: mean acceptance probability after the adaptation.

    >>> import tensorflow as tf
    >>> import tfp_flows
    >>> normal = tfp_flows.standard_normal(2)
    >>> kernel = tfp_flows.inference.adaptive_nuts(normal.log_prob, step_size=0.5)
    >>> float(kernel.bootstrap_results(tf.zeros(2)).new_step_size)
    0.5
    """
    check_callable("target_log_prob_fn", target_log_prob_fn, "a function of states")
    check_positive("step_size", step_size)
    check_integer("num_adaptation_steps", num_adaptation_steps, minimum=0)
    check_share("target_accept_prob", target_accept_prob)
    nuts = tfp.mcmc.NoUTurnSampler(target_log_prob_fn, step_size)
    return tfp.mcmc.DualAveragingStepSizeAdaptation(
        nuts, num_adaptation_steps, target_accept_prob=target_accept_prob
    )


class LatentKernelResults(NamedTuple):
    """The vector of a `LatentKernel`, `[..., D]`, and the results of its kernel."""

    transformed_state: tf.Tensor
    inner_results: tuple


class LatentKernel(tfp.mcmc.TransitionKernel):
    """A kernel on a vector whose states are shown as parts of a posterior's draws.

    ```none
    z [..., D] -> flow -> x -> support -> parts
    ```

    The stock `tfp.mcmc.TransformedTransitionKernel` maps a part to a part; this kernel maps
    one vector to all parts. Like the stock kernel, a step starts from the vector in the
    results and ignores the state that it is given.

    Args:
      vector_kernel: a `tfp.mcmc.TransitionKernel` of states `[..., D]`.
      posterior: a `FlowPosterior`.
      precondition: whether the vector is z; False means x.
      name: name of the kernel.

    Attributes:
      parameters: the constructor's arguments.

    >>> import tensorflow_probability as tfp
    >>> import tfp_flows
    >>> tfb = tfp.bijectors
    >>> posterior = tfp_flows.flow_posterior({"rate": []}, support={"rate": tfb.Exp()})
    >>> kernel = tfp_flows.neutra_kernel(lambda rate: -rate, posterior)
    >>> isinstance(kernel, tfp_flows.inference.LatentKernel)
    True
    """

    def __init__(
        self,
        vector_kernel: tfp.mcmc.TransitionKernel,
        posterior: tfp.distributions.Distribution,
        *,
        precondition: bool = True,
        name: str = "latent_kernel",
    ) -> None:
        self.parameters: dict = {
            # Stock wrappers would replace the target of an `inner_kernel`.
            "vector_kernel": vector_kernel,
            "posterior": posterior,
            "precondition": precondition,
            "name": name,
        }

    @property
    def vector_kernel(self) -> tfp.mcmc.TransitionKernel:
        """The kernel of states `[..., D]`."""
        return self.parameters["vector_kernel"]

    @property
    def is_calibrated(self) -> bool:
        """Whether the chain converges to the target."""
        return self.vector_kernel.is_calibrated

    def bootstrap_results(self, init_state: object) -> LatentKernelResults:
        """Returns the results before the first step, from parts of a draw."""
        posterior = self.parameters["posterior"]
        vector = posterior.support.inverse(tf.nest.map_structure(tf.identity, init_state))
        if self.parameters["precondition"]:
            vector, _ = posterior.distribution.bijector.inverse_and_log_det(vector)
        return LatentKernelResults(vector, self.vector_kernel.bootstrap_results(vector))

    def one_step(
        self,
        current_state: object,
        previous_kernel_results: LatentKernelResults,
        seed: int | TensorLike | None = None,
    ) -> tuple:
        """Makes a step of the vector, and returns parts and `LatentKernelResults`."""
        before = previous_kernel_results
        vector, inner = self.vector_kernel.one_step(
            before.transformed_state, before.inner_results, seed=seed
        )
        posterior, x = self.parameters["posterior"], vector
        if self.parameters["precondition"]:
            x, _ = posterior.distribution.bijector.forward_and_log_det(x)
        parts = posterior.support.forward(x)
        parts = tf.nest.pack_sequence_as(current_state, tf.nest.flatten(parts))
        return parts, LatentKernelResults(vector, inner)


def neutra_kernel(
    target_log_prob_fn: Callable,
    posterior: FlowPosterior,
    *,
    make_kernel: Callable = adaptive_nuts,
    precondition: bool = True,
    name: str = "neutra_kernel",
) -> LatentKernel:
    """A kernel that samples a target in the latent space of a flow (NeuTra).

    If the flow is near to the target, the target is near to a standard normal in the space
    of the flow's base, whatever its units, correlations and curvature. There a chain needs
    no mass matrix and mixes in few steps. The chain is exact for any flow.

    States are parts of draws, in the structure of the target:

    ```python
    kernel = tfp_flows.neutra_kernel(pinned.unnormalized_log_prob, posterior)
    draws, results = tfp.mcmc.sample_chain(
        1000, posterior.sample(8, seed=0), kernel=kernel, num_burnin_steps=500, seed=(1, 2)
    )
    ```

    Args:
      target_log_prob_fn: unnormalised log-density of the target, a function of the parts of
        a draw.
      posterior: a trained `FlowPosterior`. Later changes of its weights change the kernel.
      make_kernel: function of a log-density of states `[..., D]` that returns a
        `tfp.mcmc.TransitionKernel`; `functools.partial(adaptive_nuts, step_size=...)`.
      precondition: whether the kernel samples in the flow's latent space. False, for
        comparison, samples in the unconstrained space.
      name: name of the kernel.

    Returns:
      A `LatentKernel`, whose results have the made kernel's results as `inner_results`.

    Raises:
      ValueError: if `posterior` is not a `FlowPosterior` or is conditional, if a function
        argument is not callable, or if the target does not return a number for each draw.

    >>> import tensorflow_probability as tfp
    >>> import tfp_flows
    >>> gamma = tfp.distributions.Gamma(2.0, 1.0)
    >>> target = tfp.distributions.JointDistributionNamed({"rate": gamma})
    >>> options = {"num_steps": 1, "hidden_units": (4,), "seed": 0, "whiten": False}
    >>> posterior = tfp_flows.flow_posterior(target, **options)
    >>> def hmc(log_prob):
    ...     return tfp.mcmc.HamiltonianMonteCarlo(log_prob, 0.3, num_leapfrog_steps=2)
    >>> kernel = tfp_flows.neutra_kernel(target.log_prob, posterior, make_kernel=hmc)
    >>> state = posterior.sample(4, seed=0)
    >>> state, results = kernel.one_step(state, kernel.bootstrap_results(state), (1, 2))
    >>> state["rate"].shape.as_list()
    [4]

    Reference:
      Hoffman et al. (2019), NeuTra-lizing bad geometry in Hamiltonian Monte Carlo using
      neural transport. https://arxiv.org/abs/1903.03704
    """
    kernel, _ = _local_kernel(target_log_prob_fn, posterior, make_kernel, precondition)
    return LatentKernel(kernel, posterior, precondition=precondition, name=name)


def flow_proposal_kernel(
    target_log_prob_fn: Callable,
    posterior: FlowPosterior,
    *,
    make_kernel: Callable = adaptive_nuts,
    num_local_steps: int = 1,
    num_global_steps: int = 1,
    precondition: bool = True,
    name: str = "flow_proposal_kernel",
) -> LatentKernel:
    """A kernel of local steps, and of global steps that propose draws of a flow.

    ```none
    local:   num_local_steps of the kernel made
    global:  y ~ posterior, accepted with probability
             min(1, target(y) posterior(x) / (target(x) posterior(y)))
    ```

    Global steps take chains from mode to mode if the posterior covers the modes. Local
    steps go where the posterior has too little mass. A mode is missed if neither the
    posterior nor a starting point is in it. In the latent space, proposals are draws of the
    flow's base, so the inverse of the flow is not needed.

    ```python
    kernel = tfp_flows.flow_proposal_kernel(pinned.unnormalized_log_prob, posterior)
    draws, accepted = tfp.mcmc.sample_chain(
        1000,
        posterior.sample(8, seed=0),
        kernel=kernel,
        num_burnin_steps=500,
        trace_fn=lambda _, results: results.inner_results.global_acceptance,
        seed=(1, 2),
    )
    ```

    Args:
      target_log_prob_fn: see `neutra_kernel`.
      posterior: see `neutra_kernel`.
      make_kernel: see `neutra_kernel`; it makes the local kernel.
      num_local_steps: local steps in a step.
      num_global_steps: global steps in a step.
      precondition: whether local steps are in the flow's latent space, or in the
        unconstrained one. In the unconstrained space each global step takes the density of
        the flow, which is its slow direction for an `IAF`.
      name: name of the kernel.

    Returns:
      A `LatentKernel`; its `inner_results` are `AlternatingResults`, with
      `local_acceptance`, `global_acceptance`, and the results of both kernels.

    Raises:
      ValueError: see `neutra_kernel`; also if a number of steps is less than 1.

    >>> import tensorflow_probability as tfp
    >>> import tfp_flows
    >>> options = {"support": {"rate": tfp.bijectors.Exp()}, "num_steps": 1, "seed": 0}
    >>> posterior = tfp_flows.flow_posterior({"rate": []}, **options)
    >>> def log_prob(rate):
    ...     return -rate
    >>> def walk(log_prob):
    ...     return tfp.mcmc.RandomWalkMetropolis(log_prob)
    >>> kernel = tfp_flows.flow_proposal_kernel(log_prob, posterior, make_kernel=walk)
    >>> state = posterior.sample(4, seed=0)
    >>> state, results = kernel.one_step(state, kernel.bootstrap_results(state), (1, 2))
    >>> results.inner_results.global_acceptance.shape.as_list()
    [4]

    Reference:
      Gabrie, Rotskoff, Vanden-Eijnden (2022), Adaptive Monte Carlo augmented with
      normalizing flows. https://arxiv.org/abs/2105.12603
    """
    local, log_prob = _local_kernel(
        target_log_prob_fn, posterior, make_kernel, precondition
    )
    flow = posterior.distribution
    kernel = AlternatingKernel(
        local,
        independent_proposals(log_prob, flow.distribution if precondition else flow),
        num_local_steps=num_local_steps,
        num_global_steps=num_global_steps,
    )
    return LatentKernel(kernel, posterior, precondition=precondition, name=name)


def _local_kernel(target_log_prob_fn, posterior, make_kernel, precondition):
    """The kernel made, and the log-density of the vector of a `LatentKernel`, `[..., D]`.

    Values that are not finite become minus infinity, so no chain moves there.
    """
    words = "a `FlowPosterior`, as `flow_posterior` returns it"
    check_instance("posterior", posterior, FlowPosterior, words)
    size = posterior.context_size
    require(not size, "`posterior` without context", f"one of context size {size}")
    words = "a function of the parts of a draw"
    check_callable("target_log_prob_fn", target_log_prob_fn, words)
    check_callable("make_kernel", make_kernel, "a function of a log-density")
    check_flag("precondition", precondition)

    def log_prob(vector):
        x, log_det = tf.identity(vector), 0.0
        if precondition:
            x, log_det = posterior.distribution.bijector.forward_and_log_det(x)
        log_det += posterior.support.forward_log_det_jacobian(x, event_ndims=1)
        parts = posterior.support.forward(x)
        value = tf.convert_to_tensor(
            call_with_parts(target_log_prob_fn, parts), dtype_hint=vector.dtype
        )
        check_number_a_draw(value, vector.shape[:-1])
        total = value + log_det
        return tf.where(tf.math.is_finite(total), total, -float("inf"))

    kernel = make_kernel(log_prob)
    words = "to return a `tfp.mcmc.TransitionKernel`"
    check_instance("make_kernel", kernel, tfp.mcmc.TransitionKernel, words)
    return kernel, log_prob
