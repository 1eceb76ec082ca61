"""What Ctrl-C and SIGTERM do to a run: it stops at once and says how to go on."""

import os
import signal
import sys


def stop_at_once(run_dir):
    """Makes Ctrl-C and SIGTERM end this process, with status 130 or 143.

    Args:
      run_dir: folder of the run, for the message.
    """

    def stop(number, frame):
        # No exception, which TensorFlow may swallow, and no clean-up, which a run that
        # survives `kill -9` can do without.
        os.write(sys.stderr.fileno(), f"\n{how_to_go_on(run_dir)}\n".encode())
        os._exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)


def how_to_go_on(run_dir):
    """Returns one line with the command that continues the run."""
    command = f"python -m experiments.density_estimation --flagfile={run_dir}/flags.txt"
    return f"Stopped. To go on from the last finished epoch: {command}"
