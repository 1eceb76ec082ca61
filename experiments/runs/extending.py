"""Whether a finished run is asked for more, and what it notes of how far it was to go."""

from experiments.runs import run_directory
from experiments.runs.checkpointing import CheckpointFolder
from experiments.runs.run_directory import RunDirectoryError

__all__ = [
    "MAY_GROW",
    "describe_restarts",
    "is_complete",
    "notes",
    "refuse_lost_end",
    "remark",
]

# Flags of which a run, finished or not, may be given more.
MAY_GROW = ("epochs",)


def is_complete(settings):
    """Whether `settings.run_dir` holds a finished run that is asked for nothing more.

    More is a greater `epochs`, or, where the time was up before, a greater `max_minutes`.

    Args:
      settings: any settings with `run_dir`, `epochs` and `max_minutes`.
    """
    results = run_directory.finished_results(settings.run_dir)
    if results is None:
        return False
    limits = results.get("limits") or _older_limits(settings)
    minutes = limits["max_minutes"]
    wants_minutes = minutes is not None and not 0.0 < settings.max_minutes <= minutes
    return settings.epochs <= limits["epochs"] and not wants_minutes


def notes(save_run, settings):
    """Returns how long training took, and what ended it, as plain data.

    Args:
      save_run: the `SaveRun` of the training.
      settings: as of `is_complete`.
    """
    is_late = save_run.num_epochs < settings.epochs and not save_run.is_stopped
    minutes = settings.max_minutes if is_late else None
    restarts = [
        restart
        for restart in save_run.schedule_restarts
        if restart["after_epoch"] < save_run.num_epochs
    ]
    return {
        "training_seconds": save_run.seconds,
        "limits": {"epochs": settings.epochs, "max_minutes": minutes},
        **({"schedule_restarts": restarts} if restarts else {}),
    }


def remark(before, results):
    """Returns in a sentence what the results of an extended run are of.

    Args:
      before: the results of the run until then.
      results: those that have taken their place.
    """
    first, last = before["num_epochs"], results["num_epochs"]
    if first == last:
        return (
            f"No epoch was added to the {first}: training had ended by itself (see "
            "--patience), or its time is up."
        )
    return f"The run went on from epoch {first} to epoch {last}."


def describe_restarts(restarts):
    """Returns in words how the step size of an extended run went; empty if as ever."""
    if not restarts:
        return ""
    turns = [f"over {r['epochs']} from epoch {r['after_epoch'] + 1} on" for r in restarts]
    first = restarts[0]["epochs_before"]
    return (
        f"fell along a cosine over {first} epochs, and {', then '.join(turns)}: a run of "
        f"{restarts[-1]['epochs']} epochs without a stop ends at other numbers"
    )


def refuse_lost_end(run_dir):
    """Raises `RunDirectoryError` if a finished run left nothing to go on from."""
    is_finished = run_directory.finished_results(run_dir) is not None
    if is_finished and CheckpointFolder(run_dir / "checkpoints").is_empty:
        raise RunDirectoryError(
            f"Expected the last checkpoint of the run in {run_dir}, to go on from; got "
            f"none. Choose another --run_dir, with --init_from={run_dir} to start from its "
            "weights."
        )


def _older_limits(settings):
    """Returns the limits of a run that did not note them."""
    epochs = run_directory.flags_there(settings.run_dir).get("epochs", settings.epochs)
    return {"epochs": int(epochs), "max_minutes": None}
