"""A fresh process that knows only `tfp_flows` and the file of a model: scores raw rows."""

import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np

import tfp_flows  # registers what the file holds


def main(path, rows_path):
    """Prints the mean log-likelihood of a table's rows, and the quantiles of samples."""
    model = keras.saving.load_model(path)
    assert isinstance(model, tfp_flows.DensityEstimator)
    rows = np.load(rows_path)
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
    print(json.dumps({**means, "quantiles": quantiles.tolist()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
