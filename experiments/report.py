"""What a run says of itself: a table, `results.json` and `report.md`."""

import importlib.metadata
import json
import os
import platform
import shlex

import tensorflow as tf

from experiments.atomic_write import atomic_write

UNIT = "Log-likelihoods: means over the test rows, in nats a row, ± two standard errors."

_BASELINES = {
    "gaussian_log_likelihood": "full-covariance Gaussian",
    "bernoulli_log_likelihood": "independent Bernoulli variables",
}
_PACKAGES = ("tensorflow", "tensorflow-probability", "keras", "numpy")


def table_rows(results):
    """Returns (model, test log-likelihood in nats, source) of the run and its rivals."""
    run, (name, value) = "this run", baseline(results)
    rows = [
        (results["flow"], _plus_minus(results["test_log_likelihood"]), run),
        (name, _plus_minus(value), run),
    ]
    return rows + [
        (name, _published(row), row["source"]) for name, row in results["published"].items()
    ]


def baseline(results):
    """Returns name and log-likelihood of what the run has to beat."""
    return next((name, results[k]) for k, name in _BASELINES.items() if k in results)


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
    atomic_write(path, json.dumps(results, indent=2) + "\n")


def findings(results):
    """Returns what was found beside the likelihoods, by name."""
    test, classes = results["two_sample_test"], results.get("class_agreement")
    return {
        "two-sample test": (
            "a classifier tells test rows from samples with an accuracy of "
            f"{test['accuracy']:.3f} ± {test['two_standard_errors']:.3f} (0.5: not at all),"
            f" cross-validated on {test['num_rows']:,} rows"
        ),
        **_calibration(results["calibration"]),
        **({"classes": _class_agreement(classes)} if classes else {}),
    }


def facts(results):
    """Returns what the run was, by name."""
    sizes = results["num_rows"]
    context = f", given {n}" if (n := results["context_size"]) else ""
    return _bits(results["bits_per_dimension"]) | {
        "rows (train / validation / test)": " / ".join(f"{n:,}" for n in sizes.values()),
        "variables": f"{results['event_size']}{context}",
        "trainable parameters": f"{results['num_parameters']:,}",
        "epochs": f"{results['num_epochs']} (best: {results['best_epoch']})",
        "training time": f"{results['training_seconds']:.1f} s",
        "versions": ", ".join(f"{k} {v}" for k, v in results["versions"].items()),
        "machine": results["machine"],
    }


def write_report(results, captions, path):
    """Writes the report.

    Args:
      results: what `density_estimation.run` returns.
      captions: caption of each picture, by file name beside the report.
      path: of the Markdown file.
    """
    lines = [
        f"# {title(results)}",
        UNIT,
        table(results),
        _bullets(findings(results)),
        *(f"{caption}\n\n![{caption}]({name})" for name, caption in captions.items()),
        "## The run",
        _bullets(facts(results)),
        f"To repeat it:\n\n```\n{results['command']}\n```",
    ]
    atomic_write(path, "\n\n".join(lines) + "\n")


def title(results):
    """Returns the headline of a run."""
    return f"{results['flow']} on {results['dataset']}"


def command(settings, module="density_estimation"):
    """Returns the shell command that repeats the run of a `FlagSettings`."""
    flags = map(shlex.quote, settings.flags(only_changed=True))
    return " ".join([f"python -m experiments.{module}", *flags])


def versions():
    """Returns the versions that a number may depend on."""
    return {
        "python": platform.python_version(),
        **{package: importlib.metadata.version(package) for package in _PACKAGES},
    }


def machine():
    """Returns the processors that a time depends on."""
    gpus = len(tf.config.list_physical_devices("GPU"))
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs, {gpus} GPUs"


def _bullets(facts):
    return "\n".join(f"- {name}: {value}" for name, value in facts.items())


def _class_agreement(classes):
    name, least = min(classes["by_class"].items(), key=lambda item: item[1])
    return (
        "a classifier of the training rows sees the class asked for in "
        f"{classes['agreement']:.3f} ± {classes['two_standard_errors']:.3f} of "
        f"{classes['num_samples']:,} samples (least: {least:.3f} of class {name}), and the "
        f"right one in {classes['classifier_test_accuracy']:.3f} of the test rows"
    )


def _calibration(calibration):
    if calibration is None:
        return {}
    worst = max(calibration["ks_distances"])
    text = (
        f"greatest Kolmogorov-Smirnov distance of a latent variable {worst:.3f} "
        f"({calibration['critical_distance']:.3f}: the 5 % point of one)"
    )
    return {"calibration": text}


def _published(row):
    error = row["two_standard_errors"]
    return f"{row['log_likelihood']:.2f}" + ("" if error is None else f" ± {error:.2f}")


def _bits(bits):
    if bits is None:
        return {}
    value = f"{bits['bits']:.3f} ± {bits['two_standard_errors']:.3f}"
    convention = f"test rows, of integers 0 to {round(bits['bins_per_unit']) - 1}"
    return {"bits per dimension": f"{value} ({convention})"}


def _plus_minus(row):
    return f"{row['nats']:.3f} ± {row['two_standard_errors']:.3f}"


def _line(cells, widths):
    left, middle, right = widths
    return f"| {cells[0]:<{left}} | {cells[1]:>{middle}} | {cells[2]:<{right}} |"
