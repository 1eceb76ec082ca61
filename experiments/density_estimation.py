"""Fits a flow to a data set by maximum likelihood and reports its test log-likelihood."""

import dataclasses
import math
import sys

import numpy as np
from absl import flags

from experiments import choices
from experiments import class_agreement
from experiments import diagnostics
from experiments import evaluation
from experiments import html_report
from experiments import interruption
from experiments import pictures
from experiments import report
from experiments import run_directory
from experiments import strategies
from experiments import training
from experiments import workers
from experiments.checkpointing import CheckpointFolder
from experiments.data import DATASETS
from experiments.data import DataError
from experiments.data import catalogue
from experiments.data import load_dataset
from experiments.run_directory import RunDirectoryError
from experiments.settings import Settings
from experiments.usage import UsageError
from experiments.workers import WorkersError

_CHOICES = {
    "dataset": DATASETS,
    "flow": choices.FLOWS,
    "base": choices.BASES,
    "ordering": choices.ORDERINGS,
    "scale": choices.SCALES,
    "strategy": strategies.STRATEGIES,
}


def run(settings, strategy=None):
    """Trains, evaluates and writes everything into `settings.run_dir`.

    A run that was interrupted goes on; a finished one is only read. Of several workers,
    the chief does all but the training alone.

    Args:
      settings: a `Settings`.
      strategy: what `make_strategy` returns for these settings, if called already.

    Returns:
      What `results.json` holds; None in a worker that is not the chief.

    Raises:
      DataError: if the data are not to be had, or of no use; the folder is untouched.
      RunDirectoryError: if the folder belongs to another process or another run.
      WorkersError: if the workers were started with different flags.
    """
    strategy = strategy or strategies.make_strategy(settings.strategy)
    is_chief = workers.is_chief(strategy)
    results = run_directory.finished_results(settings.run_dir) if is_chief else None
    is_finished = workers.agree_on_start(
        strategy, settings, is_finished=results is not None
    )
    subject = None if is_finished else _prepare(settings, strategy)
    if is_chief:
        results = _lead(settings, subject)
    elif not is_finished:
        training.train(*subject)
    return results


def _lead(settings, subject):
    with run_directory.claim(settings) as run_dir:
        results = run_directory.finished_results(run_dir)
        if results is not None:
            print(f"{run_dir} holds this run, finished; to repeat it, delete the folder.")
            return results
        results = _run(run_dir, *subject)
        CheckpointFolder(run_dir / "checkpoints").delete()
        return results


def _prepare(settings, strategy):
    dataset = load_dataset(settings.dataset, **settings.data_arguments())
    with strategy.scope():
        distribution = choices.build_distribution(
            settings,
            dataset.event_size,
            dataset.context_size,
            is_binary=dataset.is_binary,
            image_shape=dataset.image_shape,
        )
    return distribution, dataset, settings, strategy


def _run(run_dir, distribution, dataset, settings, strategy):
    model, history, seconds = training.train(distribution, dataset, settings, strategy)
    model.save(run_dir / "model.keras")
    subject = pictures.Subject(distribution, dataset, settings)
    results = measure(model, dataset, history, settings) | {
        "training_seconds": seconds,
        "calibration": diagnostics.calibration(subject),
        "two_sample_test": diagnostics.two_sample_test(subject),
    }
    if dataset.class_names:
        results["class_agreement"] = class_agreement.class_agreement(subject)
    captions = pictures.draw(subject, history)
    report.write_report(results, captions, run_dir / "report.md")
    html_report.write_report(results, captions, run_dir / "report.html")
    # Last, since it is what marks a run as finished.
    report.write_results(results, run_dir / "results.json")
    return results


