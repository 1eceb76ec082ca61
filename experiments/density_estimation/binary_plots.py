"""The picture of the moments of zeros and ones."""

import matplotlib.pyplot as plt
import numpy as np

from experiments.reports.plots import save

_FLOW = "#d1603d"


def moments(data, samples, path):
    """Draws the means and covariances of samples against those of data, `[N, D]`.

    Points are on the diagonal, but for the chance of the draws, where the model is right.
    """
    upper = np.triu_indices(data.shape[1], 1)
    covariances = [np.cov(x, rowvar=False)[upper] for x in (data, samples)]
    panels = {
        "share of ones of a variable": [x.mean(axis=0) for x in (data, samples)],
        "covariance of two variables": covariances,
    }
    figure, axes = plt.subplots(1, 2, figsize=(10, 5), layout="constrained")
    for axis, (title, (of_data, of_samples)) in zip(axes, panels.items(), strict=True):
        axis.axline((0.0, 0.0), slope=1.0, color="0.6", linewidth=0.8)
        axis.scatter(of_data, of_samples, s=5, alpha=0.3, color=_FLOW, rasterized=True)
        axis.set(title=title, xlabel="test rows", ylabel="samples")
    save(figure, path)
