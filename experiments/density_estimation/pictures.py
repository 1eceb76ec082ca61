"""The pictures of a run of density estimation, chosen by the kind of its data."""

import functools

import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from matplotlib import collections

import tfp_flows
from experiments.density_estimation import diagnostics
from experiments.fitted import row_tables
from experiments.reports import plots
from experiments.reports.plots import DATA, FLOW, save

# Tables: maximum variables of the pairs; panels, columns and radius of the warped grid;
# sizes of the grids of densities.
_MAX_PAIRS = 6
_MAX_PANELS, _WARP_COLUMNS, _RADIUS = 10, 5, 2.5
_SIZE, _QUANTILES = 160, (0.05, 0.25, 0.5, 0.75, 0.95)
_ROWS, _GRID = 6, 400
# Binary images: numbers of test images, of completions of each, and of masks.
_NUM_IMAGES, _NUM_COMPLETIONS, _MAX_MASKS = 8, 6, 6
# Images: side of a square of samples; images per row; rows to search or to average.
_SIDE, _COLUMNS, _IMAGES_PER_CLASS, _INTERPOLATED_PAIRS = 10, 10, 10, 6
_SEARCHED_ROWS, _ROWS_FOR_MEANS = 20_000, 500
_TEMPERATURES = (0.7, 1.0)
_AMOUNTS = (-1.0, -0.5, 0.0, 0.5, 1.0, 1.5)
_CHANGES = ((0, 1), (3, 8), (4, 9), (7, 1))  # from the first class to the second


def draw(subject, history):
    """Draws the pictures of a run and returns their captions by file name."""
    size = subject.dataset.event_size
    pictures = _data_pictures(subject)
    if subject.prediction:
        caption = (
            "Share of test values below each quantile: on the line if the flow is right."
        )
        pictures["levels.png"] = caption, functools.partial(draw_levels, subject.prediction)
        if size == 1:
            caption = "Densities of a few test rows, given their context, and true values."
            pictures["predictions.png"] = (
                caption,
                functools.partial(draw_densities, subject),
            )
    if diagnostics.has_latents(subject.distribution):
        caption = (
            "Probability-integral transform of the latents of the test rows: flat, within "
            "the grey band of 95 %, if the flow is right."
        )
        if (shown := plots.MAX_HISTOGRAMS) < size:
            caption += f" The {shown} of {size} with the greatest deviation."
        draw_to = functools.partial(_draw_calibration, subject)
        pictures["calibration.png"] = caption, draw_to
    if history:
        title = f"{subject.settings.flow} on {subject.dataset.name}"
        draw_to = functools.partial(plots.learning_curve, history, title=title)
        pictures["learning_curve.png"] = "Mean log-likelihood over the epochs.", draw_to
    return plots.draw_all(pictures, subject.settings.run_dir)


def draw_fit(subject, path):
    """Draws data beside samples, as the picture of the training's progress."""
    _, draw_to = next(iter(_data_pictures(subject).values()))
    draw_to(path=path)


def _data_pictures(subject):
    """Returns (caption, function of `path`) by file name, the most informative first."""
    dataset = subject.dataset
    if dataset.is_binary:
        draws = _binary_pictures(subject)
    elif dataset.image_shape:
        draws = _image_pictures(subject)
    elif (dataset.event_size, dataset.context_size) == (2, 0):
        draws = {
            "density.png": (
                "Test rows, the flow's density, and samples of it.",
                _draw_density,
            )
        }
        if isinstance(getattr(subject.distribution, "bijector", None), tfp_flows.FlowChain):
            draws["warp.png"] = (
                "A grid of the latent plane, pushed through the flow step by step.",
                _draw_warp,
            )
    elif (dataset.event_size, dataset.context_size) == (1, 1):
        caption = "Test rows, and the density given x."
        draws = {"conditional.png": (caption, _draw_conditional)}
    else:
        draws = _column_pictures(dataset.labels)
    return {
        name: (caption, functools.partial(draw, subject))
        for name, (caption, draw) in draws.items()
    }


