"""The benchmark's observations with reference draws, and its published scores."""

import dataclasses

import numpy as np

from experiments.data.files import load_arrays, need_prepared

# By task: classifier scores after 1,000, 10,000 and 100,000 simulations, the best published
# of a method for any observation, and of sbi's neural posterior estimation.
# https://arxiv.org/abs/2504.17660 (its tables of results)
PUBLISHED = {
    "two_moons": ((None, 0.543, 0.502), (0.698, 0.554, 0.525)),
    "gaussian_linear": ((0.545, 0.522, 0.500), (0.753, 0.598, 0.533)),
    "gaussian_linear_uniform": ((0.555, None, None), (0.750, 0.607, 0.543)),
    "gaussian_mixture": ((0.642, 0.529, 0.501), (0.673, 0.541, 0.515)),
    "slcp": ((0.895, 0.761, None), (0.968, 0.874, 0.719)),
    "bernoulli_glm": ((0.731, None, None), (0.882, 0.694, 0.595)),
    "sir": ((0.583, 0.537, 0.513), (0.701, 0.556, 0.519)),
    "lotka_volterra": ((0.931, 0.834, 0.695), (0.997, 0.967, 0.880)),
}
SIZES = (1_000, 10_000, 100_000)


@dataclasses.dataclass(frozen=True)
class Reference:
    """Observations of a task, and draws of their true posteriors.

    Attributes:
      observations: `[M, K]`.
      draws: `[M, N, D]`.
    """

    observations: np.ndarray
    draws: np.ndarray

    def first(self, count):
        """Returns pairs of an observation and its draws."""
        return list(zip(self.observations[:count], self.draws[:count], strict=True))


def read(task, data_dir):
    """Returns the `Reference` of a task; None without a folder.

    Raises:
      DataError: if the folder has no readable file of the task.
    """
    if not data_dir:
        return None
    wanted = f"{task}.npz or sbibm/{task}.npz"
    path = need_prepared(data_dir, f"sbibm/{task}.npz", wanted=wanted)
    arrays = load_arrays(path, ["observation", "reference_posterior"])
    return Reference(*arrays.values())
