"""Start of TensorFlow without its messages, for our commands only."""

import contextlib
import importlib.machinery
import os
import sys
import tempfile

_LEVEL = "TF_CPP_MIN_LOG_LEVEL"


def install():
    """Hides TensorFlow's messages at its import, except warnings.

    The log level alone is not enough: TensorFlow writes some messages before it reads the
    level. With `TF_CPP_MIN_LOG_LEVEL=0` in the environment, all messages are shown.
    """
    if os.environ.setdefault(_LEVEL, "1") != "0" and "tensorflow" not in sys.modules:
        sys.meta_path.insert(0, _QuietFinder())


class _QuietFinder:
    """Finds TensorFlow as Python does, and loads it without messages."""

    def find_spec(self, name, path, target=None):
        if name != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None:
            execute = spec.loader.exec_module
            spec.loader.exec_module = lambda module: _execute_quietly(execute, module)
        return spec


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