def measure(model, dataset, history, settings):
    """Returns the results of a trained model as plain data."""
    flow = evaluation.flow_log_likelihood(
        model, dataset.inputs("test"), batch_size=settings.evaluation_batch_size
    )
    baseline = evaluation.baseline(dataset)
    validation = -np.asarray(history["val_loss"])
    sets = ("train", "validation", "test")
    return {
        "dataset": dataset.name,
        "flow": settings.flow,
        "test_log_likelihood": dataclasses.asdict(flow),
        **{k: dataclasses.asdict(v) for k, v in baseline.items()},
        "bits_per_dimension": evaluation.bits_per_dimension(flow, dataset),
        "best_validation_log_likelihood": float(np.nanmax(validation)),
        "published": {k: dataclasses.asdict(v) for k, v in dataset.published.items()},
        "num_rows": {name: len(getattr(dataset, name)) for name in sets},
        "event_size": dataset.event_size,
        "context_size": dataset.context_size,
        "num_parameters": sum(math.prod(w.shape) for w in model.trainable_weights),
        "num_epochs": len(validation),
        "best_epoch": int(np.nanargmax(validation)) + 1,
        "command": report.command(settings),
        "versions": report.versions(),
        "machine": report.machine(),
    }


def cli(argv):
    """Runs a command line and returns its exit status.

    Wrong use is 2; wrong data, a folder that cannot be used, or the loss of a worker, is
    1. Both say what is wrong in one line, and neither leaves anything behind.
    """
    try:
        main(argv)
    except (flags.Error, UsageError) as error:
        return _complain(error, 2)
    except (DataError, RunDirectoryError, WorkersError) as error:
        return _complain(error, 1)
    return 0


def _complain(error, status):
    print(f"density_estimation: {' '.join(str(error).split())}", file=sys.stderr)
    return status


def main(argv):
    """Reads the flags, runs, and prints the table."""
    values = flags.FlagValues()
    define_flags(values, Settings, _CHOICES)
    flags.DEFINE_boolean(
        "list_datasets", False, "Print the data sets and their sizes.", flag_values=values
    )
    if rest := values(argv)[1:]:
        raise UsageError(f"Expected flags only; got {rest}.")
    if values.help:
        print(f"{__doc__}\n\n{values.get_help()}")
    elif values.list_datasets:
        print(catalogue(DATASETS))
    else:
        _run_and_print(settings_from_flags(values, Settings))


def _run_and_print(settings):
    # A cluster has to be joined before anything of TensorFlow runs.
    strategy = strategies.make_strategy(settings.strategy)
    choices.check(settings)
    how = interruption.how_to_go_on(settings)
    interruption.stop_at_once(how)
    try:
        results = run(settings, strategy)
    except OSError as error:
        raise RunDirectoryError(f"{error}. {how}") from error
    except workers.OUT_OF_REACH as error:
        if not workers.has_others(strategy):
            raise
        raise WorkersError(f"Another worker is out of reach. {how}") from error
    if results is None:
        print("Done; the chief reports.")
    else:
        print(report.table(results))
        print(f"Written to {settings.run_dir}: report.html, report.md, results.json.")


def define_flags(values, settings_class, choices):
    """Defines `--help` and a flag for each field.

    Args:
      values: the `absl.flags.FlagValues` to define them in.
      settings_class: a `FlagSettings`.
      choices: what a field may name, by the field's name.
    """
    flags.DEFINE_boolean("help", False, "Print this.", short_name="h", flag_values=values)
    define = {
        bool: flags.DEFINE_boolean,
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        str: flags.DEFINE_string,
    }
    for field in dataclasses.fields(settings_class):
        name, default, text = field.name, field.default, field.metadata["help"]
        if name in choices:
            known = sorted(choices[name])
            flags.DEFINE_enum(name, default, known, text, flag_values=values)
        elif isinstance(default, tuple):
            flags.DEFINE_list(name, list(map(str, default)), text, flag_values=values)
        else:
            define[field.type](name, default, text, flag_values=values)


def settings_from_flags(values, settings_class):
    """Returns the `FlagSettings` that parsed flags hold."""
    arguments = {}
    for field in dataclasses.fields(settings_class):
        value = values[field.name].value
        arguments[field.name] = tuple(value) if isinstance(value, list) else value
    arguments["hidden_units"] = _to_widths(arguments["hidden_units"])
    return settings_class(**arguments)


def _to_widths(texts):
    if not all(text.strip().isdecimal() for text in texts):
        raise UsageError(f"Expected `hidden_units` as in 100,100; got {','.join(texts)}.")
    return tuple(map(int, texts))


if __name__ == "__main__":
    sys.exit(cli(sys.argv))
