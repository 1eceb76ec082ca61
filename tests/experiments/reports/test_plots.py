"""Every plot writes a picture that is not blank."""

import warnings

import matplotlib.image
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib import font_manager

from experiments.reports import plots

RNG = np.random.default_rng(0)
POINTS, OTHERS = RNG.normal(size=(2, 200, 2))
TABLE, SAMPLED_TABLE = RNG.normal(size=(2, 200, 3))
IMAGES, SAMPLED_IMAGES = RNG.random(size=(2, 30, 8, 8))
COLOURS = RNG.random(size=(30, 8, 8, 3))
AXIS = np.linspace(-3.0, 3.0, 20)
HISTORY = {"loss": [3.0, 2.0, 1.5], "val_loss": [2.5, 2.0, 2.1]}

CALLS = {
    "density": lambda path: plots.density_2d(
        POINTS, (AXIS, AXIS, np.exp(-(AXIS**2) - AXIS[:, None] ** 2)), OTHERS, path
    ),
    "marginals": lambda path: plots.marginals(TABLE, SAMPLED_TABLE, path, labels="abc"),
    "pairs": lambda path: plots.pairs(TABLE, SAMPLED_TABLE, path, labels="abc"),
    "images": lambda path: plots.image_grids({"a": IMAGES, "b": SAMPLED_IMAGES}, path),
    "coloured_images": lambda path: plots.image_grids({"a": COLOURS, "b": COLOURS}, path),
    "rows": lambda path: plots.image_rows(
        [("a", IMAGES[:9]), ("b", COLOURS[:9]), ("c", IMAGES[:9]), ("d", IMAGES[:9])], path
    ),
    "histograms": lambda path: plots.overlaid_histograms(
        {"a": POINTS[:, 0], "b": POINTS[:, 1]}, path, label="bits", title="t"
    ),
    "few_pairs": lambda path: plots.image_pairs(
        IMAGES[:7], SAMPLED_IMAGES[:7], path, title="t"
    ),
    "coloured_pairs": lambda path: plots.image_pairs(COLOURS, COLOURS, path, title="t"),
    "columns": lambda path: plots.image_grids(
        {"a": IMAGES[:3], "b": IMAGES[:3]}, path, rows=3, columns=1
    ),
    "curve": lambda path: plots.learning_curve(HISTORY, path, title="a flow"),
    "curve_of_one_epoch": lambda path: plots.learning_curve(
        {"loss": [1.0], "val_loss": [1.0]}, path, title="a flow"
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_picture_is_written_and_not_blank_and_no_figure_left_open(name, tmp_path):
    path = tmp_path / "picture.png"
    before = plots.plt.get_fignums()
    CALLS[name](path)
    assert plots.plt.get_fignums() == before
    pixels = matplotlib.image.imread(path)
    assert min(pixels.shape[:2]) > 100
    assert pixels[..., :3].std() > 0.02


def constant(value):
    """`TABLE` with a column that is `value` throughout."""
    table = TABLE.astype(np.float32)
    table[:, 1] = value
    return table


NEAR, FAR = SAMPLED_TABLE + np.array([0.0, 3.0, 0.0]), SAMPLED_TABLE + 1e6
SPREAD_OF = {
    "samples": (constant(3.0), NEAR),
    "no samples": (constant(1e6), constant(1e6)),
    "no finite samples": (constant(3.0), np.full_like(TABLE, np.inf)),
    "data without the samples'": (TABLE, FAR),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", SPREAD_OF)
@pytest.mark.parametrize("draw", [plots.marginals, plots.pairs])
def test_columns_without_a_range_are_drawn(draw, name, tmp_path, monkeypatch):
    heights = []
    hist = plt.Axes.hist
    monkeypatch.setattr(
        plt.Axes, "hist", lambda *args, **kw: heights.append(hist(*args, **kw)[0])
    )
    draw(*SPREAD_OF[name], tmp_path / "picture.png", labels="abc")
    assert len(heights) == 6  # of data and samples, for each column
    assert all(np.isfinite(values).all() for values in heights)
    assert all(values.any() for values in heights[::2])
    if name == "samples":
        assert all(values.any() for values in heights)


def test_limits_leave_out_outliers_but_no_constant():
    low, high = plots.limits(constant(3.0), NEAR).T
    assert low[0] > TABLE[:, 0].min() - 0.5
    assert high[0] < TABLE[:, 0].max() + 0.5
    assert low[1] < 3.0 < high[1]
    assert high[1] - low[1] > 3.0
    (low, high), *_ = plots.limits(constant(1e6)[:, 1:], constant(1e6)[:, 1:])
    assert np.float32(low) < np.float32(1e6) < np.float32(high)


def test_image_grid_keeps_every_image_whole():
    images = np.arange(4 * 6, dtype=float).reshape(4, 2, 3)
    grid = plots.tile(images, 2, 2)
    np.testing.assert_array_equal(grid[:2, :3], images[0])
    np.testing.assert_array_equal(grid[:2, 4:], images[1])
    np.testing.assert_array_equal(grid[3:, 4:], images[3])


def test_a_picture_that_is_cut_off_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "old.png"
    path.write_bytes(b"old")

    def cut_off(figure, target, **kwargs):
        with open(target, "wb") if isinstance(target, type(path)) else target as file:
            file.write(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(plt.Figure, "savefig", cut_off)
        with pytest.raises(KeyboardInterrupt):
            plots.save(plt.figure(), path)
    assert path.read_bytes() == b"old"
    plots.save(plt.figure(), path)
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.fixture
def drawn(tmp_path):
    """Draws a title thrice, and returns the fonts that it got and what was warned of."""

    def draw(title):
        plots._family_with.cache_clear()
        plots._warn_of_boxes.cache_clear()
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            for k in range(3):
                figure, axis = plt.subplots()
                axis.set_title(title)
                plots.save(figure, tmp_path / f"{k}.png")
        return axis.title.get_fontfamily(), [str(warning.message) for warning in told]

    return draw


def test_letters_come_from_an_installed_font_that_has_them(drawn):
    assert drawn("größe − μ") == (["sans-serif"], [])
    families, told = drawn(
        "a \u1d8d"
    )  # of STIX, which comes with Matplotlib, not of DejaVu
    assert families[0] == "sans-serif"
    assert families[1].startswith("STIX")
    assert told == []


def test_letters_that_no_font_has_are_told_in_one_line(drawn, monkeypatch):
    fonts = font_manager.fontManager.ttflist
    dejavu = [font for font in fonts if font.name in ("DejaVu Sans", "Last Resort")]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", dejavu)
    families, (line,) = drawn("温度 (K)")
    assert families == ["sans-serif"]
    assert line.startswith("Boxes in pictures stand for letters that no installed font has")
