"""What a fresh process does that knows only `tfp_flows` and the file of a model."""

import json
import sys

import keras
import numpy as np

import tfp_flows  # registers what the file holds


def main(folder):
    """Writes the mean log-likelihood of a table's rows, and quantiles of samples."""
    assert "experiments" not in sys.modules
    model = keras.saving.load_model(folder / "model.keras")
    assert isinstance(model, tfp_flows.DensityEstimator)
    rows = np.load(folder / "raw.npy")
    x, context = (
        rows[:, [c["position"] for c in model.columns if c["role"] == role]]
        for role in ("modelled", "context")
    )
    samples = model.distribution.sample(20, seed=0, context=context).numpy()
    quantiles = np.quantile(samples, [0.05, 0.5, 0.95], axis=(0, 1))
    answers = {
        "log_prob": model.distribution.log_prob(x, context=context),
        "predict": model.predict((x, context), verbose=0),
    }
    means = {name: float(np.mean(value)) for name, value in answers.items()}
    scored = {**means, "quantiles": quantiles.tolist()}
    (folder / "scored.json").write_text(json.dumps(scored))
