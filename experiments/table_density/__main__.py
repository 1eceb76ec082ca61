"""The command line of `experiments.table_density`."""

import sys

from experiments.table_density import cli

if __name__ == "__main__":
    sys.exit(cli(sys.argv))
