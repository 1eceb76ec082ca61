"""The density of one variable given another, as a picture of both."""

import matplotlib.pyplot as plt
import numpy as np

from experiments.reports import plots

__all__ = ["draw"]

_SIZE = 160
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def draw(subject, path):
    """Draws test rows, p(y | x) of the flow with its quantiles, and the true one if known.

    Args:
      subject: a `Subject` of one variable, given one more.
      path: of the picture.
    """
    dataset = subject.dataset
    y, x = (_grid(rows[:, 0]) for rows in (dataset.test, dataset.test_context))
    pairs = np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1).reshape(-1, 2)
    pairs = pairs.astype(np.float32)
    log_prob = subject.distribution.log_prob(pairs[:, :1], context=pairs[:, 1:]).numpy()
    panels = {"p(y | x) of the flow, and its quantiles": log_prob}
    if dataset.log_density is not None:
        panels["the density that rows were drawn from"] = dataset.log_density(
            pairs[:, :1], pairs[:, 1:]
        )
    densities = {k: np.exp(v).reshape(_SIZE, _SIZE) for k, v in panels.items()}
    highest = max(density.max() for density in densities.values())
    figure, axes = plt.subplots(
        1, len(panels) + 1, figsize=(4.2 * (len(panels) + 1), 3.8), layout="constrained"
    )
    axes[0].scatter(subject.context[:, 0], subject.data[:, 0], s=1.5, linewidths=0)
    axes[0].set_title(f"data (test, {len(subject.data):,} points)")
    for axis, (title, density) in zip(axes[1:], densities.items(), strict=True):
        mesh = axis.pcolormesh(x, y, density, vmin=0.0, vmax=highest, rasterized=True)
        axis.set_title(title)
    axes[1].plot(x, _quantiles(subject.distribution, x), color="white", linewidth=0.8)
    figure.colorbar(mesh, ax=axes, label="density", aspect=30, pad=0.01)
    for axis in axes:
        axis.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]), xlabel="x", ylabel="y")
    plots.save(figure, path)


def _quantiles(distribution, x):
    """Returns quantiles of y at each x, `[X, Q]`."""
    p, given = np.meshgrid(np.float32(_QUANTILES), np.float32(x))
    y = distribution.quantile(p.ravel(), context=given.reshape(-1, 1)).numpy()
    return y.reshape(p.shape)


def _grid(values):
    margin = 0.05 * np.ptp(values)
    return np.linspace(values.min() - margin, values.max() + margin, _SIZE)
