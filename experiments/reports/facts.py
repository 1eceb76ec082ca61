"""Facts of a run: the command, versions and machine, the model and its training."""

import dataclasses
import math
import os
import platform
import shlex

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from experiments.data.dataset import SETS

_PACKAGES = {"tensorflow": tf, "tensorflow-probability": tfp, "keras": keras, "numpy": np}
_ADVICE = "more rows, fewer steps or narrower networks, --weight_decay, or a smaller "
_ADVICE += "--learning_rate"


def from_training(model, dataset, settings):
    """Returns the facts of a trained model for `results.json` as plain data."""
    return {
        "dataset": settings.dataset,
        "published": {k: dataclasses.asdict(v) for k, v in dataset.published.items()},
        "caveat": dataset.caveat,
        "num_rows": {name: len(getattr(dataset, name)) for name in SETS},
        "init_from": settings.init_from or None,
        "num_parameters": sum(math.prod(w.shape) for w in model.trainable_weights),
        **provenance(settings),
    }


def describe_training(results, **further):
    """Returns the facts of a training in words, by name, with `further` facts of the data.

    The results are those of `from_training` and, if there are epochs, of `fitting.outcome`.
    """
    sizes = " / ".join(f"{n:,}" for n in results["num_rows"].values())
    start, restarts = results.get("init_from"), results.get("schedule_restarts")
    return {
        "rows (train / validation / test)": sizes,
        **further,
        "trainable parameters": f"{results['num_parameters']:,}",
        **({"weights to start from": f"those of {start}"} if start else {}),
        **({"epochs": _epochs(results)} if "num_epochs" in results else {}),
        **({"step size": _restarts(restarts)} if restarts else {}),
        "training time": f"{results['training_seconds']:.1f} s",
        **describe_provenance(results),
    }


def lost_to_baseline(name, log_likelihood, num_rows, rival, known, *, advice=_ADVICE):
    """Returns a warning if a model is no better than the baseline; else empty.

    Args:
      name: name of the model.
      log_likelihood: its test log-likelihood, as plain data.
      num_rows: number of test rows in this mean.
      rival: name of the baseline.
      known: the log-likelihood of the baseline, as plain data.
      advice: what to try other than the baseline.
    """
    if log_likelihood["nats"] > known["nats"]:
        return ""
    return (
        f"{name} is no better than the baseline, {rival}: {log_likelihood['nats']:.3f} "
        f"against {known['nats']:.3f} nats a row, on "
        f"{num_rows:,} test rows. Use the baseline, or try {advice}."
    )


def provenance(settings):
    """Returns the provenance of a run of a `FlagSettings` as plain data."""
    return {"command": command(settings), "versions": versions(), "machine": machine()}


def describe_provenance(results):
    """Returns the results of `provenance` in words, by name."""
    return {
        "versions": ", ".join(f"{k} {v}" for k, v in results["versions"].items()),
        "machine": results["machine"],
    }


def command(settings):
    """Returns the shell command that repeats the run of a `FlagSettings`."""
    flags = map(shlex.quote, settings.flags(only_changed=True))
    return " ".join([f"tfp-flows {settings.PROGRAM}", *flags])


def versions():
    """Returns the versions of Python and packages that numbers may depend on."""
    return {
        "python": platform.python_version(),
        **{name: package.__version__ for name, package in _PACKAGES.items()},
    }


def machine():
    """Returns the processors that training times depend on."""
    gpus = len(tf.config.list_physical_devices("GPU"))
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs, {gpus} GPUs"


def _epochs(results):
    """Returns the number of epochs, the best epoch, and the epoch that diverged, if any."""
    text = f"{results['num_epochs']} (best: {results['best_epoch']})"
    if diverged := results.get("diverged_in_epoch"):
        text += f"; stopped, since the loss of epoch {diverged} is not finite"
    return text


def _restarts(restarts):
    """Returns in words how the step size of an extended run fell."""
    turns = [f"over {r['epochs']} from epoch {r['after_epoch'] + 1} on" for r in restarts]
    first = restarts[0]["epochs_before"]
    return (
        f"fell along a cosine over {first} epochs, and {', then '.join(turns)}: a run of "
        f"{restarts[-1]['epochs']} epochs without a stop ends at other numbers"
    )
