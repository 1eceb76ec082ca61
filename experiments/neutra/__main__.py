"""The command line of `experiments.neutra`."""

import sys

from experiments.neutra import cli

if __name__ == "__main__":
    sys.exit(cli(sys.argv))
