"""What is timed of autoregressive flows; needs NumPy only, as workers read it too."""

import dataclasses
import itertools

import numpy as np

__all__ = ["WORKLOADS", "Workload"]


@dataclasses.dataclass(frozen=True)
class Workload:
    """One flow, and what is done with it.

    Attributes:
      task: "train", a gradient step of maximum likelihood with Adam; "sample"; "score",
        log-densities of given rows; or "sample_and_score".
      is_inverse: whether the flow is an IAF, which samples in one pass; else a MAF, which
        scores in one.
      event_size: number of variables, D.
      num_steps: autoregressive steps, K.
      hidden_units: widths of each network, all equal.
      batch_size: rows, or samples, of one piece of work.
      calls: pieces of work in one timed run.
    """

    task: str
    is_inverse: bool
    event_size: int
    num_steps: int
    hidden_units: tuple
    batch_size: int
    calls: int

    def batch(self):
        """One batch of standard normal data, `[batch_size, D]`, float32."""
        rng = np.random.default_rng(0)
        return rng.normal(size=(self.batch_size, self.event_size)).astype(np.float32)

    def kernel_shapes(self):
        """Shape of each kernel of the flow, with two parameters a variable."""
        widths = (self.event_size, *self.hidden_units, 2 * self.event_size)
        return list(itertools.pairwise(widths)) * self.num_steps


WORKLOADS = {
    "W1a": Workload("train", False, 6, 5, (100, 100), batch_size=512, calls=50),
    "W1b": Workload("train", False, 63, 10, (512, 512), batch_size=512, calls=5),
    "W2a": Workload("sample", False, 63, 10, (512, 512), batch_size=1024, calls=1),
    "W2b": Workload("sample", False, 784, 5, (1024, 1024), batch_size=64, calls=1),
    "W3": Workload("score", False, 63, 10, (512, 512), batch_size=4096, calls=2),
    "W4": Workload("sample_and_score", True, 32, 4, (320, 320), batch_size=512, calls=50),
}
