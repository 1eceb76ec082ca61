"""The command line of `experiments.density_estimation`."""

import sys

from experiments.density_estimation import cli

if __name__ == "__main__":
    sys.exit(cli(sys.argv))
