"""The code of README runs as it stands, with the reader's own data put in."""

import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def a_table():
    pandas = pytest.importorskip("pandas")
    rng = np.random.default_rng(0)
    size = rng.gamma(3.0, size=400)
    city = rng.choice(["Ulm", "Bern"], size=400)
    return {"frame": pandas.DataFrame({"size": size, "city": city})}


def a_model():
    tfd = tfp.distributions
    parts = {
        "mean": tfd.Normal(0.0, 1.0),
        "rows": lambda mean: tfd.Normal(mean * tf.ones(3), 1.0),
    }
    model = tfd.JointDistributionNamedAutoBatched(parts)
    return {"pinned_model": model.experimental_pin(rows=[0.5, 1.0, 1.5])}


def zeros_and_ones():
    return {"x": np.random.default_rng(0).integers(0, 2, size=(20, 784)).astype("f4")}


# What a block takes as given, by a word that it has.
GIVEN = {"(frame)": a_table, "(pinned_model": a_model, "vae.": zeros_and_ones}


@pytest.mark.slow
def test_blocks_of_readme_run_one_after_another(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names, used = {}, set()
    for number, block in enumerate(BLOCKS):
        for word, data in GIVEN.items():
            if word in block:
                names |= data()
                used.add(word)
        exec(compile(block, f"block {number} of README", "exec"), names)
    assert used == GIVEN.keys()
    assert names["posterior"].report.verdict == "reliable"
    assert names["pixels"].shape == [16, 784]


def test_how_to_cite_names_the_version():
    version = f"version: {tfp_flows.__version__}\n"
    assert version in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    page = (ROOT / "docs" / "cite.md").read_text(encoding="utf-8")
    assert f"{{{tfp_flows.__version__}}}" in page
