"""Fits a flow to a data set by maximum likelihood and reports its test log-likelihood."""

import dataclasses
import math
import pathlib

import numpy as np
from absl import app
from absl import flags

from experiments import choices
from experiments import evaluation
from experiments import pictures
from experiments import report
from experiments import training
from experiments.data import DATASETS
from experiments.data import load_dataset
from experiments.settings import Settings

_CHOICES = {"dataset": DATASETS, "flow": choices.FLOWS, "base": choices.BASES}


def run(settings):
    """Trains, evaluates and writes everything into `settings.run_dir`.

    Args:
      settings: a `Settings`.

    Returns:
      What `results.json` holds.
    """
    dataset = load_dataset(
        settings.dataset, data_dir=settings.data_dir, seed=settings.data_seed
    )
    distribution = choices.build_distribution(settings, dataset.event_size)
    run_dir = pathlib.Path(settings.run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    settings.write_flags(run_dir / "flags.txt")
    model, history, seconds = training.train(distribution, dataset, settings)
    model.save(run_dir / "model.keras")
    results = measure(model, dataset, history, settings) | {"training_seconds": seconds}
    report.write_results(results, run_dir / "results.json")
    names = pictures.draw(distribution, dataset, history, settings)
    report.write_report(results, names, run_dir / "report.md")
    return results


def measure(model, dataset, history, settings):
    """Returns the results of a trained model as plain data."""
    flow = evaluation.flow_log_likelihood(
        model, dataset.test, batch_size=settings.evaluation_batch_size
    )
    gaussian = evaluation.gaussian_log_likelihood(dataset)
    validation = -np.asarray(history["val_loss"])
    sets = ("train", "validation", "test")
    return {
        "dataset": dataset.name,
        "flow": settings.flow,
        "test_log_likelihood": dataclasses.asdict(flow),
        "gaussian_log_likelihood": dataclasses.asdict(gaussian),
        "best_validation_log_likelihood": float(np.nanmax(validation)),
        "published": {k: dataclasses.asdict(v) for k, v in dataset.published.items()},
        "num_rows": {name: len(getattr(dataset, name)) for name in sets},
        "event_size": dataset.event_size,
        "num_parameters": sum(math.prod(w.shape) for w in model.trainable_weights),
        "num_epochs": len(validation),
        "best_epoch": int(np.nanargmax(validation)) + 1,
        "command": report.command(settings),
        "versions": report.versions(),
    }


def main(argv):
    """Reads the flags, runs, and prints the table."""
    if len(argv) > 1:
        raise app.UsageError(f"Expected flags only; got {argv[1:]}.")
    settings = _settings_from_flags(flags.FLAGS)
    print(report.table(run(settings)))
    print(f"Written to {settings.run_dir}: report.md, results.json, model.keras, pictures.")


def _define_flags():
    define = {
        bool: flags.DEFINE_boolean,
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        str: flags.DEFINE_string,
    }
    for field in dataclasses.fields(Settings):
        name, default, text = field.name, field.default, field.metadata["help"]
        if name in _CHOICES:
            flags.DEFINE_enum(name, default, sorted(_CHOICES[name]), text)
        elif isinstance(default, tuple):
            flags.DEFINE_list(name, list(map(str, default)), text)
            flags.register_validator(name, _are_widths, "Expected integers, as in 100,100.")
        else:
            define[field.type](name, default, text)


def _are_widths(values):
    return all(str(value).strip().isdigit() for value in values)


def _settings_from_flags(values):
    arguments = {
        field.name: values[field.name].value for field in dataclasses.fields(Settings)
    }
    arguments["hidden_units"] = tuple(int(width) for width in arguments["hidden_units"])
    return Settings(**arguments)


if __name__ == "__main__":
    _define_flags()
    app.run(main)
