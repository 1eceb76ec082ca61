"""A kernel on the latent vector of a posterior, as a kernel on the parts of its draws."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow.types.experimental import TensorLike


class LatentKernelResults(NamedTuple):
    """The state of a `LatentKernel`.

    Attributes:
      transformed_state: the vector, `[..., D]`.
      inner_results: results of the vector's kernel.
    """

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
        self._parameters = {
            # Stock wrappers would replace the target of an `inner_kernel`.
            "vector_kernel": vector_kernel,
            "posterior": posterior,
            "precondition": precondition,
            "name": name,
        }

    @property
    def vector_kernel(self) -> tfp.mcmc.TransitionKernel:
        """The kernel of states `[..., D]`."""
        return self._parameters["vector_kernel"]

    @property
    def parameters(self) -> dict:
        """The constructor's arguments."""
        return self._parameters

    @property
    def is_calibrated(self) -> bool:
        """Whether the chain converges to the target."""
        return self.vector_kernel.is_calibrated

    def bootstrap_results(self, init_state: object) -> LatentKernelResults:
        """Returns the results before the first step, from parts of a draw."""
        posterior = self._parameters["posterior"]
        vector = posterior.support.inverse(tf.nest.map_structure(tf.identity, init_state))
        if self._parameters["precondition"]:
            vector, _ = posterior.distribution.bijector.inverse_and_log_det(vector)
        return LatentKernelResults(vector, self.vector_kernel.bootstrap_results(vector))

    def one_step(
        self,
        current_state: object,
        previous_kernel_results: LatentKernelResults,
        seed: int | TensorLike | None = None,
    ) -> tuple:
        """Makes a step of the vector, and returns parts and `LatentKernelResults`."""
        vector, inner = self.vector_kernel.one_step(
            previous_kernel_results.transformed_state,
            previous_kernel_results.inner_results,
            seed=seed,
        )
        posterior, x = self._parameters["posterior"], vector
        if self._parameters["precondition"]:
            x, _ = posterior.distribution.bijector.forward_and_log_det(x)
        parts = posterior.support.forward(x)
        parts = tf.nest.pack_sequence_as(current_state, tf.nest.flatten(parts))
        return parts, LatentKernelResults(vector, inner)
