"""The RealNVP training steps that are timed."""

import dataclasses
import itertools

import numpy as np

import tfp_flows

__all__ = ["WORKLOADS", "Workload", "distribution"]


@dataclasses.dataclass(frozen=True)
class Workload:
    """Sizes of one RealNVP and its batch.

    Attributes:
      event_size: number of variables, D.
      num_steps: couplings, K.
      hidden_units: widths of each network.
      batch_size: rows a training step.
      calls: training steps in one timed run.
    """

    event_size: int
    num_steps: int
    hidden_units: tuple
    batch_size: int
    calls: int

    def batch(self):
        """One batch of standard normal data, `[batch_size, D]`, float32."""
        rng = np.random.default_rng(0)
        return rng.normal(size=(self.batch_size, self.event_size)).astype(np.float32)

    def network_sizes(self):
        """Inputs and number of changing variables of each coupling's network."""
        even = (self.event_size + 1) // 2
        odd = self.event_size - even
        return [(even, odd) if k % 2 == 0 else (odd, even) for k in range(self.num_steps)]

    def kernel_shapes(self):
        """Shape of each kernel of the flow, with two parameters a changing variable."""
        return [
            shape
            for inputs, changing in self.network_sizes()
            for shape in itertools.pairwise((inputs, *self.hidden_units, 2 * changing))
        ]


WORKLOADS = {
    "W5a": Workload(43, 10, (100, 100), batch_size=512, calls=20),
    "W5b": Workload(2, 8, (64, 64), batch_size=256, calls=100),
}


def distribution(workload):
    """Returns this package's flow of the sizes of `workload`, with its base."""
    flow = tfp_flows.RealNVP(
        workload.event_size,
        num_steps=workload.num_steps,
        hidden_units=workload.hidden_units,
        standardize=False,  # what the peers' flows do not have either
        seed=0,
    )
    return tfp_flows.FlowDistribution(tfp_flows.standard_normal(workload.event_size), flow)
