"""What Ctrl-C and SIGTERM do to a run: it stops at once and says how to go on."""

import os
import pathlib
import shlex
import signal
import sys


def stop_at_once(message=lambda: "Stopped. The same command goes on from there."):
    """Makes Ctrl-C and SIGTERM end this process, with status 130 or 143.

    Args:
      message: function that returns what it then says.
    """

    def stop(number, frame):
        # No exception, which TensorFlow may swallow, and no clean-up, which a run that
        # survives `kill -9` can do without.
        os.write(sys.stderr.fileno(), f"\n{message()}\n".encode())
        os._exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)


def how_to_go_on(settings):
    """Returns one line that says how to continue the run of `settings`."""
    if getattr(settings, "strategy", None) == "multi_worker":
        return (
            "Stopped. To go on from the last finished epoch, start each worker again as "
            "before, once all have ended."
        )
    flags = pathlib.Path(settings.run_dir, "flags.txt")
    if not flags.is_file():
        return "Stopped before the run had begun; nothing was written."
    return (
        "Stopped. To go on from the last finished epoch: "
        f"tfp-flows {settings.PROGRAM} --flagfile={shlex.quote(str(flags))}"
    )
