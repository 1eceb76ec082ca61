"""The pictures of a run of a VAE."""

import functools

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Ellipse
from sklearn import decomposition

from experiments.iaf_vae import evaluation
from experiments.reports import plots
from experiments.reports.plots import DATA, FLOW, save, show_image

_NUM_RECONSTRUCTIONS, _COLUMNS = 40, 10
_NUM_INTERPOLATIONS = 6
_NUM_SAMPLES = 100
_NUM_MAPPED = 2000
_NUM_SHAPES = 6
_SHAPE_DRAWS = 20_000


def draw(model, images, history, settings):
    """Draws the pictures of a run and returns their captions by file name."""
    rows = _test_rows(images, settings)
    statistics = evaluation.latent_statistics(
        model, images.dataset.test[rows], settings.seed
    )
    classes = images.dataset.test_classes
    classes = None if classes is None else classes[rows]
    pictures = {
        "samples.png": (
            "Test images, and means of the likelihood given draws of the prior.",
            functools.partial(draw_fit, model, images, settings),
        ),
        "reconstructions.png": (
            "Test images, and their reconstructions.",
            functools.partial(_draw_reconstructions, model, images, rows),
        ),
        "interpolations.png": (
            "Means of the likelihood on straight lines between latents of two test images, "
            "the ends of each row.",
            functools.partial(_draw_interpolations, model, images, rows),
        ),
        "latent_map.png": (
            "Posterior means of test images, coloured by class if there are classes"
            + ("." if model.latent_size == 2 else ": two principal components."),
            functools.partial(_draw_map, statistics.means, classes),
        ),
        "kl_per_latent.png": (
            "KL divergence of each latent from the prior, by a Gaussian approximation.",
            functools.partial(_draw_kl, statistics.kl),
        ),
    }
    if model.latent_size > 1:
        pictures["posterior_shapes.png"] = (
            "Posteriors of single test images in their two most correlated latents. The "
            "ellipses, at one and two standard deviations, are of a Gaussian with the "
            "same moments; for an independent Gaussian posterior they are upright.",
            functools.partial(_draw_shapes, model, images, rows),
        )
    pictures["learning_curve.png"] = (
        "Mean ELBO over the epochs.",
        functools.partial(_draw_learning_curve, history, settings),
    )
    return plots.draw_all(pictures, settings.run_dir)


def draw_fit(model, images, settings, path):
    """Draws test images beside samples, as the picture of the training's progress."""
    rows = _test_rows(images, settings)[:_NUM_SAMPLES]
    z = model.prior.sample(_NUM_SAMPLES, seed=(0, settings.seed))
    panels = {
        "data (test)": _grey(images.dataset.test[rows], images),
        "samples of the model": _grey(model.decode(z).numpy(), images),
    }
    plots.image_grids(panels, path)


def _draw_learning_curve(history, settings, path):
    bounds = {
        "loss": [-value for value in history["elbo"]],
        "val_loss": [-value for value in history["val_elbo"]],
    }
    title = f"{settings.posterior} posterior on {settings.dataset}"
    best = int(np.nanargmin(history["val_loss"]))
    plots.learning_curve(bounds, path, title=title, label="ELBO (nats)", best=best)


def _draw_reconstructions(model, images, rows, path):
    x = images.dataset.test[rows[:_NUM_RECONSTRUCTIONS]]
    both = {"data (test)": x, "mean given a draw\nof the latents": model.reconstruct(x)}
    shown = {k: images.dataset.as_images(np.asarray(v)) for k, v in both.items()}
    starts = range(0, len(x), _COLUMNS)
    labelled = [(k, v[i : i + _COLUMNS]) for i in starts for k, v in shown.items()]
    plots.image_rows(labelled, path)


def _draw_interpolations(model, images, rows, path):
    pairs = min(_NUM_INTERPOLATIONS, len(rows) // 2)
    x = images.dataset.test[rows[: 2 * pairs]]
    starts, ends = np.split(model.encode(x, seed=1).numpy(), [pairs])
    lines = np.linspace(starts, ends, _COLUMNS - 2, axis=1)  # [pairs, columns, L]
    between = model.decode(lines).numpy().reshape(pairs, _COLUMNS - 2, -1)
    shown = np.concatenate([x[:pairs, None], between, x[pairs:, None]], axis=1)
    plots.image_rows([("", images.dataset.as_images(line)) for line in shown], path)


def _draw_map(means, classes, path):
    """Draws posterior means, `[N, L]`, in the plane, coloured by `classes` if known."""
    points, labels = means, ("z[0]", "z[1]")
    if means.shape[1] != 2:
        count = min(2, means.shape[1])
        points = decomposition.PCA(count).fit_transform(means)
        points = np.pad(points, [(0, 0), (0, 2 - count)])
        labels = ("component 1", "component 2")
    figure, axis = plt.subplots(figsize=(7, 6), layout="constrained")
    size = np.clip(4000 / len(points), 4, 16)
    if classes is None:
        axis.scatter(*points.T, s=size, color=DATA, alpha=0.5, linewidths=0)
    else:
        scatter = axis.scatter(
            *points.T, s=size, c=classes, cmap="tab10", alpha=0.8, linewidths=0
        )
        axis.legend(*scatter.legend_elements(), title="class", frameon=False)
    axis.set(xlabel=labels[0], ylabel=labels[1], title="posterior means of test images")
    axis.axis("equal")
    save(figure, path)


def _draw_shapes(model, images, rows, path):
    x = images.dataset.test[rows[:_NUM_SHAPES]]
    z = model.encode(x, _SHAPE_DRAWS, seed=1).numpy()
    count, pictures = len(x), images.dataset.as_images(x)
    figure, axes = plt.subplots(
        2,
        count,
        figsize=(2.3 * count, 3.6),
        height_ratios=[1, 2],
        squeeze=False,
        layout="constrained",
    )
    for i in range(count):
        first, second = _most_correlated_pair(z[:, i])
        show_image(axes[0, i], pictures[i])
        _draw_shape(axes[1, i], z[:, i, [first, second]])
        axes[1, i].set(xlabel=f"z[{first}]", ylabel=f"z[{second}]")
    figure.suptitle("draws from the posterior, and the Gaussian with their moments")
    save(figure, path)


def _most_correlated_pair(z):
    """Returns the indices of the two most correlated latents of draws, `[S, L]`."""
    correlations = np.abs(np.triu(np.corrcoef(z, rowvar=False), 1))
    return np.array(np.unravel_index(np.argmax(correlations), correlations.shape))


def _test_rows(images, settings):
    count = len(images.dataset.test)
    return np.random.default_rng(settings.seed).permutation(count)[:_NUM_MAPPED]


def _grey(rows, images):
    return rows.reshape(-1, *images.image_shape).mean(axis=-1)


def _draw_kl(kl, path):
    """Draws the divergence of each latent, `[L]`, the largest first."""
    figure, axis = plt.subplots(figsize=(7, 3.5), layout="constrained")
    axis.bar(np.arange(1, len(kl) + 1), np.sort(kl)[::-1], color=DATA)
    axis.set(
        xlabel="latent, in order",
        ylabel="divergence from the prior (nats)",
        title=f"divergence of each latent; the sum is {np.sum(kl):.1f} nats",
    )
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
            Ellipse(mean, width, height, angle=angle, fill=False, color=FLOW, lw=1.2)
        )
    axis.tick_params(labelsize=7)
