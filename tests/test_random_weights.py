"""Two flows that are built alike get equal random weights, whatever was built before."""

import numpy as np
import pytest
from random_weights import randomize
from random_weights import values

import tfp_flows as tff


@pytest.mark.parametrize("flow", [tff.RealNVP, tff.MAF])
def test_weights_do_not_depend_on_what_was_built_before(flow):
    def weights():
        return values(randomize(flow(4, num_steps=3, hidden_units=(8,))))

    first = weights()
    # Past a power of ten in the numbers of Keras's layers, amid the three of one flow.
    for _ in range(10):
        for one, other in zip(first, weights(), strict=True):
            np.testing.assert_array_equal(one, other)
