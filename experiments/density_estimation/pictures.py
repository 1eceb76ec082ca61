"""Which pictures a run gets: those that suit its data."""

import functools

import numpy as np

import tfp_flows
from experiments.density_estimation import conditional_plot
from experiments.density_estimation import diagnostics
from experiments.density_estimation import prediction_plots
from experiments.density_estimation import warp_plot
from experiments.density_estimation.binary_pictures import of_binary_data
from experiments.density_estimation.image_pictures import of_images
from experiments.reports import gallery
from experiments.reports import plots
from experiments.reports import table_plots

_MAX_PAIRS = 6
_IMAGES_PER_CLASS = 10


def draw(subject, history):
    """Draws the pictures of a run and returns their captions by file name.

    Args:
      subject: a `Subject`; the pictures go to the `run_dir` of its settings.
      history: Keras's history, a dict of lists with an entry an epoch.
    """
    title = f"{subject.settings.flow} on {subject.dataset.name}"
    pictures = _of_the_data(subject)
    if subject.prediction:
        pictures |= _of_predictions(subject)
    if diagnostics.has_latents(subject.distribution):
        pictures["calibration.png"] = (
            _calibration_caption(subject.dataset.event_size),
            functools.partial(_draw_calibration, subject),
        )
    pictures["learning_curve.png"] = (
        "Mean log-likelihood over the epochs.",
        functools.partial(plots.learning_curve, history, title=title),
    )
    return gallery.draw(pictures, subject.settings.run_dir)


def draw_fit(subject, path):
    """Draws data beside samples, the one picture that shows how far training is.

    Args:
      subject: a `Subject`.
      path: of the picture, or a file.
    """
    _, draw_to = next(iter(_of_the_data(subject).values()))
    draw_to(path=path)


def _of_the_data(subject):
    """Returns (caption, function of `path`) by file name, the most telling first."""
    if subject.dataset.is_binary:
        return of_binary_data(subject)
    if subject.dataset.image_shape:
        return of_images(subject) | _by_class(subject)
    data, samples, labels = subject.data, subject.samples, subject.dataset.labels
    if subject.is_plane:
        density = functools.partial(
            plots.density_2d, data, _density(subject.distribution, data), samples
        )
        pictures = {
            "density.png": ("Test rows, the flow's density, and samples of it.", density)
        }
        bijector = getattr(subject.distribution, "bijector", None)
        if isinstance(bijector, tfp_flows.FlowChain):
            pictures["warp.png"] = (
                "A grid of the latent plane, pushed through the flow step by step.",
                functools.partial(warp_plot.draw, subject.distribution),
            )
        return pictures
    if (subject.dataset.event_size, subject.dataset.context_size) == (1, 1):
        draw_to = functools.partial(conditional_plot.draw, subject)
        return {"conditional.png": ("Test rows, and the density given x.", draw_to)}
    marginals = functools.partial(plots.marginals, data, samples, labels=labels)
    pictures = {"marginals.png": ("Each variable, of test rows and samples.", marginals)}
    if len(labels) > 1:
        first = slice(_MAX_PAIRS)
        pairs = functools.partial(
            table_plots.pairs, data[:, first], samples[:, first], labels=labels[first]
        )
        caption = "Pairs of variables: test rows above the diagonal, samples below it."
        if len(labels) > _MAX_PAIRS:
            caption += f" The first {_MAX_PAIRS} of {len(labels)} variables."
        pictures["pairs.png"] = (caption, pairs)
    return pictures


def _of_predictions(subject):
    draw_levels = functools.partial(prediction_plots.draw_levels, subject.prediction)
    caption = "Test values below the quantile of each level: on the line where it is right."
    pictures = {"levels.png": (caption, draw_levels)}
    if subject.dataset.event_size == 1:
        caption = "Densities of a few test rows, given their context, and what came."
        draw_densities = functools.partial(prediction_plots.draw_densities, subject)
        pictures["predictions.png"] = (caption, draw_densities)
    return pictures


def _by_class(subject):
    """The samples of `of_images`, a row a class, where the context is one."""
    if not subject.dataset.class_names:
        return {}
    caption = "Test images, and samples of the flow given the class: a row a class."
    return {"samples.png": (caption, functools.partial(_draw_by_class, subject))}


def _calibration_caption(event_size):
    caption = (
        "Probability-integral transform of the latents of the test rows: flat, within the "
        "grey band of 95 %, where the flow is right."
    )
    if (shown := table_plots.MAX_HISTOGRAMS) < event_size:
        caption += f" The {shown} of {event_size} that are furthest off."
    return caption


def _draw_by_class(subject, path):
    dataset = subject.dataset
    classes = dataset.test_context.argmax(axis=1)
    count = range(len(dataset.class_names))
    plots.images_by_class(
        [dataset.as_images(dataset.test[classes == c][:_IMAGES_PER_CLASS]) for c in count],
        [
            dataset.as_images(samples[:_IMAGES_PER_CLASS])
            for samples in subject.samples_by_class
        ],
        path,
        class_names=dataset.class_names,
    )


def _draw_calibration(subject, path):
    dataset = subject.dataset
    u = diagnostics.latent_pit(subject.distribution, dataset.test, dataset.test_context)
    table_plots.calibration(u, diagnostics.ks_distance(u), path)


def _density(distribution, data, size=200):
    """Returns `(x, y, density [size, size])` on a grid around the data."""
    low, high = data.min(axis=0), data.max(axis=0)
    margin = 0.08 * (high - low)
    x, y = np.linspace(low - margin, high + margin, size).T
    grid = np.stack(np.meshgrid(x, y), axis=-1).astype(np.float32)
    density = np.exp(distribution.log_prob(grid.reshape(-1, 2)).numpy())
    return x, y, density.reshape(size, size)
