"""Commands that train, evaluate and draw, and the data that they use."""

import sys

# An installed package calls this folder `tfp_flows_experiments`, since `experiments` may be
# the user's own. In a process that runs a command, it has the short name, too.
sys.modules.setdefault("experiments", sys.modules[__name__])

from experiments import quiet_tensorflow  # noqa: E402

quiet_tensorflow.install()
