"""Pictures of degenerate data, cut off pictures, and letters of any language."""

import warnings

import matplotlib.image
import matplotlib.pyplot as plt
import numpy as np
import pytest

from experiments.reports import plots

RNG = np.random.default_rng(0)
TABLE, SAMPLED_TABLE = RNG.normal(size=(2, 200, 3))


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
def test_columns_without_a_range_are_drawn(draw, name, tmp_path):
    before = plt.get_fignums()
    draw(*SPREAD_OF[name], tmp_path / "picture.png", labels="abc")
    assert plt.get_fignums() == before
    assert matplotlib.image.imread(tmp_path / "picture.png")[..., :3].std() > 0.02


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