def _column_pictures(labels):
    draws = {"marginals.png": ("Each variable, of test rows and samples.", _draw_marginals)}
    if len(labels) > 1:
        caption = "Pairs of variables: test rows above the diagonal, samples below it."
        if len(labels) > _MAX_PAIRS:
            caption += f" The first {_MAX_PAIRS} of {len(labels)} variables."
        draws["pairs.png"] = (caption, _draw_pairs)
    return draws


def _draw_density(subject, path):
    low, high = subject.data.min(axis=0), subject.data.max(axis=0)
    margin = 0.08 * (high - low)
    x, y = np.linspace(low - margin, high + margin, 200).T
    grid = np.stack(np.meshgrid(x, y), axis=-1).astype(np.float32)
    density = np.exp(subject.distribution.log_prob(grid.reshape(-1, 2)).numpy())
    density = x, y, density.reshape(grid.shape[:2])
    plots.density_2d(subject.data, density, subject.samples, path)


def _draw_marginals(subject, path):
    plots.marginals(subject.data, subject.samples, path, labels=subject.dataset.labels)


def _draw_pairs(subject, path):
    first = slice(_MAX_PAIRS)
    data, samples = subject.data[:, first], subject.samples[:, first]
    plots.pairs(data, samples, path, labels=subject.dataset.labels[first])


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
    plots.calibration(u, diagnostics.ks_distance(u), path)


def _binary_pictures(subject):
    caption = "Means and covariances of samples against those of test rows."
    draws = {"moments.png": (caption, _draw_moments)}
    if not subject.dataset.image_shape:
        return draws
    draws = {
        "samples.png": ("Test images, and samples of the model.", _draw_samples)
    } | draws
    if subject.context is None:
        draws["completions.png"] = (
            "Test images, their upper halves, and completions drawn given these.",
            _draw_completions,
        )
    if subject.distribution.num_masks > 1:
        caption = "Samples under different masks of the cycle, a row each."
        draws["orderings.png"] = (caption, _draw_orderings)
    return draws


def _draw_completions(subject, path):
    height, width = subject.dataset.image_shape
    rows = subject.data[:_NUM_IMAGES]
    is_upper = np.arange(height * width) < height // 2 * width
    completed = [
        subject.distribution.impute(rows, is_upper, seed=seed).numpy()
        for seed in range(_NUM_COMPLETIONS)
    ]
    observed = np.where(is_upper, rows, 0.35)
    columns = {"test image": rows, "observed": observed}
    columns |= {f"completion {i + 1}": images for i, images in enumerate(completed)}
    shape = (-1, height, width)
    panels = {k: images.reshape(shape) for k, images in columns.items()}
    plots.image_grids(panels, path, rows=len(rows), columns=1)


def _draw_orderings(subject, path):
    distribution, shape = subject.distribution, (-1, *subject.dataset.image_shape)
    labelled = []
    for index in range(min(_MAX_MASKS, distribution.num_masks)):
        samples = distribution.sample(10, seed=subject.settings.seed, mask_index=index)
        labelled.append((f"mask {index + 1}", samples.numpy().reshape(shape)))
    plots.image_rows(labelled, path)


def _draw_moments(subject, path):
    """Draws means and covariances of samples against those of test rows.

    If the model is right, the points are on the diagonal, up to sampling error.
    """
    both = subject.data, subject.samples
    upper = np.triu_indices(subject.data.shape[1], 1)
    panels = {
        "share of ones of a variable": [x.mean(axis=0) for x in both],
        "covariance of two variables": [np.cov(x, rowvar=False)[upper] for x in both],
    }
    figure, axes = plt.subplots(1, 2, figsize=(10, 5), layout="constrained")
    for axis, (title, (from_data, from_samples)) in zip(axes, panels.items(), strict=True):
        axis.axline((0.0, 0.0), slope=1.0, color="0.6", linewidth=0.8)
        axis.scatter(from_data, from_samples, s=5, alpha=0.3, color=FLOW, rasterized=True)
        axis.set(title=title, xlabel="test rows", ylabel="samples")
    save(figure, path)


