"""Which pictures a run of a VAE gets."""

import functools

import numpy as np
from sklearn import decomposition

from experiments.iaf_vae import evaluation
from experiments.iaf_vae import plots as vae_plots
from experiments.reports import gallery
from experiments.reports import image_plots
from experiments.reports import plots

__all__ = ["draw", "draw_fit"]

_NUM_RECONSTRUCTIONS = 40
_NUM_SAMPLES = 100
_NUM_MAPPED = 2000
_NUM_SHAPES = 6
_SHAPE_DRAWS = 20_000


def draw(model, images, history, settings):
    """Draws the pictures of a run and returns their captions by file name.

    Args:
      model: a `VAE`.
      images: the `Images` that it was fitted to.
      history: Keras's history, a dict of lists with an entry an epoch.
      settings: a `VAESettings`; the pictures go to its `run_dir`.
    """
    pictures = _of_the_data(model, images, settings) | _of_the_latents(
        model, images, settings
    )
    pictures["learning_curve.png"] = (
        "Mean ELBO over the epochs.",
        functools.partial(_draw_learning_curve, history, settings),
    )
    return gallery.draw(pictures, settings.run_dir)


def draw_fit(model, images, settings, path):
    """Draws test images beside samples, the one picture that shows how far training is.

    Args:
      model: a `VAE`.
      images: the `Images` that it is fitted to.
      settings: a `VAESettings`.
      path: of the picture, or a file.
    """
    rows = _test_rows(images, settings)[:_NUM_SAMPLES]
    z = model.prior.sample(_NUM_SAMPLES, seed=(0, settings.seed))
    panels = {
        "data (test)": _grey(images.dataset.test[rows], images),
        "samples of the model": _grey(model.decode(z).numpy(), images),
    }
    image_plots.grids(panels, path)


def _of_the_data(model, images, settings):
    """Returns (caption, function of `path`) by file name."""
    return {
        "samples.png": (
            "Test images, and means of the likelihood given draws of the prior.",
            functools.partial(draw_fit, model, images, settings),
        ),
        "reconstructions.png": (
            "Test images, and their reconstructions.",
            functools.partial(_draw_reconstructions, model, images, settings),
        ),
    }


def _of_the_latents(model, images, settings):
    rows = _test_rows(images, settings)
    statistics = evaluation.latent_statistics(
        model, images.dataset.test[rows], settings.seed
    )
    classes = None if images.test_classes is None else images.test_classes[rows]
    pictures = {
        "latent_map.png": (
            _map_caption(model.latent_size),
            functools.partial(_draw_map, statistics.means, classes),
        ),
        "kl_per_latent.png": (
            "Divergence of each latent from the prior, both taken as Gaussians of their "
            "moments.",
            functools.partial(vae_plots.kl_per_latent, statistics.kl),
        ),
    }
    if model.latent_size > 1:
        pictures["posterior_shapes.png"] = (
            "Posteriors of single test images in the two latents that are most correlated, "
            "with the ellipses, of one and two standard deviations, of a Gaussian of equal "
            "moments. Under an independent Gaussian posterior they are upright.",
            functools.partial(_draw_shapes, model, images, rows),
        )
    return pictures


def _draw_learning_curve(history, settings, path):
    bounds = {
        "loss": [-value for value in history["elbo"]],
        "val_loss": [-value for value in history["val_elbo"]],
    }
    title = f"{settings.posterior} posterior on {settings.dataset}"
    best = int(np.nanargmin(history["val_loss"]))
    plots.learning_curve(bounds, path, title=title, label="ELBO (nats)", best=best)


def _draw_reconstructions(model, images, settings, path):
    rows = _test_rows(images, settings)[:_NUM_RECONSTRUCTIONS]
    x = images.dataset.test[rows]
    reconstructed = model.reconstruct(x).numpy()
    image_plots.pairs(
        _shown(x, images),
        _shown(reconstructed, images),
        path,
        title="test images, and below each the mean given one draw of its latents",
    )


def _draw_map(means, classes, path):
    points, labels = means, ("z[0]", "z[1]")
    if means.shape[1] != 2:
        count = min(2, means.shape[1])
        points = decomposition.PCA(count).fit_transform(means)
        points = np.pad(points, [(0, 0), (0, 2 - count)])
        labels = ("component 1", "component 2")
    vae_plots.latent_map(points, classes, path, labels=labels)


def _map_caption(latent_size):
    caption = "Posterior means of test images, in the colours of their classes, if any"
    return caption + ("." if latent_size == 2 else ": their two principal components.")


def _draw_shapes(model, images, rows, path):
    x = images.dataset.test[rows[:_NUM_SHAPES]]
    z = model.encode(x, _SHAPE_DRAWS, seed=1).numpy()
    chosen = [_most_correlated_pair(z[:, i]) for i in range(len(x))]
    draws = np.stack([z[:, i, pair] for i, pair in enumerate(chosen)], axis=1)
    vae_plots.posterior_shapes(_shown(x, images), draws, chosen, path)


def _most_correlated_pair(z):
    """The two latents of `[S, L]` draws that depend on each other most, linearly."""
    correlations = np.abs(np.triu(np.corrcoef(z, rowvar=False), 1))
    return np.array(np.unravel_index(np.argmax(correlations), correlations.shape))


def _test_rows(images, settings):
    count = len(images.dataset.test)
    return np.random.default_rng(settings.seed).permutation(count)[:_NUM_MAPPED]


def _shown(rows, images):
    """Rows as images, `[N, H, W]`, or `[N, H, W, 3]` where they are coloured."""
    pictures = rows.reshape(-1, *images.image_shape)
    return pictures if images.image_shape[-1] == 3 else pictures[..., 0]


def _grey(rows, images):
    pictures = rows.reshape(-1, *images.image_shape)
    return pictures.mean(axis=-1)
