"""Which pictures a run gets: those that suit its data."""

import pathlib

import numpy as np

from experiments import plots


def draw(distribution, dataset, history, settings):
    """Draws the pictures of a run and returns their file names.

    Args:
      distribution: the fitted distribution.
      dataset: the `Dataset` that it was fitted to.
      history: Keras's history, a dict of lists with an entry an epoch.
      settings: a `Settings`; the pictures go to its `run_dir`.
    """
    run_dir = pathlib.Path(settings.run_dir)
    count = min(settings.num_samples, len(dataset.test))
    samples = distribution.sample(count, seed=settings.seed).numpy()
    data = dataset.test[:count]
    names = ["learning_curve.png", "samples.png"]
    plots.learning_curve(history, run_dir / names[0], title=_title(dataset, settings))
    if dataset.image_shape:
        shape = (-1, *dataset.image_shape)
        plots.image_grids(data.reshape(shape), samples.reshape(shape), run_dir / names[1])
    elif dataset.event_size == 2:
        names.append("density.png")
        plots.scatter_data_and_samples(data, samples, run_dir / names[1])
        plots.density_2d(data, _density(distribution, data), samples, run_dir / names[2])
    else:
        plots.marginals(data, samples, run_dir / names[1], labels=dataset.labels)
    return names[::-1]


def _title(dataset, settings):
    return f"{settings.flow} on {dataset.name}"


def _density(distribution, data, size=200):
    """Returns `(x, y, density [size, size])` on a grid around the data."""
    low, high = data.min(axis=0), data.max(axis=0)
    margin = 0.08 * (high - low)
    x, y = np.linspace(low - margin, high + margin, size).T
    grid = np.stack(np.meshgrid(x, y), axis=-1).astype(np.float32)
    density = np.exp(distribution.log_prob(grid.reshape(-1, 2)).numpy())
    return x, y, density.reshape(size, size)
