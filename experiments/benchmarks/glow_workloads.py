"""The Glow that is timed or trained; needs NumPy only, as workers read it too."""

import dataclasses

import numpy as np

__all__ = ["WORKLOADS", "Workload"]


@dataclasses.dataclass(frozen=True)
class Workload:
    """Sizes of one Glow and its batch, and what is done with it.

    Attributes:
      trains: whether a call is a training step; else it draws `batch_size` images.
      image_size: height and width.
      channels: of the images.
      num_levels: levels, L.
      num_steps: steps a level, K.
      hidden_channels: of each network.
      batch_size: images a call.
      calls: calls in one timed run.
    """

    trains: bool
    image_size: int = 32
    channels: int = 3
    num_levels: int = 3
    num_steps: int = 8
    hidden_channels: int = 128
    batch_size: int = 16
    calls: int = 3

    @property
    def image_shape(self):
        """`(H, W, C)`."""
        return (self.image_size, self.image_size, self.channels)

    @property
    def event_size(self):
        """Number of entries of an image."""
        return self.image_size**2 * self.channels

    def batch(self):
        """One batch of images in `[0, 1]`, `[batch_size, H, W, C]`, float32."""
        rng = np.random.default_rng(0)
        return rng.uniform(size=(self.batch_size, *self.image_shape)).astype(np.float32)

    def level_shapes(self):
        """Height, and channels, of what the steps of each level see."""
        return [
            (self.image_size // 2**level, self.channels * 2 ** (level + 1))
            for level in range(1, self.num_levels + 1)
        ]


WORKLOADS = {"W6a": Workload(trains=True), "W6b": Workload(trains=False)}
