"""The package margarine on our MAF, under margarine's own tests.

    python -m experiments.compatibility.margarine TESTS [PYTEST_ARGUMENT ...]

margarine 1.4.1 is installed beside this package (`pip install margarine==1.4.1`), and TESTS
is the folder `tests` of its source distribution (`pip download --no-deps --no-binary :all:
margarine==1.4.1`). Only the method `MAF.gen_mades`, which builds the flow, is replaced.
`--stock` runs the tests on margarine's own flow.

The random orderings of the variables are saved with the weights. All 13 tests of
`test_stats.py` and `test_importance_sampling.py` pass; `test_clusters.py` needs a package
that is not on PyPI.
"""

import sys

import pytest
import tensorflow_probability as tfp
from margarine.maf import MAF

import tfp_flows

_stock_gen_mades = MAF.gen_mades


class _Step:
    """A step of a flow with the two methods of Keras that margarine calls to save it."""

    def __init__(self, bijector):
        self._bijector = bijector

    def get_weights(self):
        return [variable.numpy() for variable in self._bijector.variables]

    def set_weights(self, weights):
        for variable, value in zip(self._bijector.variables, weights, strict=True):
            variable.assign(value)


def replace_flows():
    """Makes each new `margarine.maf.MAF` use `tfp_flows.MAF`."""
    MAF.gen_mades = _gen_mades


def _gen_mades(self):
    _stock_gen_mades(self)  # makes the base too
    self.bij = tfp_flows.MAF(
        len(self.theta_min),
        num_steps=self.number_networks,
        hidden_units=self.hidden_layers,
        activation=self.activation_func,
        random_orderings=True,
        standardize=False,  # margarine standardises the samples itself
    )
    self.mades = [_Step(bijector) for bijector in self.bij.bijectors]
    self.maf = tfp.distributions.TransformedDistribution(self.base, self.bij)
    return self.bij, self.maf


def main(arguments):
    """Runs margarine's tests and returns pytest's exit status."""
    arguments = list(arguments)
    if not arguments or arguments[0].startswith("-"):
        print(__doc__)
        return 2
    if "--stock" in arguments:
        arguments.remove("--stock")
    else:
        replace_flows()
    return pytest.main([*arguments, "-p", "no:cacheprovider"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
