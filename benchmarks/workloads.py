"""The workloads of each benchmark; needs NumPy only, since workers read it too."""

import dataclasses
import itertools

import numpy as np


@dataclasses.dataclass(frozen=True)
class _FlowOnVectors:
    """Sizes of a flow on vectors.

    Attributes:
      event_size: number of variables, D.
      num_steps: steps, K.
      hidden_units: widths of each network, all equal in autoregressive flows.
      batch_size: rows, or samples, of one piece of work.
      calls: pieces of work in one timed run.
    """

    event_size: int
    num_steps: int
    hidden_units: tuple
    batch_size: int
    calls: int

    def batch(self):
        """One batch of standard normal data, `[batch_size, D]`, float32."""
        shape = (self.batch_size, self.event_size)
        return np.random.default_rng(0).normal(size=shape).astype(np.float32)

    def kernel_shapes(self):
        """Shapes of the kernels of the flow, with two parameters per changing variable."""
        return [
            shape
            for inputs, changing in self.network_sizes()
            for shape in itertools.pairwise((inputs, *self.hidden_units, 2 * changing))
        ]


@dataclasses.dataclass(frozen=True)
class RealNVP(_FlowOnVectors):
    """A RealNVP and its task.

    Attributes:
      task: as in `Autoregressive`: "train", "sample" or "score".
    """

    task: str = "train"

    def network_sizes(self):
        """Inputs and number of changing variables of each coupling's network."""
        even = (self.event_size + 1) // 2
        odd = self.event_size - even
        return [(even, odd) if k % 2 == 0 else (odd, even) for k in range(self.num_steps)]


@dataclasses.dataclass(frozen=True)
class Autoregressive(_FlowOnVectors):
    """An autoregressive flow and its task.

    Attributes:
      task: "train", a gradient step of maximum likelihood with Adam; "sample"; "score",
        log-densities of given rows; or "sample_and_score".
      is_inverse: whether the flow is an IAF, which samples in one pass; else a MAF, which
        scores in one.
    """

    task: str
    is_inverse: bool = False

    def network_sizes(self):
        """Inputs and number of changing variables of each step's network."""
        return [(self.event_size, self.event_size)] * self.num_steps


@dataclasses.dataclass(frozen=True)
class SplineFlow(_FlowOnVectors):
    """A neural spline flow with residual networks, and its task.

    Attributes:
      task: as in `Autoregressive`: "train", "sample" or "score".
      coupling: whether its steps are couplings.
      num_bins: of each spline.
    """

    task: str
    coupling: bool = False
    num_bins: int = 8

    @property
    def num_blocks(self):
        """Residual blocks of each network, all of one width."""
        return len(self.hidden_units) - 1


@dataclasses.dataclass(frozen=True)
class BinaryMADE:
    """A MADE of zeros and ones with one hidden layer.

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
        """Rows of zeros and ones, float32, with about MNIST's share of ones."""
        rng = np.random.default_rng(0)
        return (rng.random((self.batch_size, self.event_size)) < 0.13).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Glow:
    """A Glow and its task.

    Attributes:
      trains: whether a call is a training step; else it draws `batch_size` images.
      image_size: height and width.
      channels: channels of the images.
      num_levels: levels, L.
      num_steps: steps per level, K.
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
        """Height and channels of the input of the steps of each level."""
        return [
            (self.image_size // 2**level, self.channels * 2 ** (level + 1))
            for level in range(1, self.num_levels + 1)
        ]


@dataclasses.dataclass(frozen=True)
class VAE:
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


_D63, _D784 = (63, 10, (512, 512)), (784, 5, (1024, 1024))
_IAF = {"is_inverse": True, "batch_size": 512}
_SPLINES = (10, (128, 128, 128))
_FIRST_CALLS = {
    "maf_6": (Autoregressive, 6, 5, (64, 64)),
    "maf_63": (Autoregressive, *_D63),
    "real_nvp_43": (RealNVP, 43, 10, (100, 100)),
}
WORKLOADS = {
    "autoregressive": {
        "W1a": Autoregressive(6, 5, (100, 100), batch_size=512, calls=50, task="train"),
        "W1b": Autoregressive(*_D63, batch_size=512, calls=5, task="train"),
        "W2a": Autoregressive(*_D63, batch_size=1024, calls=1, task="sample"),
        "W2b": Autoregressive(*_D784, batch_size=64, calls=1, task="sample"),
        "W3": Autoregressive(*_D63, batch_size=4096, calls=2, task="score"),
        "W4": Autoregressive(32, 4, (320, 320), calls=50, task="sample_and_score", **_IAF),
    },
    "real_nvp_step": {
        "W5a": RealNVP(43, 10, (100, 100), batch_size=512, calls=20),
        "W5b": RealNVP(2, 8, (64, 64), batch_size=256, calls=100),
    },
    "spline_flows": {
        "W8a": SplineFlow(6, *_SPLINES, 512, 20, "train", coupling=True),
        "W8b": SplineFlow(43, *_SPLINES, 512, 10, "train", coupling=True),
        "W8c": SplineFlow(6, *_SPLINES, 1024, 1, "sample"),
        "W8d": SplineFlow(63, *_SPLINES, 1024, 1, "sample"),
    },
    "glow": {"W6a": Glow(trains=True), "W6b": Glow(trains=False)},
    # The sizes of the IAF of W4, and those of a small model's posterior.
    "posterior_step": {
        "large": Autoregressive(32, 4, (320, 320), calls=20, task="train", **_IAF),
        "small": Autoregressive(32, 4, (64, 64), 64, 100, "train", is_inverse=True),
    },
    "binary_made": {"500": BinaryMADE(500, calls=20), "8000": BinaryMADE(8000, calls=3)},
    "vae": {"default": VAE()},
    "first_calls": {
        f"{name}_{task}": kind(*sizes, batch_size=64, calls=1, task=task)
        for name, (kind, *sizes) in _FIRST_CALLS.items()
        for task in ("score", "sample", "train")
    },
}
