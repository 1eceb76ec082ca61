"""Pictures of rows, images and training: functions (arrays, path) -> None."""

import io
import pathlib
import warnings

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.text import Text

from experiments.reports.fonts import choose_fonts
from experiments.runs.atomic_write import atomic_write

DOTS_PER_INCH = 120
DATA, FLOW = "#33608c", "#d1603d"  # colours
MAX_HISTOGRAMS = 12


def density_2d(data, density, samples, path):
    """Draws data, the flow's density and samples side by side.

    Data and samples are `[N, 2]` and `[M, 2]`; the density is `(x, y, values [Y, X])`.
    """
    low, high = data.min(axis=0), data.max(axis=0)
    margin = 0.08 * (high - low)
    width, height = high - low + 2.0 * margin
    size = (13.5, 4.2 * min(height / width, 1.5) + 0.8)
    figure, axes = plt.subplots(
        1, 3, figsize=size, sharex=True, sharey=True, layout="constrained"
    )
    for axis in axes:
        axis.set(xlabel="x", aspect="equal")
    ends = np.stack([low - margin, high + margin])
    axes[0].set(xlim=ends[:, 0], ylim=ends[:, 1], ylabel="y")
    _scatter(axes[0], data, DATA, f"data (test, {len(data):,} points)")
    mesh = axes[1].pcolormesh(*density, cmap="viridis", shading="auto", rasterized=True)
    axes[1].set_title("density of the flow")
    _scatter(axes[2], samples, FLOW, f"samples of the flow ({len(samples):,})")
    figure.colorbar(mesh, ax=axes, label="density", aspect=30, pad=0.01)
    save(figure, path)


def marginals(data, samples, path, *, labels):
    """Draws the histogram of each column of data and of samples, `[N, D]`."""
    figure, axes = grid(len(labels), 3, (4.2, 3.0))
    ends = _limits(data, samples)
    for i, axis in enumerate(axes.flat[: len(labels)]):
        _histograms(axis, data[:, i], samples[:, i], ends[i], max_bins=60)
        axis.set(xlabel=labels[i], ylabel="density")
    axes[0, 0].legend(frameon=False)
    save(figure, path)


def pairs(
    data,
    samples,
    path,
    *,
    labels,
    names=("data (test)", "samples of the flow"),
    max_points=2000,
):
    """Draws every pair of columns: data above the diagonal, samples below it.

    Args:
      data: `[N, D]`.
      samples: `[N, D]`.
      path: path of the picture.
      labels: D names.
      names: names of data and samples.
      max_points: maximum number of rows to draw.
    """
    size = len(labels)
    figure, axes = plt.subplots(
        size, size, figsize=(1.9 * size + 0.6, 1.9 * size + 0.8), layout="constrained"
    )
    ends = _limits(data, samples)
    for (row, column), axis in np.ndenumerate(axes):
        if row == column:
            _histograms(axis, data[:, row], samples[:, row], ends[row], max_bins=40)
            axis.set_yticks([])
        else:
            points, color = (data, DATA) if row < column else (samples, FLOW)
            x, y = points[:max_points, column], points[:max_points, row]
            axis.scatter(x, y, **_dots(len(x)), color=color, linewidths=0, rasterized=True)
            axis.set_ylim(ends[row])
        axis.set_xlim(ends[column])
        # The first row has its scale on the right, since its leftmost panel is a density.
        axis.tick_params(
            labelsize=7,
            labelbottom=row == size - 1,
            labelleft=column == 0 < row,
            right=row == 0 and column == size - 1,
            labelright=row == 0 and column == size - 1,
        )
        if row == size - 1:
            axis.set_xlabel(labels[column], fontsize=8)
        if column == 0:
            axis.set_ylabel(labels[row], fontsize=8)
    handles = [plt.Line2D([], [], marker="o", ls="", color=c) for c in (DATA, FLOW)]
    figure.legend(handles, names, loc="outside upper center", ncols=2, frameon=False)
    save(figure, path)


def calibration(u, distances, path):
    """Draws the histogram of each column, with the band of 95 % of uniform numbers.

    `u` are numbers in (0, 1), `[N, D]`. The picture shows the `MAX_HISTOGRAMS` columns with
    the greatest Kolmogorov-Smirnov `distances`, `[D]`.
    """
    chosen = np.sort(np.argsort(-distances)[:MAX_HISTOGRAMS])
    figure, axes = grid(len(chosen), 4, (max(3.0, 4.5 / len(chosen)), 2.7), sharey=True)
    for axis, column in zip(axes.flat, chosen, strict=False):
        _uniform_histogram(axis, u[:, column])
        axis.set_title(f"z[{column}]: KS distance {distances[column]:.3f}", fontsize=10)
    for axis in axes[:, 0]:
        axis.set_ylabel("density")
    axes[0, 0].set_ylim(bottom=0.0)
    save(figure, path)


