"""Which pictures a run on images gets."""

import functools

import numpy as np
import tensorflow as tf

import tfp_flows
from experiments.density_estimation import diagnostics
from experiments.density_estimation import image_levels
from experiments.reports import image_plots

__all__ = ["of_images"]

_TEMPERATURES = (0.7, 1.0)
_SIDE = 10
_COLUMNS = 10
_INTERPOLATED_PAIRS = 6
_SEARCHED_ROWS = 20_000
_ROWS_FOR_MEANS = 500
_AMOUNTS = (-1.0, -0.5, 0.0, 0.5, 1.0, 1.5)
_CHANGES = ((0, 1), (3, 8), (4, 9), (7, 1))  # of the first class into the second


def of_images(subject):
    """Returns (caption, function of `path`) by file name, the most telling first.

    Args:
      subject: a `Subject` of images.
    """
    draws = {"samples.png": ("Test images, and samples of the flow.", _draw_samples)}
    if diagnostics.has_latents(subject.distribution):
        draws |= _of_latents(subject)
    return {
        name: (caption, functools.partial(draw, subject))
        for name, (caption, draw) in draws.items()
    }


def _of_latents(subject):
    text = " and ".join(f"{t:g}" for t in _TEMPERATURES)
    caption = f"Test images, and samples of the flow at temperatures {text}."
    name = "samples.png"
    if subject.context is not None:  # whose samples by class bear that name
        caption = f"Test images, and samples given their classes at temperatures {text}."
        name = "temperatures.png"
    draws = {
        name: (caption, _draw_temperatures),
        "nearest.png": (
            "Samples, and the training image that is nearest to each by squared distance, "
            f"of {min(_SEARCHED_ROWS, len(subject.dataset.train)):,}.",
            _draw_nearest,
        ),
        "reconstructions.png": (
            "Test images, and what the flow makes of their latents.",
            _draw_reconstructions,
        ),
    }
    if subject.context is None:
        draws["interpolations.png"] = (
            "Straight lines between the latents of two test images, the ends of each row.",
            _draw_interpolations,
        )
        if subject.dataset.train_classes is not None:
            draws["attributes.png"] = (
                "Test images, moved by the difference of the mean latents of two classes "
                f"of training images, times {', '.join(f'{a:g}' for a in _AMOUNTS)}.",
                _draw_attributes,
            )
    if image_levels.latent_sizes(subject.distribution):
        draws["levels.png"] = (
            "Test images, of which the latents of the finest level are drawn anew, then "
            "those of the next one too, and so on.",
            _draw_levels,
        )
    return draws


def _draw_samples(subject, path):
    panels = {"data (test)": subject.data, "samples of the flow": subject.samples}
    image_plots.grids({k: _images(subject, v) for k, v in panels.items()}, path)


def _draw_temperatures(subject, path):
    panels = {"data (test)": subject.data}
    for temperature in _TEMPERATURES:
        tempered = tfp_flows.at_temperature(subject.distribution, temperature)
        samples = _sample(tempered, subject)
        panels[f"samples, temperature {temperature:g}"] = samples
    image_plots.grids({k: _images(subject, v) for k, v in panels.items()}, path)


def _sample(distribution, subject):
    """Samples to fill a grid; as many as there is context for, if the flow is given one."""
    seed = subject.settings.seed
    if subject.context is None:
        return distribution.sample(_SIDE**2, seed=seed)
    return distribution.sample(seed=seed, context=subject.context[: _SIDE**2])


def _draw_nearest(subject, path):
    samples = np.nan_to_num(subject.samples[:_COLUMNS])
    rng = np.random.default_rng(subject.settings.seed)
    train = subject.dataset.train
    train = train[rng.permutation(len(train))[:_SEARCHED_ROWS]]
    distances = [np.sum((train - sample) ** 2, axis=1) for sample in samples]
    nearest = train[np.argmin(distances, axis=1)]
    labelled = [("samples", samples), ("nearest", nearest)]
    image_plots.rows([(k, _images(subject, v)) for k, v in labelled], path)


def _draw_reconstructions(subject, path):
    data = subject.data[:_COLUMNS]
    kwargs = _context_of(subject, _COLUMNS)
    z, _ = subject.distribution.bijector.inverse_and_log_det(data, **kwargs)
    again, _ = subject.distribution.bijector.forward_and_log_det(z, **kwargs)
    error = np.max(np.abs(again - data))
    labelled = [("data (test)", data), (f"there and back\n(within {error:.0e})", again)]
    image_plots.rows([(k, _images(subject, v)) for k, v in labelled], path)


def _draw_interpolations(subject, path):
    pairs = min(_INTERPOLATED_PAIRS, len(subject.data) // 2)
    starts, ends = subject.data[:pairs], subject.data[pairs : 2 * pairs]
    points = tfp_flows.interpolate(subject.distribution, starts, ends, _COLUMNS)
    lines = np.swapaxes(points, 0, 1)
    image_plots.rows([("", _images(subject, line)) for line in lines], path)


def _draw_attributes(subject, path):
    """Moves test images of one class towards another."""
    dataset, labelled = subject.dataset, []
    for source, target in _CHANGES:
        having, lacking = (
            dataset.train[dataset.train_classes == c][:_ROWS_FOR_MEANS]
            for c in (target, source)
        )
        direction = tfp_flows.attribute_direction(subject.distribution, having, lacking)
        x = dataset.test[np.argmax(dataset.test_classes == source)]
        moved = tfp_flows.move_along(subject.distribution, x, direction, _AMOUNTS)
        names = dataset.attribute_names
        label = f"{names[source]} to {names[target]}"
        labelled.append((label, _images(subject, moved)))
    image_plots.rows(labelled, path)


def _draw_levels(subject, path):
    context = None if subject.context is None else subject.context[:_COLUMNS]
    levels = image_levels.resample_levels(
        subject.distribution, subject.data[:_COLUMNS], context, seed=subject.settings.seed
    )
    labels = ["data (test)", "finest level anew"]
    labels += [f"{count} levels anew" for count in range(2, len(levels))]
    pairs = zip(labels, levels, strict=True)
    image_plots.rows([(k, _images(subject, v)) for k, v in pairs], path)


def _context_of(subject, count):
    return {} if subject.context is None else {"context": subject.context[:count]}


def _images(subject, rows):
    return subject.dataset.as_images(np.asarray(tf.convert_to_tensor(rows)))
