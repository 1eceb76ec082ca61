"""Samples the posterior of a model by many methods, and compares reference draws."""

import dataclasses
import functools
import pathlib
import time

from experiments.command_line import program, training_settings
from experiments.command_line.flag_settings import TrainingError, UsageError, check_kind
from experiments.posterior_inference import evaluation, methods, pictures, report
from experiments.posterior_inference.methods import METHODS, SURROGATES
from experiments.posterior_inference.settings import ALL, PosteriorSettings
from experiments.posterior_inference.target_names import OWN, find, stored
from experiments.reports import page
from experiments.runs import resuming, workers


def run(settings, strategy=None):
    """Fits one target by one method, evaluates and writes everything into `run_dir`.

    The results of a finished run are read; an interrupted run goes on from its last block
    of steps.

    Returns:
      What `results.json` holds. If the posterior does not apply to the target, nothing is
      written, and `failure` says why. None in a worker that is not the chief.
    """
    check_kind("settings", settings, PosteriorSettings)
    if ALL in (settings.target, settings.name_of_method):
        raise UsageError("Expected one target and one posterior; got all of either.")
    entry = find(settings.target, settings.data_dir)
    if reason := entry.inapplicable.get(settings.name_of_method):
        chosen = {"target": settings.target, "posterior": settings.name_of_method}
        return chosen | {"failure": reason}
    strategy = strategy or workers.make_strategy(settings.strategy)
    training_settings.check_activation(settings.activation)
    if settings.sample_size % (count := strategy.num_replicas_in_sync):
        settings.refuse("sample_size", f"to be a multiple of the {count} replicas")
    if resuming.is_finished(settings, strategy):
        return resuming.finished(settings, strategy)
    method, start = settings.name_of_method, time.perf_counter()
    with resuming.unfinished(settings, strategy) as run_dir:
        if run_dir is None:
            methods.train(method, entry, settings, strategy)
            return None
        if method in SURROGATES:
            found = SURROGATES[method](entry, settings, strategy)
        else:
            found = METHODS[method](entry, settings)
        seconds = time.perf_counter() - start
        reference = evaluation.find_reference(entry, settings)
        results = evaluation.measure(found, entry, reference, settings)
        results["seconds"] = found.earlier_seconds + seconds
        captions = pictures.draw(run_dir, results, found.losses, found.rows, reference)
        page.write(report.page(results), captions, results, run_dir)
        return results


def run_all(settings, strategy=None):
    """Runs each target that `settings` name by each method, and yields the results.

    With "all", each run has its own folder `run_dir/target/posterior`, and a run that fails
    yields a `failure`.
    """
    targets = _all_targets(settings) if settings.target == ALL else [settings.target]
    every = METHODS if settings.method else SURROGATES
    names = every if settings.name_of_method == ALL else [settings.name_of_method]
    if ALL not in (settings.target, settings.name_of_method):
        yield run(settings, strategy)
        return
    for target in targets:
        for method in names:
            folder = pathlib.Path(settings.run_dir) / target.replace(":", "_") / method
            chosen = {"target": target, "run_dir": str(folder)}
            chosen["method" if settings.method else "posterior"] = method
            try:
                yield run(dataclasses.replace(settings, **chosen), strategy)
            except TrainingError as error:  # the others go on
                yield {"target": target, "posterior": method, "failure": str(error)}


def _all_targets(settings):
    found = stored(settings.data_dir)
    if settings.data_dir and not found:
        raise UsageError(
            "Expected `data_dir` to be a folder with files of posteriordb; got "
            f"{settings.data_dir!r}."
        )
    return [*OWN, *found]


@program.command(PosteriorSettings, description=__doc__)
def cli(settings):
    """Prints a row for each run, and a summary of several."""
    # A process must join its cluster before it runs any operation of TensorFlow.
    strategy = workers.make_strategy(settings.strategy)
    how = functools.partial(program.how_to_go_on, settings)
    program.stop_at_once()
    print(report.HEADER, flush=True)
    found = []
    with workers.within_reach(strategy, how):
        for results in run_all(settings, strategy):
            if results is not None:
                print(report.row(results), flush=True)
                found.append(results)
    if not workers.is_chief(strategy):
        print("Done; the chief reports.")
        return
    if len(found) == 1 and found[0].get("failure"):
        return  # nothing was written
    if len(found) > 1:
        text = report.summary(found)
        report.write(found, pathlib.Path(settings.run_dir) / "report.md")
        print(f"\n{text}\n")
    print(f"Written to {settings.run_dir}.")
