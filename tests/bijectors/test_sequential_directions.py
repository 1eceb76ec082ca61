"""Which directions of steps, and of what is made of them, are sequential."""

import pytest
import tensorflow_probability as tfp

import tfp_flows as tff

tfb = tfp.bijectors
MAF, IAF = tff.MAF(3, num_steps=1), tff.IAF(3, num_steps=1)
FORWARD, INVERSE = {"forward"}, {"inverse"}
STOCK = tfb.MaskedAutoregressiveFlow(lambda x: (x, x))
DIRECTIONS = {
    "maf": (MAF, FORWARD),
    "iaf": (IAF, INVERSE),
    "inverted maf": (tff.Invert(MAF), INVERSE),
    "inverted iaf": (tff.Invert(IAF), FORWARD),
    "chain of both": (tff.FlowChain([MAF, IAF]), FORWARD | INVERSE),
    "stock chain": (tff.FlowChain([tfb.Chain([tfb.Exp(), IAF])]), INVERSE),
    "stock maf": (tff.FlowChain([STOCK]), FORWARD),
    "multi-scale": (tff.MultiScale([tff.Permutation([1, 0])], (2, 2, 2)), set()),
    "real_nvp": (tff.RealNVP(3), set()),
    "shift": (tff.FlowChain([tfb.Shift(1.0)]), set()),
}


@pytest.mark.parametrize("name", DIRECTIONS)
def test_directions_of_parts_and_wholes(name):
    bijector, expected = DIRECTIONS[name]
    assert bijector.sequential_directions == expected
