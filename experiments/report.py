"""What a run says of itself: a table, `results.json` and `report.md`."""

import importlib.metadata
import json
import pathlib
import platform
import shlex

_PACKAGES = ("tensorflow", "tensorflow-probability", "keras", "numpy")


def table_rows(results):
    """Returns (model, test log-likelihood in nats, source) of the run and its rivals."""
    run = "this run"
    rows = [
        (results["flow"], _plus_minus(results["test_log_likelihood"]), run),
        ("full-covariance Gaussian", _plus_minus(results["gaussian_log_likelihood"]), run),
    ]
    return rows + [
        (
            name,
            f"{row['log_likelihood']:.2f} ± {row['two_standard_errors']:.2f}",
            row["source"],
        )
        for name, row in results["published"].items()
    ]


def table(results):
    """Returns the result table as aligned text, which is Markdown too."""
    rows = [
        (f"{results['dataset']}: model", "test log-likelihood (nats, ± 2 s.e.)", "source"),
        *table_rows(results),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [_line(row, widths) for row in rows]
    rule = _line(["-" * widths[0], "-" * (widths[1] - 1) + ":", "-" * widths[2]], widths)
    return "\n".join([lines[0], rule, *lines[1:]])


def write_results(results, path):
    """Writes everything measured as JSON."""
    pathlib.Path(path).write_text(json.dumps(results, indent=2) + "\n")


def write_report(results, pictures, path):
    """Writes the report.

    Args:
      results: what `density_estimation.run` returns.
      pictures: file names of the pictures, beside the report.
      path: of the Markdown file.
    """
    sizes = results["num_rows"]
    facts = {
        "rows (train / validation / test)": " / ".join(f"{n:,}" for n in sizes.values()),
        "variables": results["event_size"],
        "trainable parameters": f"{results['num_parameters']:,}",
        "epochs": f"{results['num_epochs']} (best: {results['best_epoch']})",
        "training time": f"{results['training_seconds']:.1f} s",
        "versions": ", ".join(f"{k} {v}" for k, v in results["versions"].items()),
    }
    lines = [
        f"# {results['flow']} on {results['dataset']}",
        "Log-likelihoods: means over the test rows, in nats a row, ± two standard errors.",
        table(results),
        "\n".join(f"- {name}: {value}" for name, value in facts.items()),
        f"```\n{results['command']}\n```",
        *(f"![{picture}]({picture})" for picture in pictures),
    ]
    pathlib.Path(path).write_text("\n\n".join(lines) + "\n")


def command(settings):
    """Returns the shell command that repeats the run."""
    flags = map(shlex.quote, settings.flags(only_changed=True))
    return " ".join(["python -m experiments.density_estimation", *flags])


def versions():
    """Returns the versions that a number may depend on."""
    return {
        "python": platform.python_version(),
        **{package: importlib.metadata.version(package) for package in _PACKAGES},
    }


def _plus_minus(row):
    return f"{row['nats']:.3f} ± {row['two_standard_errors']:.3f}"


def _line(cells, widths):
    left, middle, right = widths
    return f"| {cells[0]:<{left}} | {cells[1]:>{middle}} | {cells[2]:<{right}} |"
