"""The command `tfp-flows`: one name for all programs that users run.

`python -m tfp_flows` is the same with TensorFlow's messages, and so is
`python -m experiments` in a checkout of the repository.
"""

import argparse
import importlib
import importlib.metadata
import os
import signal
import sys

# Command -> module of `experiments` with its `cli`, and a description.
COMMANDS = {
    "density": ("density_estimation", "fit a flow to rows or images"),
    "table": ("table_density", "fit the density of a table with columns of any kind"),
    "vae": ("iaf_vae", "fit a variational autoencoder to images"),
    "posterior": ("posterior_inference", "fit posteriors, beside reference draws"),
    "simulation": ("simulation_inference", "fit posteriors of a simulator, for any data"),
    "neutra": ("neutra", "run NUTS through a trained flow, beside plain NUTS"),
    "score": ("score", "write the log-density of each row of a table, or picture"),
    "sample": ("sample", "draw rows of a fitted model into a table"),
    "predict": ("predict", "predict a column by quantiles or probabilities"),
    "compare": ("compare", "put finished runs side by side"),
    "folds": ("folds", "fit recipes to several divisions of their data"),
    "prediction_folds": ("prediction_folds", "predict a column in folds, beside baselines"),
    "out_of_distribution": ("out_of_distribution", "score images of other data sets"),
}


def main(argv=None):
    """Runs a command line, by default that of the process; returns the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    name = _parser().parse_args(argv[:1]).command
    # Threads of scikit-learn's trees spin while they wait for each other. Beside another
    # program, their report of a small table took eight minutes instead of seconds.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    before = signal.signal(signal.SIGINT, lambda *_: _stop(name))
    try:
        module = importlib.import_module(f"experiments.{COMMANDS[name][0]}")
        return module.cli([f"tfp-flows {name}", *argv[1:]])
    except ModuleNotFoundError as error:
        print(
            f"{name}: Expected the packages that commands need; got no `{error.name}`: "
            "pip install 'tfp_flows[tfp,experiments]'",
            file=sys.stderr,
        )
        return 1
    finally:
        signal.signal(signal.SIGINT, before)


def _stop(name):
    """Ends this process after Ctrl-C; TensorFlow's imports may swallow an exception."""
    os.write(2, f"\n{name}: Stopped.\n".encode())
    os._exit(128 + signal.SIGINT)


def _parser():
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {text}" for name, (_, text) in COMMANDS.items()]
    parser = argparse.ArgumentParser(
        "tfp-flows",
        usage="tfp-flows COMMAND [--FLAG=VALUE ...]",
        description="Normalizing flows from the command line.",
        epilog="\n".join(["commands:", *lines, "", "Each has --help."]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    version = importlib.metadata.version("tfp_flows")
    parser.add_argument("--version", action="version", version=f"tfp_flows {version}")
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="see below")
    return parser


if __name__ == "__main__":
    sys.exit(main())
