"""What the contenders of `binary_made` work on."""

import dataclasses

import numpy as np

__all__ = ["WORKLOADS", "Workload"]


@dataclasses.dataclass(frozen=True)
class Workload:
    """Sizes of one MADE with one hidden layer, and its batch.

    Attributes:
      units: width of the hidden layer.
      calls: training steps in one timed run.
      event_size: number of pixels, D.
      batch_size: rows of a training step, and samples of a draw.
    """

    units: int
    calls: int
    event_size: int = 784
    batch_size: int = 100

    def batch(self):
        """Rows of zeros and ones, about as many ones as MNIST has, float32."""
        rng = np.random.default_rng(0)
        return (rng.random((self.batch_size, self.event_size)) < 0.13).astype(np.float32)


WORKLOADS = {"500": Workload(500, calls=20), "8000": Workload(8000, calls=3)}