def _image_pictures(subject):
    draws = {"samples.png": ("Test images, and samples of the flow.", _draw_samples)}
    if diagnostics.has_latents(subject.distribution):
        draws |= _latent_pictures(subject)
    if subject.dataset.class_names:
        weight = subject.settings.guidance
        guidance = f" with guidance of weight {weight:g}" if weight else ""
        caption = "Test images, and samples of the flow given the class"
        caption = f"{caption}{guidance}: a row a class."
        draws["samples.png"] = (caption, _draw_by_class)
    return draws


def _latent_pictures(subject):
    text = " and ".join(f"{t:g}" for t in _TEMPERATURES)
    caption = f"Test images, and samples of the flow at temperatures {text}."
    name = "samples.png"
    if subject.context is not None:  # samples.png shows the samples by class
        caption = f"Test images, and samples given their classes at temperatures {text}."
        name = "temperatures.png"
    draws = {
        name: (caption, _draw_temperatures),
        "nearest.png": (
            "Samples, and the nearest training image of each by squared distance, "
            f"among {min(_SEARCHED_ROWS, len(subject.dataset.train)):,}.",
            _draw_nearest,
        ),
        "reconstructions.png": (
            "Test images, and their reconstructions from the latents.",
            _draw_reconstructions,
        ),
    }
    if subject.context is None:
        draws["interpolations.png"] = (
            "Interpolations between the latents of two test images, the ends of each row.",
            _draw_interpolations,
        )
        if subject.dataset.train_classes is not None:
            draws["attributes.png"] = (
                "Test images, moved by the difference of the mean latents of two classes "
                f"of training images, times {', '.join(f'{a:g}' for a in _AMOUNTS)}.",
                _draw_attributes,
            )
    if diagnostics.latent_sizes(subject.distribution):
        draws["levels.png"] = (
            "Test images with new latents in the finest level, then in the next level too, "
            "and so on.",
            _draw_levels,
        )
    return draws


def _draw_samples(subject, path):
    whose = "model" if subject.dataset.is_binary else "flow"
    panels = {"data (test)": subject.data, f"samples of the {whose}": subject.samples}
    plots.image_grids({k: _images(subject, v) for k, v in panels.items()}, path)


def _draw_temperatures(subject, path):
    panels = {"data (test)": subject.data}
    for temperature in _TEMPERATURES:
        tempered = tfp_flows.at_temperature(subject.distribution, temperature)
        samples = subject.sample(tempered, _SIDE**2)
        panels[f"samples, temperature {temperature:g}"] = samples
    plots.image_grids({k: _images(subject, v) for k, v in panels.items()}, path)


def _draw_nearest(subject, path):
    samples = np.nan_to_num(subject.samples[:_COLUMNS])
    rng = np.random.default_rng(subject.settings.seed)
    train = subject.dataset.train
    train = train[rng.permutation(len(train))[:_SEARCHED_ROWS]]
    distances = [np.sum((train - sample) ** 2, axis=1) for sample in samples]
    nearest = train[np.argmin(distances, axis=1)]
    labelled = [("samples", samples), ("nearest", nearest)]
    plots.image_rows([(k, _images(subject, v)) for k, v in labelled], path)


def _draw_reconstructions(subject, path):
    data = subject.data[:_COLUMNS]
    context = None if subject.context is None else subject.context[:_COLUMNS]
    bijector = subject.distribution.bijector
    z, _ = bijector.inverse_and_log_det(data, context=context)
    again, _ = bijector.forward_and_log_det(z, context=context)
    error = np.max(np.abs(again - data))
    labelled = [("data (test)", data), (f"there and back\n(within {error:.0e})", again)]
    plots.image_rows([(k, _images(subject, v)) for k, v in labelled], path)


