"""The pictures of a run of `posterior_inference`."""

import matplotlib.pyplot as plt
import numpy as np

from experiments.reports import plots

_MAX_VARIABLES = 6


def draw(run_dir, results, losses, draws, reference):
    """Draws the pictures and returns their captions by file name.

    `losses`, `[S]`, are those of the training steps, or None; `draws` are `[N, D]`.
    """
    captions = {}
    if losses is not None:
        captions["learning_curve.png"] = "The bound over the training steps."
        _learning_curve(-losses, results, run_dir / "learning_curve.png")
    if reference is None:
        return captions
    names = list(results["moments"])
    first = slice(_MAX_VARIABLES)
    plots.pairs(
        # The first rows are the first steps of the chains.
        np.random.default_rng(0).permutation(reference.draws[:, first]),
        draws[:, first],
        run_dir / "pairs.png",
        labels=names[first],
        names=(reference.origin, f"{results['posterior']}"),
    )
    caption = (
        f"Pairs of variables: {reference.origin} above the diagonal, the posterior below."
    )
    if len(names) > _MAX_VARIABLES:
        caption += f" The first {_MAX_VARIABLES} of {len(names)} variables."
    return {"pairs.png": caption} | captions


def _learning_curve(bound, results, path):
    figure, axis = plt.subplots(figsize=(6.5, 4), layout="constrained")
    axis.plot(np.arange(1, len(bound) + 1), bound, color=plots.FLOW, linewidth=0.7)
    if results["evidence"] is not None:
        axis.axhline(results["evidence"], color="0.3", label="log-evidence")
        axis.legend(frameon=False, loc="lower right")
    # Without the first steps, whose bounds are often far worse.
    low, high = np.quantile(bound, [0.1, 1.0])
    axis.set_ylim(low - 0.1 * (high - low) - 0.05, high + 0.1 * (high - low) + 0.05)
    axis.set(
        title=f"{results['posterior']} on {results['target']}",
        xlabel="training step",
        ylabel="bound on the log-evidence (nats)",
    )
    axis.grid(alpha=0.3)
    plots.save(figure, path)
