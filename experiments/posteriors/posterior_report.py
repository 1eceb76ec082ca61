"""What a run of `posterior_inference` says of itself: a row, and `report.md`."""

from experiments.atomic_write import atomic_write

__all__ = ["HEADER", "row", "write_report"]

_COLUMNS = (
    *("target", "posterior", "ELBO", "importance-weighted", "evidence"),
    *("ESS", "k̂", "error of a mean", "ratio of s.d."),
)
HEADER = f"| {' | '.join(_COLUMNS)} |\n|{'---|' * len(_COLUMNS)}"

_EXPLANATION = """\
Nats, ± two standard errors. ESS: effective sample size of the weighted draws, as a share \
of their number. k̂: shape of the tail of the weights; above 0.7 the two columns before it \
cannot be relied on. Errors of means are in standard deviations of the reference; ratios \
are those of the standard deviations of posterior and reference, the greater over the \
lesser; of both, the worst over the variables."""


def row(results):
    """Returns a run as a row under `HEADER`."""
    known = results["evidence"]
    cells = [
        results["target"],
        results["posterior"],
        _plus_minus(results["elbo"]),
        _plus_minus(results["importance_weighted"]),
        "-" if known is None else f"{known:.3f}",
        f"{results['effective_share']:.1%}",
        f"{results['pareto_k']:.2f}",
        *(
            f"{results[name]:.2f}" if name in results else "-"
            for name in ("greatest_error_of_a_mean", "greatest_ratio_of_deviations")
        ),
    ]
    return f"| {' | '.join(cells)} |"


def write_report(results, captions, path):
    """Writes the report.

    Args:
      results: what `posterior_inference.run` returns.
      captions: caption of each picture, by file name beside the report.
      path: of the Markdown file.
    """
    parts = [
        f"# {results['posterior']} as posterior of {results['target']}",
        f"{HEADER}\n{row(results)}",
        _EXPLANATION,
        _moments(results),
        *(f"{caption}\n\n![{caption}]({name})" for name, caption in captions.items()),
        "## The run",
        "\n".join(f"- {name}: {value}" for name, value in _facts(results).items()),
        f"To repeat it:\n\n```\n{results['command']}\n```",
    ]
    atomic_write(path, "\n\n".join(parts) + "\n")


def _moments(results):
    """A table of means and standard deviations, a row a variable."""
    header, reference = "| variable | mean | s.d. |", results.get("reference")
    lines = [
        [name, f"{moments['mean']:.3f}", f"{moments['standard_deviation']:.3f}"]
        for name, moments in results["moments"].items()
    ]
    if reference:
        header += " mean, NUTS | s.d., NUTS |"
        columns = zip(
            lines, reference["means"], reference["standard_deviations"], strict=True
        )
        lines = [[*line, f"{mean:.3f}", f"{sd:.3f}"] for line, mean, sd in columns]
    rule = f"|{'---|' * (header.count('|') - 1)}"
    return "\n".join([header, rule, *(f"| {' | '.join(line)} |" for line in lines)])


def _facts(results):
    facts = {
        "draws": f"{results['num_draws']:,}",
        "trainable parameters": f"{results['num_parameters']:,}",
        "training time, compilation included": f"{results['training_seconds']:.1f} s",
        "versions": ", ".join(f"{k} {v}" for k, v in results["versions"].items()),
        "machine": results["machine"],
    }
    if reference := results.get("reference"):
        facts["reference"] = (
            f"{reference['num_draws']:,} draws of NUTS, largest R̂ "
            f"{reference['r_hat']:.3f}, smallest effective size "
            f"{reference['effective_size']:,.0f}, divergences "
            f"{reference['divergences']:.2%}"
        )
    return facts


def _plus_minus(bound):
    return f"{bound['nats']:.3f} ± {bound['two_standard_errors']:.3f}"
