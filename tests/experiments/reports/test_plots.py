"""Pictures of degenerate data, and pictures that are cut off."""

import matplotlib.image
import matplotlib.pyplot as plt
import numpy as np
import pytest

from experiments.reports import plots

RNG = np.random.default_rng(0)
TABLE, SAMPLED_TABLE = RNG.normal(size=(2, 200, 3))


def constant(value):
    """`TABLE` with `value` in all of its second column."""
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


def test_dollar_signs_are_no_formulas(tmp_path):
    names = ["$^$", "US$ of 2020 in 1,000 US$", "$"]
    plots.marginals(TABLE, SAMPLED_TABLE, tmp_path / "picture.png", labels=names)


def test_logarithmic_axes_have_powers_of_ten(tmp_path):
    figure, axis = plt.subplots()
    axis.set(yscale="log", ylim=(1e-9, 1.0))
    plots.save(figure, tmp_path / "picture.png")
    assert all(label.get_parse_math() for label in axis.get_yticklabels())


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
