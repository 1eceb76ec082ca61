"""Contenders in another process, possibly with another environment.

Both ends are in this file: `Worker` starts the other interpreter with this file, where
`serve` builds and runs contenders. A waiting worker uses no processor time.
"""

import concurrent.futures
import dataclasses
import functools
import multiprocessing
import os
import pickle
import subprocess
import sys
import time


class Worker:
    """A process that builds and runs contenders for this one.

    Args:
      interpreter: path of the Python that runs it.
      folder: first folder on its path; None: the current one.
      num_cpus: number of processors that it may use, on Linux; None: all.
      processor_time: whether its contenders' clock is the time of the processors that it
        takes, on which other jobs have less influence.
    """

    def __init__(self, interpreter, *, folder=None, num_cpus=None, processor_time=False):
        command = [interpreter, "-m", __name__]
        cpus = sorted(os.sched_getaffinity(0))[:num_cpus] if num_cpus else None
        self._clock = functools.partial(self._ask, ("clock",)) if processor_time else None
        self._process = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Before libraries count the processors for their threads.
            preexec_fn=cpus and functools.partial(os.sched_setaffinity, 0, cpus),
        )

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._process.stdin.close()
        self._process.wait()

    def build(self, function, *args, **kwargs):
        """Returns the `Contender` that a function with these arguments builds there.

        It is a function of a module that this process can import, too; its arguments can be
        pickled. An error there, such as `ImportError` of a missing package, is raised here.
        """
        index, contender = self._ask(("build", function, args, kwargs))
        run = functools.partial(self._ask, ("run", index))
        return dataclasses.replace(contender, run=run, clock=self._clock)

    def first_run(self, function, *args, **kwargs):
        """Returns the first result of a contender of `build`, and its processor seconds.

        Each call is in a new process, a fork of the worker, which has imported the module
        of the function and whatever that imports.
        """
        return self._ask(("first_run", function, args, kwargs))

    def _ask(self, request):
        # Bytes, so that a reply that cannot be unpickled there does not end the worker.
        pickle.dump(pickle.dumps(request), self._process.stdin)
        self._process.stdin.flush()
        reply, error = pickle.load(self._process.stdout)
        if error is not None:
            raise error
        return reply


def serve(requests, replies):
    """Answers requests until there are no more."""
    contenders = []
    while True:
        try:
            request = pickle.load(requests)
        except EOFError:
            return
        try:
            answer = _answer(pickle.loads(request), contenders), None
        except Exception as error:
            answer = None, error
        pickle.dump(answer, replies)
        replies.flush()


def _answer(request, contenders):
    kind, *rest = request
    if kind == "run":
        return contenders[rest[0]].run()
    if kind == "clock":
        return time.process_time()
    function, args, kwargs = rest
    if kind == "first_run":
        fork = multiprocessing.get_context("fork")
        with concurrent.futures.ProcessPoolExecutor(1, mp_context=fork) as pool:
            return pool.submit(_first_run, function, args, kwargs).result()
    contenders.append(function(*args, **kwargs))
    return len(contenders) - 1, dataclasses.replace(contenders[-1], run=None)


def _first_run(function, args, kwargs):
    contender = function(*args, **kwargs)
    start = time.process_time()
    result = contender.run()
    return result, time.process_time() - start


if __name__ == "__main__":
    # Text that a library prints must not mix with the replies.
    own = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(sys.stdin.buffer, own)
