"""What is timed of variational autoencoders; needs NumPy only, as workers read it too."""

import dataclasses
import itertools

import numpy as np

__all__ = ["Workload"]


@dataclasses.dataclass(frozen=True)
class Workload:
    """The training step of a dense VAE of zeros and ones, with Adam, on one batch.

    Attributes:
      event_size: number of pixels.
      hidden_units: widths of the encoder's hidden layers, and, in reverse, the decoder's.
      latent_size: number of latents.
      num_flow_steps: steps of the posterior's IAF; 0: an independent Gaussian.
      flow_hidden_units: widths of each step's network.
      context_size: outputs of the encoder that each step sees.
      batch_size: rows of a step.
      calls: steps in one timed run.
    """

    event_size: int = 784
    hidden_units: tuple = (300, 300)
    latent_size: int = 32
    num_flow_steps: int = 4
    flow_hidden_units: tuple = (320, 320)
    context_size: int = 64
    batch_size: int = 100
    calls: int = 20

    def without_flow(self):
        """The same with an independent Gaussian."""
        return dataclasses.replace(self, num_flow_steps=0, context_size=0)

    def batch(self):
        """One batch of zeros and ones, `[batch_size, event_size]`, float32."""
        rng = np.random.default_rng(0)
        return rng.integers(0, 2, (self.batch_size, self.event_size)).astype(np.float32)

    def kernel_shapes(self):
        """Shape of each kernel of the flow, its parts for the context included."""
        first, *others = self.flow_hidden_units
        widths = (first, *others, 2 * self.latent_size)
        inputs = (self.latent_size + self.context_size, first)
        return [inputs, *itertools.pairwise(widths)] * self.num_flow_steps
