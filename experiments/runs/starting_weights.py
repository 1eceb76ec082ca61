"""The model of a finished run, for another run to start from."""

import dataclasses
import pathlib

import tfp_flows
from experiments.data.columns import differences
from experiments.data.files import reading
from experiments.runs import run_directory
from experiments.runs.run_directory import RunDirectoryError


def load_start(settings, strategy, *, kind, architecture, facts, columns=None):
    """Returns the model in the folder `settings.init_from`, made under `strategy`.

    It has the orderings, permutations, weights and data statistics of that run. Without
    `init_from`, the result is None. The model must be a `kind`, its flags named in
    `architecture` and its results named in `facts` must be equal, and so must its columns.

    Raises:
      RunDirectoryError: if there is no finished run of that kind, or its flags, its data
        or its columns differ.
    """
    if not settings.init_from:
        return None
    folder = pathlib.Path(settings.init_from)
    results = run_directory.finished_results(folder)
    path = folder / "model.keras"
    if results is None or not path.is_file():
        raise RunDirectoryError(
            f"Expected `init_from` to be the folder of a finished run; got {folder}."
        )
    saved = load_model(path, kind)
    _refuse_other_flags(folder, settings, architecture)
    refuse_other_columns(folder, getattr(saved, "columns", None), columns)
    _refuse_other_facts(folder, results, facts)
    with strategy.scope():
        model = type(saved).from_config(saved.get_config())
    for variable, value in zip(model.weights, saved.get_weights(), strict=True):
        variable.assign(value)
    return model


def load_model(path, kind):
    """Returns the model of the class `kind` in a `.keras` file."""
    try:
        with reading("a saved model", path, OSError, RunDirectoryError):
            model = tfp_flows.load(path, compile=False)
    except ValueError as error:  # its message names the path
        raise RunDirectoryError(str(error)) from error
    if not isinstance(model, kind):
        raise RunDirectoryError(
            f"Expected a saved {kind.__name__} in {path}; got a {type(model).__name__}."
        )
    return model


def _refuse_other_flags(folder, settings, architecture):
    free = {f.name for f in dataclasses.fields(settings)} - set(architecture)
    there = run_directory.flags_there(folder)
    different = run_directory.differences(there, settings, free=free)
    if different:
        raise RunDirectoryError(
            f"Expected the architecture of the run in {folder}; got another: {different}."
        )


def _refuse_other_facts(folder, results, facts):
    different = [
        f"{name}: {results[name]} there, {fact} now"
        for name, fact in facts.items()
        if results.get(name, fact) != fact
    ]
    if different:
        raise RunDirectoryError(
            f"Expected data like those of the run in {folder}; got others: "
            f"{'; '.join(different)}."
        )


def refuse_other_columns(run_dir, before, now):
    """Raises `RunDirectoryError` if columns differ from those of a run before.

    Both are the `described_columns` of a `Dataset`, or None if they are unknown.
    """
    found = differences(before, now) if before and now else ""
    if found:
        raise RunDirectoryError(
            f"Expected a table with the columns of the run in {run_dir}; got others: "
            f"{found}. Choose another --run_dir, or the same table."
        )
