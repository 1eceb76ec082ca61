"""Commands that train, evaluate and draw, and their data."""

import sys

# The installed name of this folder is `tfp_flows_experiments`, since users may have a
# package `experiments`. A process that runs a command can use the short name too.
sys.modules.setdefault("experiments", sys.modules[__name__])

from experiments import quiet_tensorflow  # noqa: E402

quiet_tensorflow.install()
