"""Provenance of a number: the command, the versions and the machine that made it."""

import importlib.metadata
import os
import platform
import shlex

import tensorflow as tf

__all__ = ["command", "described", "machine", "from_run", "versions"]

_PACKAGES = ("tensorflow", "tensorflow-probability", "keras", "numpy")


def from_run(settings):
    """Returns the provenance of a run of a `FlagSettings` as plain data."""
    return {
        "command": command(settings),
        "versions": versions(),
        "machine": machine(),
    }


def described(results):
    """Returns what a reader needs of it, by name.

    Args:
      results: with what `of_run` returns.
    """
    return {
        "versions": ", ".join(f"{k} {v}" for k, v in results["versions"].items()),
        "machine": results["machine"],
    }


def command(settings):
    """Returns the shell command that repeats the run of a `FlagSettings`."""
    flags = map(shlex.quote, settings.flags(only_changed=True))
    return " ".join([f"tfp-flows {settings.PROGRAM}", *flags])


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
