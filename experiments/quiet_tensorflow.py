"""Slow packages that are loaded when they are first used, TensorFlow without messages.

For our commands only: `--help` and errors of flags then do not wait for the packages.
"""

import contextlib
import importlib.machinery
import os
import sys
import tempfile
import types

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
# They take seconds to import; a module-level use, as in `class A(keras.Model)`, loads them.
_SLOW = ("tensorflow", "tensorflow_probability", "keras", "tfp_flows", "scipy.stats")
_SLOW += ("matplotlib.pyplot", "sklearn.ensemble", "sklearn.gaussian_process")
_SLOW += ("sklearn.linear_model", "sklearn.model_selection", "sklearn.pipeline")
_SLOW += ("sklearn.preprocessing", "sklearn.svm", "sklearn.decomposition")
_SLOW += ("sklearn.neural_network",)


def install():
    """Delays slow imports, and hides TensorFlow's messages at its own, except warnings.

    The log level alone is not enough: TensorFlow writes some messages before it reads the
    level. With `TF_CPP_MIN_LOG_LEVEL=0` in the environment, all messages are shown.
    """
    if "tensorflow" not in sys.modules:
        os.environ.setdefault(_LEVEL, "1")
        sys.meta_path.insert(0, _LazyFinder())


class _LazyFinder:
    """Finds slow packages as Python does; they are loaded when they are first used.

    Python's own `LazyLoader` loads a package as soon as a second file imports it.
    """

    def find_spec(self, name, path, target=None):
        if name not in _SLOW:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is None:
            return None
        if name == "tensorflow" and os.environ[_LEVEL] != "0":
            execute = spec.loader.exec_module
            spec.loader.exec_module = lambda module: _execute_quietly(execute, module)
        spec.loader = _LazyLoader(spec.loader)
        return spec


class _LazyLoader:
    """Leaves a package without content until it loads itself by another loader."""

    def __init__(self, loader):
        self.loader = loader

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        # So that imports from within the package load it.
        vars(module).pop("__path__", None)
        module.__class__ = _LazyPackage


class _LazyPackage(types.ModuleType):
    def __getattr__(self, name):
        spec = self.__spec__
        self.__class__ = types.ModuleType
        if spec.submodule_search_locations is not None:
            self.__path__ = spec.submodule_search_locations
        self.__loader__ = spec.loader = spec.loader.loader
        spec.loader.exec_module(self)
        return getattr(self, name)


def _execute_quietly(execute, module):
    with _filtered_stderr():
        execute(module)
        module.config.list_physical_devices()  # the first search for GPUs


@contextlib.contextmanager
def _filtered_stderr():
    """Holds back standard error, and writes it at the end without `_is_noise` lines."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as written:
        os.dup2(written.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            written.seek(0)
            lines = written.read().decode(errors="replace").splitlines(keepends=True)
            sys.stderr.write("".join(line for line in lines if not _is_noise(line)))


def _is_noise(line):
    """Whether a line is information, its heading, or a note on a missing GPU."""
    is_information = line[:1] == "I" and line[1:5].isdigit()
    has_no_gpu = "cuInit" in line and not os.path.exists("/proc/driver/nvidia")
    return is_information or has_no_gpu or "absl::InitializeLog()" in line
