"""The command line of `experiments.iaf_vae`."""

import sys

from experiments.iaf_vae import cli

if __name__ == "__main__":
    sys.exit(cli(sys.argv))
