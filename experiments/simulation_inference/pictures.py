"""The pictures of a run of `simulation_inference`."""

import matplotlib.pyplot as plt
import numpy as np

from experiments.reports import plots

_MAX_VARIABLES = 6
_NUM_BINS = 20


def draw(run_dir, report, reference, draws):
    """Draws the pictures of a `CalibrationReport`; returns their captions by file name.

    `draws` are those of the posterior of each observation, `[N, D]` each.
    """
    _ranks(report.ranks, run_dir / "ranks.png")
    _coverage(report.coverage, run_dir / "coverage.png")
    captions = {
        "ranks.png": "Ranks of the true parameters among posterior draws, of simulations "
        "that no training saw: uniform if the posterior is calibrated. Grey: 99 %.",
        "coverage.png": "Expected coverage: share of the true parameters in a region, by "
        "the probability that the posterior gives it. Above the diagonal: too wide.",
    }
    if reference is None:
        return captions
    first = slice(min(_MAX_VARIABLES, draws[0].shape[1]))
    expected = reference.draws[0][: len(draws[0]), first]
    plots.pairs(
        expected,
        draws[0][:, first],
        run_dir / "pairs.png",
        labels=[f"parameter {i + 1}" for i in range(expected.shape[1])],
        names=("reference", "amortised posterior"),
    )
    caption = "Observation 1: reference draws above the diagonal, the posterior's below."
    return {"pairs.png": caption} | captions


def _ranks(ranks, path):
    parameters = range(min(ranks.shape[1], 12))
    figure, axes = plots.grid(len(parameters), 4, (2.8, 2.2))
    expected = len(ranks) / _NUM_BINS
    margin = 2.58 * np.sqrt(expected * (1.0 - 1.0 / _NUM_BINS))
    for index, axis in zip(parameters, axes.flat, strict=False):
        axis.axhspan(max(expected - margin, 0.0), expected + margin, color="0.85")
        axis.hist(ranks[:, index], bins=_NUM_BINS, range=(0.0, 1.0), color=plots.FLOW)
        axis.set(title=f"parameter {index + 1}", xlabel="rank", ylabel="simulations")
    plots.save(figure, path)


def _coverage(coverage, path):
    figure, axis = plt.subplots(figsize=(4.6, 4.2), layout="constrained")
    share = np.arange(1, len(coverage) + 1) / len(coverage)
    axis.plot([0.0, 1.0], [0.0, 1.0], color="0.6", linewidth=1.0)
    axis.plot(np.sort(coverage), share, color=plots.FLOW)
    axis.set(xlabel="probability of the region", ylabel="share of true parameters inside")
    axis.set(xlim=(0.0, 1.0), ylim=(0.0, 1.0), aspect="equal", title="expected coverage")
    plots.save(figure, path)
