"""Fits the posterior of a simulator for any observation, and compares reference draws."""

import importlib.util
import inspect
import pathlib
import sys
import time
import warnings

import tfp_flows
from experiments.command_line import program
from experiments.command_line.flag_settings import UsageError, check_kind
from experiments.reports import page
from experiments.runs import resuming, run_directory
from experiments.runs.run_directory import RunDirectoryError
from experiments.simulation_inference import evaluation, pictures, reference, report
from experiments.simulation_inference.settings import SimulationSettings
from experiments.simulation_inference.tasks import TASKS

_SIMULATIONS = "simulations.npz"


def run(settings):
    """Simulates, fits, compares, and writes everything into `settings.run_dir`.

    The results of a finished run are read. An interrupted run goes on with the simulations
    that it has, and ends at the same numbers; the model's file must not change until then.

    Returns:
      What `results.json` holds.
    """
    check_kind("settings", settings, SimulationSettings)
    if resuming.is_finished(settings):
        return resuming.finished(settings, refuse=_refuse_other_inputs)
    prior, simulator = _model(settings)
    expected = reference.read(settings.task, settings.data_dir)
    with resuming.unfinished(settings) as run_dir:
        if not (run_dir / _SIMULATIONS).is_file():  # the file may change until then
            (run_dir / "model.sha256").unlink(missing_ok=True)
        _refuse_other_model(settings)
        start = time.perf_counter()
        amortized = tfp_flows.fit_amortized_posterior(
            prior,
            simulator=simulator,
            num_simulations=settings.num_simulations,
            max_minutes=settings.max_minutes or None,
            backup=run_dir / _SIMULATIONS,
            seed=settings.seed,
        )
        if amortized.can_be_saved:
            amortized.save(run_dir / "model.keras")
        else:
            reason = "the support of a parameter depends on others, or no file can hold it"
            warnings.warn(f"model.keras is not written: {reason}", stacklevel=1)
        results, draws = evaluation.measure(amortized, expected, settings)
        results["seconds"] = time.perf_counter() - start
        captions = pictures.draw(run_dir, amortized.report, expected, draws)
        page.write(report.page(results), captions, results, run_dir)
        return results


@program.command(SimulationSettings, description=__doc__)
def cli(settings):
    """Fits, and prints the report."""
    program.stop_at_once(lambda: program.how_to_go_on(settings))
    print(report.page(run(settings)).text())
    print(f"Written to {settings.run_dir}: report.html, results.json, {_SIMULATIONS}.")


def _path_and_function(settings):
    """Returns the path of the user's file, and the name of the function in it."""
    path, _, name = settings.model.rpartition(":")
    return pathlib.Path(path), name


def _refuse_other_model(settings):
    """Refuses a file of the user that has changed since its first simulations."""
    path, _ = _path_and_function(settings)
    run_directory.refuse_other_file(settings.run_dir, path, "model")


def _refuse_other_inputs(settings, results):
    """Refuses a changed file of the user, and a new `data_dir`."""
    _refuse_other_model(settings)
    if settings.data_dir and not results["observations"]:
        raise RunDirectoryError(
            f"{settings.run_dir} holds a finished run without --data_dir, which compared "
            "no reference draws. Choose another --run_dir."
        )


def _model(settings):
    """Returns the prior and the simulator of a task, or of the user's file."""
    if not settings.model:
        task = TASKS[settings.task]
        return task.prior(), task.simulator
    path, name = _path_and_function(settings)
    if path.suffix != ".py" or not path.is_file():
        settings.refuse("model", "to be FILE.py:FUNCTION with a file that exists")
    spec = importlib.util.spec_from_file_location("model_of_user", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # the decorator `dataclass` looks for it there
    sys.path.append(str(path.resolve().parent))
    spec.loader.exec_module(module)
    function = getattr(module, name, None)
    if not callable(function):
        raise UsageError(f"Expected a function {name!r} in {path}; got none.")
    try:
        inspect.signature(function).bind()
    except TypeError as error:
        got = f"{name}{inspect.signature(function)}"
        raise UsageError(
            f"Expected {name} of {path} to need no argument; got {got}."
        ) from error
    found = function()
    if not (isinstance(found, tuple) and len(found) == 2 and callable(found[1])):
        raise UsageError(
            f"Expected {name} of {path} to return a prior and a simulator; got {found!r}."
        )
    return found
