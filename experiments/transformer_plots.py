"""Draws the elementwise maps of flows and their slopes, for some parameters.

python -m experiments.transformer_plots [--picture=PATH]
"""

import dataclasses
import pathlib
import sys

import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf

from experiments.command_line import program
from experiments.command_line.flag_settings import FlagSettings, field
from experiments.reports import plots
from tfp_flows import transformers

# Title -> transformer, half the width of the picture, and scale of the parameters.
_MAPS = {
    "rational-quadratic spline": (transformers.RationalQuadraticSpline(8, 3.0), 4.0, 1.0),
    "spline on the circle": (transformers.CircularSpline(8), np.pi, 1.0),
    "mixture CDF": (transformers.MixtureCDF(4), 4.0, 1.0),
    "cubic rational": (transformers.CubicRational(), 4.0, 1.5),
    "sinh conjugation": (transformers.SinhConjugation(), 4.0, 1.0),
    "cubic conjugation": (transformers.CubicConjugation(), 4.0, 1.5),
    "affine": (transformers.Affine(), 4.0, 0.7),
    "tail": (transformers.Tail(), 4.0, 1.0),
}
_NUM_DRAWN = 4
_SIZE = 801


@dataclasses.dataclass(frozen=True)
class PlotSettings(FlagSettings):
    """The path of the picture."""

    PROGRAM = "transformer_plots"

    picture: str = field("transformers.png", "Path of the picture.")


def draw(path):
    """Draws a column for each map: the map above, its slope below, four parameters each.

    The first parameters are zeros, the initial output of a network.
    """
    columns = len(_MAPS) // 2
    figure, axes = plt.subplots(
        4, columns, figsize=(3.2 * columns, 9.5), sharex="col", layout="constrained"
    )
    for i, (title, drawn) in enumerate(_MAPS.items()):
        row, column = divmod(i, columns)
        _draw_map(axes[2 * row, column], axes[2 * row + 1, column], title, *drawn)
    for axis in axes[:, 0]:
        axis.set_ylabel("slope" if axis in axes[1::2, 0] else "y")
    plots.save(figure, path)


def _draw_map(above, below, title, transformer, reach, spread):
    x = np.linspace(-reach, reach, _SIZE)
    rng = np.random.default_rng(0)
    for i in range(_NUM_DRAWN):
        drawn = rng.normal(scale=spread if i else 0.0, size=(transformer.num_parameters, 1))
        parameters = tf.constant(np.tile(drawn, [1, _SIZE]))
        y, log_slope = transformer.forward_and_log_det(tf.constant(x), parameters)
        color = f"C{i}" if i else "black"
        y, slope = y.numpy(), np.exp(np.broadcast_to(log_slope, x.shape))
        # NaN, so that no line crosses the cut of the circle.
        y[1:][np.diff(y) < 0.0] = np.nan
        above.plot(x, y, color=color, linewidth=1.2)
        below.plot(x, slope, color=color, linewidth=1.2)
    above.set_title(title)
    above.set_ylim(-1.5 * reach, 1.5 * reach)
    below.set_yscale("log")
    below.set_ylim(1e-2, 1e2)


@program.command(PlotSettings, description=__doc__)
def main(settings):
    """Draws the picture."""
    pathlib.Path(settings.picture).parent.mkdir(parents=True, exist_ok=True)
    draw(settings.picture)
    print(f"Picture: {settings.picture}")


if __name__ == "__main__":
    sys.exit(main(sys.argv))