def learning_curve(history, path, *, title, label="mean log-likelihood (nats)", best=None):
    """Draws the log-likelihood over the epochs, on training and validation rows.

    `label` is name and unit of the negative loss. `best` is the index of the best epoch, by
    default that of the least `val_loss`.
    """
    figure, axis = plt.subplots(figsize=(6.5, 4), layout="constrained")
    epochs = np.arange(1, len(history["loss"]) + 1)
    train, validation = -np.asarray(history["loss"]), -np.asarray(history["val_loss"])
    best = int(np.nanargmax(validation)) if best is None else best
    best_label = f"best: {validation[best]:.3f}"
    axis.plot(epochs, train, color=DATA, label="training")
    axis.plot(epochs, validation, color=FLOW, label="validation")
    axis.plot(epochs[best], validation[best], "o", color=FLOW, label=best_label)
    axis.set_ylim(_range_of_interest(np.concatenate([train, validation]), validation[best]))
    axis.set(title=title, xlabel="epoch", ylabel=label)
    axis.grid(alpha=0.3)
    axis.legend(frameon=False, loc="lower right")
    save(figure, path)


def overlaid_histograms(values, path, *, label, title):
    """Draws histograms of several sets of numbers, `[N]` by name, over each other.

    `label` is the name of the numbers.
    """
    low, high = np.quantile(np.concatenate(list(values.values())), [0.002, 0.998])
    figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
    for name, numbers in values.items():
        axis.hist(numbers, np.linspace(low, high, 80), density=True, alpha=0.55, label=name)
    axis.set(xlabel=label, ylabel="density", title=title)
    axis.legend(frameon=False)
    save(figure, path)


def images_by_class(data, samples, path, *, class_names):
    """Draws a row of images and of sampled ones for each class.

    Data and samples are C arrays of images each, `[n, H, W]`, where n may differ.
    """
    columns, height = max(map(len, [*data, *samples])), samples[0].shape[1]
    titles = "data (test)", "samples of the flow, given the class"
    figure, axes = plt.subplots(1, 2, figsize=(9, 4.8), layout="constrained")
    for axis, rows, title in zip(axes, (data, samples), titles, strict=True):
        tiles = [tile(images, 1, columns) for images in rows]
        grid = np.concatenate([_with_line_below(tile) for tile in tiles])[:-1]
        axis.imshow(grid, cmap="gray_r", vmin=0.0, vmax=1.0)
        middles = (height + 1) * np.arange(len(class_names)) + (height - 1) / 2
        axis.set(title=title, xticks=[])
        axis.set_yticks(middles, class_names)
        axis.tick_params(length=0)
    save(figure, path)


def image_grids(panels, path, *, rows=10, columns=10):
    """Draws a grid of images for each of `panels`, side by side.

    The images of a title are `[N, H, W]` or `[N, H, W, 3]`.
    """
    inches = 0.47 if columns > 1 else 1.2
    size = (inches * columns * len(panels), inches * rows + 0.6)
    figure, axes = plt.subplots(1, len(panels), figsize=size, layout="constrained")
    for axis, (title, images) in zip(axes, panels.items(), strict=True):
        axis.set_title(title, fontsize=12 if columns > 1 else 9)
        show_image(axis, tile(images, rows, columns))
    save(figure, path)


def image_rows(labelled, path):
    """Draws rows of images: pairs of a label, on the left, and images.

    The images are `[n, H, W]` or `[n, H, W, 3]`.
    """
    count = len(labelled)
    columns = max(len(images) for _, images in labelled)
    figure, axes = plt.subplots(
        count,
        1,
        figsize=(0.8 * columns + 2.2, 0.85 * count + 0.2),
        squeeze=False,
        layout="constrained",
    )
    for axis, (label, images) in zip(axes[:, 0], labelled, strict=True):
        show_image(axis, tile(images, 1, columns))
        axis.set_ylabel(label, rotation=0, ha="right", va="center")
        axis.spines[:].set_visible(False)
    save(figure, path, bbox_inches="tight")  # so that labels fit


def draw_all(pictures, run_dir):
    """Draws the pictures of a run and returns their captions by file name.

    `pictures` are pairs of a caption and a function of the path, by file name.
    """
    for name, (_, draw_to) in pictures.items():
        draw_to(path=pathlib.Path(run_dir) / name)
    return {name: caption for name, (caption, _) in pictures.items()}


