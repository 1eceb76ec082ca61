"""The command line of `experiments.posterior_inference`."""

import sys

from experiments.posterior_inference import cli

if __name__ == "__main__":
    sys.exit(cli(sys.argv))
