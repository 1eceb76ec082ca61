"""Fresh processes: forks of one that has imported TensorFlow, and neither TFP nor us.

So each knows what its function imports, without the seconds that TensorFlow's import takes.
"""

import multiprocessing
import os
import sys

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tensorflow"])


def start(function, *arguments, output=None):
    """Starts a process that calls `function`, of a module, and returns it.

    Args:
      function: what is called; what it returns is the status, None for 0.
      *arguments: of `function`.
      output: a file or terminal to which the process writes, or None for this one's.
    """
    process = CONTEXT.Process(target=_call, args=(function, arguments, output))
    process.start()
    return process


def run(function, *arguments, output):
    """Calls `function` in a process, which has to end well."""
    process = start(function, *arguments, output=output)
    process.join(300)
    assert process.exitcode == 0, output.read_text()[-4000:]


def _call(function, arguments, output):
    if output is not None:
        file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOCTTY)
        for stream in (sys.stdout, sys.stderr):
            os.dup2(file, stream.fileno())
    sys.exit(function(*arguments))