def grid(count, max_columns, size, **options):
    """Opens a figure of panels, `[rows, columns]`, of which the first `count` are shown.

    Args:
      count: number of panels.
      max_columns: largest number of columns.
      size: width and height of a panel, in inches.
      **options: options of `plt.subplots`.
    """
    columns = min(max_columns, count)
    rows = -(-count // columns)
    options = {"figsize": (size[0] * columns, size[1] * rows), "squeeze": False} | options
    figure, axes = plt.subplots(rows, columns, layout="constrained", **options)
    for axis in axes.flat[count:]:
        axis.set_visible(False)
    return figure, axes


def show_image(axis, image):
    """Draws an image without ticks; 0 is white."""
    axis.imshow(image, cmap="gray_r", vmin=0.0, vmax=1.0)
    axis.set(xticks=[], yticks=[])


def tile(images, rows, columns):
    """Joins up to `rows * columns` images into one, with a white line between them.

    In grey images, `[N, H, W]`, 0 is white; in colour images, `[N, H, W, 3]`, 1 is white.
    """
    is_grey = images.ndim == 3
    blank = 0.0 if is_grey else 1.0
    colours = [] if is_grey else [(0, 0)]
    images = images[: rows * columns]
    missing = rows * columns - len(images)
    pads = [(0, missing), (0, 0), (0, 0), *colours]
    images = np.pad(images, pads, constant_values=blank)
    images = np.pad(images, [(0, 0), (0, 1), (0, 1), *colours], constant_values=blank)
    height, width, *channels = images.shape[1:]
    grid = images.reshape(rows, columns, height, width, *channels).swapaxes(1, 2)
    grid = grid.reshape(rows * height, columns * width, *channels)[:-1, :-1]
    return grid if is_grey else np.clip(grid, 0.0, 1.0)


def save(figure, path, **kwargs):
    """Writes a figure and closes it; `kwargs` go to `savefig`.

    The file is replaced at once, so an interruption leaves the old picture. `path` may also
    be an open binary file, which gets a PNG.
    """
    for text in figure.findobj(Text):
        # Dollar signs are part of a column's name, but for powers of ten at an axis.
        if "$" in text.get_text() and r"\mathdefault" not in text.get_text():
            text.set_parse_math(False)
    choose_fonts(figure)
    content, is_file = io.BytesIO(), hasattr(path, "write")
    ending = "png" if is_file else pathlib.Path(path).suffix[1:]
    try:
        with warnings.catch_warnings():
            # `choose_fonts` warns once.
            warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from font")
            figure.savefig(content, format=ending, dpi=DOTS_PER_INCH, **kwargs)
    finally:
        plt.close(figure)
    if is_file:
        path.write(content.getvalue())
    else:
        atomic_write(path, content.getvalue())


def _range_of_interest(values, best):
    """Limits of the axis, without the first epochs, which are often far worse."""
    values = values[np.isfinite(values)]
    low = min(np.quantile(values, 0.05), best - 0.1)
    return low, values.max() + 0.05 * (values.max() - low)


def _dots(count):
    """Returns the size and opacity of dots: smaller and fainter when there are many."""
    return {"s": np.clip(4000 / count, 3, 12), "alpha": np.clip(500 / count, 0.35, 0.7)}


def _scatter(axis, points, color, title):
    axis.scatter(
        *points.T, **_dots(len(points)), color=color, linewidths=0, rasterized=True
    )
    axis.set_title(title)


def _limits(data, samples):
    """Returns the limits in which each column is drawn, `[D, 2]`, float64.

    These are the 0.1 % and 99.9 % quantiles of the data, `[N, D]`. If the data are
    constant, the samples, `[M, D]`, count too.
    """
    ends = _range(data)
    finite = samples[np.isfinite(samples).all(axis=1)]
    ends_of_both = _range(np.concatenate([data, finite]))
    low, high = np.where(ends[0] < ends[1], ends, ends_of_both)
    # A column that is constant in both needs a width above rounding error.
    margin = 0.06 * (high - low) + 1e-6 * np.maximum(1.0, np.abs(high))
    return np.stack([low - margin, high + margin], axis=1)


def _range(rows):
    return np.quantile(rows.astype(np.float64), [0.001, 0.999], axis=0)


def _histograms(axis, data, samples, ends, max_bins):
    """Draws histograms as densities; values beyond the ends count too."""
    bins = np.linspace(*ends, int(np.clip(len(data) ** 0.5, 15, max_bins)))
    styles = (
        {"color": DATA, "alpha": 0.45, "label": "data (test)"},
        {"color": FLOW, "histtype": "step", "label": "samples"},
    )
    for values, style in zip((data, samples), styles, strict=True):
        weights = np.full(len(values), 1.0 / (len(values) * (bins[1] - bins[0])))
        axis.hist(values, bins, weights=weights, **style)


def _uniform_histogram(axis, u):
    bins = int(np.clip(len(u) // 50, 5, 20))
    # The share of each bin is binomial: mean 1 / bins.
    spread = 1.96 * np.sqrt((bins - 1) / len(u))
    axis.axhspan(1.0 - spread, 1.0 + spread, color="0.6", alpha=0.35, zorder=2)
    axis.hist(u, np.linspace(0.0, 1.0, bins + 1), density=True, color=FLOW, alpha=0.6)
    axis.axhline(1.0, color="0.3", linewidth=0.8)
    axis.set_xlim(0.0, 1.0)


def _with_line_below(tile):
    line = np.zeros_like(tile[:1]) if tile.ndim == 2 else np.ones_like(tile[:1])
    return np.concatenate([tile, line])