def _draw_interpolations(subject, path):
    pairs = min(_INTERPOLATED_PAIRS, len(subject.data) // 2)
    starts, ends = subject.data[:pairs], subject.data[pairs : 2 * pairs]
    points = tfp_flows.distributions.interpolate(
        subject.distribution, starts, ends, _COLUMNS
    )
    lines = np.swapaxes(points, 0, 1)
    plots.image_rows([("", _images(subject, line)) for line in lines], path)


def _draw_attributes(subject, path):
    """Moves test images of one class towards another."""
    dataset, labelled = subject.dataset, []
    for source, target in _CHANGES:
        having, lacking = (
            dataset.train[dataset.train_classes == c][:_ROWS_FOR_MEANS]
            for c in (target, source)
        )
        direction = tfp_flows.distributions.attribute_direction(
            subject.distribution, having, lacking
        )
        x = dataset.test[np.argmax(dataset.test_classes == source)]
        moved = tfp_flows.distributions.move_along(
            subject.distribution, x, direction, _AMOUNTS
        )
        names = dataset.attribute_names
        label = f"{names[source]} to {names[target]}"
        labelled.append((label, _images(subject, moved)))
    plots.image_rows(labelled, path)


def _draw_levels(subject, path):
    context = None if subject.context is None else subject.context[:_COLUMNS]
    levels = diagnostics.resample_levels(
        subject.distribution, subject.data[:_COLUMNS], context, seed=subject.settings.seed
    )
    labels = ["data (test)", "new finest level"]
    labels += [f"{count} new levels" for count in range(2, len(levels))]
    pairs = zip(labels, levels, strict=True)
    plots.image_rows([(k, _images(subject, v)) for k, v in pairs], path)


def _images(subject, rows):
    return subject.dataset.as_images(np.asarray(tf.convert_to_tensor(rows)))


def _draw_conditional(subject, path):
    """Draws test rows, p(y | x) of the flow, its quantiles, and the true one if known."""
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
    given = np.float32(x)[:, None]
    lines = row_tables.quantiles(subject.distribution, 1, given, _QUANTILES)[:, 0]
    axes[1].plot(x, lines, color="white", linewidth=0.8)
    figure.colorbar(mesh, ax=axes, label="density", aspect=30, pad=0.01)
    for axis in axes:
        axis.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]), xlabel="x", ylabel="y")
    save(figure, path)


def _grid(values):
    margin = 0.05 * np.ptp(values)
    return np.linspace(values.min() - margin, values.max() + margin, _SIZE)


def _draw_warp(subject, path):
    """Draws a latent grid after each step of the flow, from latent to data side."""
    stages = warp(subject.distribution, _grid_lines())
    chosen = np.unique(np.linspace(0, len(stages) - 1, _MAX_PANELS).round().astype(int))
    figure, axes = plots.grid(len(chosen), _WARP_COLUMNS, (3.2, 3.3))
    for axis, stage in zip(axes.flat, chosen, strict=False):
        name, lines = stages[stage]
        _draw_lines(axis, lines)
        axis.set_title(f"{stage}. {name}" if stage else name, fontsize=10)
    save(figure, path)


def warp(distribution, lines):
    """Returns names and lines: of the latents, then after each bijector of a flow.

    The flow is in the plane. `lines` are L lines of P latent points each, `[L, P, 2]`.
    """
    stages = [("latent", lines)]
    # The list runs from the data side to the latent side.
    for bijector in distribution.bijector.bijectors[::-1]:
        flat = stages[-1][1].reshape(-1, 2)
        moved, _ = bijector.forward_and_log_det(flat)
        stages.append((bijector.name.replace("_", " "), moved.numpy().reshape(lines.shape)))
    name, moved = stages[-1]
    stages[-1] = (f"{name} = data", moved)
    return stages


