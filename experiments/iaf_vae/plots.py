"""Pictures of a VAE: functions (arrays, path) -> None."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Ellipse

from experiments.reports.image_plots import show
from experiments.reports.plots import save

__all__ = ["kl_per_latent", "latent_map", "posterior_shapes"]

_DATA, _FLOW = "#33608c", "#d1603d"


def latent_map(points, classes, path, *, labels):
    """Draws points of the plane, `[N, 2]`, in the colours of their classes.

    Args:
      points: `[N, 2]`.
      classes: `[N]`, integers; or None.
      path: of the picture.
      labels: of the two axes.
    """
    figure, axis = plt.subplots(figsize=(7, 6), layout="constrained")
    size = np.clip(4000 / len(points), 4, 16)
    if classes is None:
        axis.scatter(*points.T, s=size, color=_DATA, alpha=0.5, linewidths=0)
    else:
        scatter = axis.scatter(
            *points.T, s=size, c=classes, cmap="tab10", alpha=0.8, linewidths=0
        )
        axis.legend(*scatter.legend_elements(), title="class", frameon=False)
    axis.set(xlabel=labels[0], ylabel=labels[1], title="posterior means of test images")
    axis.axis("equal")
    save(figure, path)


def kl_per_latent(kl, path):
    """Draws the nats of each latent, `[L]`, the largest first."""
    figure, axis = plt.subplots(figsize=(7, 3.5), layout="constrained")
    axis.bar(np.arange(1, len(kl) + 1), np.sort(kl)[::-1], color=_DATA)
    axis.set(
        xlabel="latent, in order",
        ylabel="divergence from the prior (nats)",
        title=f"what each latent carries by itself; the sum is {np.sum(kl):.1f} nats",
    )
    save(figure, path)


def posterior_shapes(images, draws, axes_of, path):
    """Draws the posteriors of single images, in two latents of each.

    Args:
      images: `[N, H, W]` or `[N, H, W, 3]`.
      draws: `[S, N, 2]`, draws from the posterior of each, in two of its latents.
      axes_of: `[N, 2]`, which latents these are, from 0.
      path: of the picture.
    """
    count = len(images)
    figure, axes = plt.subplots(
        2,
        count,
        figsize=(2.3 * count, 3.6),
        height_ratios=[1, 2],
        squeeze=False,
        layout="constrained",
    )
    for i in range(count):
        show(axes[0, i], images[i])
        _draw_shape(axes[1, i], draws[:, i])
        axes[1, i].set(xlabel=f"z[{axes_of[i][0]}]", ylabel=f"z[{axes_of[i][1]}]")
    figure.suptitle("draws from the posterior, and the Gaussian with their moments")
    save(figure, path)


def _draw_shape(axis, points):
    bins = 60
    counts, x, y = np.histogram2d(*points.T, bins=bins)
    axis.pcolormesh(x, y, counts.T, cmap="Blues", rasterized=True)
    mean, covariance = points.mean(axis=0), np.cov(points, rowvar=False)
    values, vectors = np.linalg.eigh(covariance)
    angle = np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1]))
    for deviations in (1.0, 2.0):
        width, height = 2.0 * deviations * np.sqrt(values[::-1])
        axis.add_patch(
            Ellipse(mean, width, height, angle=angle, fill=False, color=_FLOW, lw=1.2)
        )
    axis.tick_params(labelsize=7)
