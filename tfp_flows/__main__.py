"""`python -m tfp_flows`: the command `tfp-flows`, beside TensorFlow's own messages."""

import importlib
import importlib.util
import sys

if __name__ == "__main__":
    # The folder of the commands has another name where it is installed.
    is_installed = importlib.util.find_spec("tfp_flows_experiments")
    folder = "tfp_flows_experiments" if is_installed else "experiments"
    sys.exit(importlib.import_module(f"{folder}.__main__").main())