def _grid_lines():
    """Returns vertical and then horizontal lines inside a circle, `[2L, P, 2]`."""
    place = np.linspace(-_RADIUS, _RADIUS, 23)[1:-1]
    half_length = np.sqrt(_RADIUS**2 - place**2)
    along = half_length[:, None] * np.linspace(-1.0, 1.0, 300)
    across = np.broadcast_to(place[:, None], along.shape)
    vertical = np.stack([across, along], axis=-1)
    return np.concatenate([vertical, vertical[..., ::-1]]).astype(np.float32)


def _draw_lines(axis, lines):
    half = len(lines) // 2
    for part, cmap in ((lines[:half], "viridis"), (lines[half:], "plasma")):
        shades = plt.get_cmap(cmap)(np.linspace(0.1, 0.9, half))
        axis.add_collection(collections.LineCollection(part, colors=shades, linewidths=0.7))
    # Limits by quantiles: a single far point would shrink the whole picture.
    points = lines.reshape(-1, 2)
    low, high = np.nanquantile(points, [0.002, 0.998], axis=0)
    middle, reach = (low + high) / 2.0, 0.55 * np.max(high - low) + 1e-6
    axis.set(
        xlim=(middle[0] - reach, middle[0] + reach),
        ylim=(middle[1] - reach, middle[1] + reach),
        aspect="equal",
    )
    axis.tick_params(labelsize=7)


def draw_densities(subject, path):
    """Draws p(y | x) and the true y of a few test rows, for one modelled variable.

    Sorted by their predicted medians, these rows are evenly spaced among all test rows.
    """
    dataset = subject.dataset
    found = diagnostics.quantiles(subject)[:, 0]
    by_median = np.argsort(found[:, found.shape[1] // 2])
    rows = by_median[np.linspace(0, len(by_median) - 1, _ROWS + 2).astype(int)[1:-1]]
    low, high = np.quantile(dataset.test, [0.002, 0.998])
    margin = 0.1 * (high - low)
    y = np.linspace(low - margin, high + margin, _GRID, dtype=np.float32)
    figure, axes = plt.subplots(2, 3, figsize=(10, 5), layout="constrained", sharex=True)
    for axis, row in zip(axes.flat, rows, strict=True):
        context = np.repeat(dataset.test_context[row : row + 1], _GRID, axis=0)
        density = np.exp(subject.distribution.log_prob(y[:, None], context=context))
        axis.plot(y, density, color=FLOW)
        inside = (found[row, 0] <= y) & (y <= found[row, -1])
        axis.fill_between(y, 0.0, density, where=inside, color=FLOW, alpha=0.25)
        axis.axvline(dataset.test[row, 0], color=DATA)
        axis.set_ylim(bottom=0.0)
    for axis in axes[-1]:
        axis.set_xlabel(dataset.labels[0])
    handles = [plt.Line2D([], [], color=c) for c in (FLOW, DATA)]
    names = ["density given the context, with its interval of 90 %", "true value (test)"]
    figure.legend(handles, names, loc="outside upper center", ncols=2, frameon=False)
    save(figure, path)


def draw_levels(found, path):
    """Draws the share of test values below the quantile of each level, for each method.

    `found` is the result of `prediction_scores`.
    """
    levels = np.array(found["levels"])
    figure, axis = plt.subplots(figsize=(5.6, 4.4), layout="constrained")
    error = 2.0 * np.sqrt(levels * (1.0 - levels) / found["num_rows"])
    axis.fill_between(levels, -error, error, color="0.85", label="two standard errors")
    for (name, scores), color in zip(
        found["methods"].items(), (FLOW, DATA, "0.4"), strict=True
    ):
        axis.plot(levels, np.array(scores["below"]) - levels, color=color, label=name)
    axis.set(xlabel="level", ylabel="share of values below the quantile, minus the level")
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    save(figure, path)
