"""How flows are printed and shown in help, and which directions are sequential."""

import inspect
import pydoc

import pytest
import tensorflow_probability as tfp

import tfp_flows as tff

tfb = tfp.bijectors
SMALL = {"num_steps": 2, "hidden_units": (4,), "seed": 0}


def test_print_shows_the_steps():
    flow = tff.RealNVP(2, context_size=3, **SMALL)
    head, columns, *rows = str(flow).split("\n")
    count = sum(v.shape.num_elements() for v in flow.trainable_variables)
    expected = f'RealNVP "real_nvp": event shape [2], context of 3, {count} + 16 fixed'
    assert head == f"{expected} parameters, float32"
    assert columns.split() == ["step", "class", "event", "shape", "parameters"]
    assert [row.split()[:3] for row in rows] == [
        ["decorrelate", "Decorrelate", "[2]"],
        ["coupling", "Coupling", "[2]"],
        ["coupling", "Coupling", "[2]"],
        ["heavy_tails", "HeavyTails", "[2]"],
    ]
    assert repr(flow) == f"<{head}>"


def test_print_of_a_distribution_shows_base_and_steps():
    flow = tff.FlowChain([tfb.Exp(), tff.Invert(tff.MAF(3, **SMALL))])
    distribution = tff.FlowDistribution(tff.standard_normal(3), flow)
    text = str(distribution)
    assert text.startswith(f'FlowDistribution "{distribution.name}": event shape [3], no')
    assert 'base "IndependentNormal": event shape (3,), 0 parameters' in text
    assert [line.split()[0] for line in text.split("\n")[4:6]] == ["exp", "invert_maf"]
    assert "    masked_autoregressive" in text
    assert repr(distribution).count("\n") == 0


CLASSES = [name for name in tff.__all__ if isinstance(getattr(tff, name), type)]


@pytest.mark.parametrize("name", CLASSES)
def test_help_shows_our_arguments_only(name):
    own = vars(getattr(tff, name)).get("__init__")
    doc = inspect.getdoc(own) or "" if own is not None else ""
    assert "Constructs" not in doc
    assert "Args:" not in doc
    text = pydoc.plaintext.document(getattr(tff, name))
    assert "Constructs Bijector." not in text.split("inherited from")[0]


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
    "multi-scale": (tff.MultiScale([tfb.Permute([1, 0])], (2, 2, 2)), set()),
    "real_nvp": (tff.RealNVP(3), set()),
    "shift": (tff.FlowChain([tfb.Shift(1.0)]), set()),
}


@pytest.mark.parametrize("name", DIRECTIONS)
def test_directions_of_parts_and_wholes(name):
    bijector, expected = DIRECTIONS[name]
    assert bijector.sequential_directions == expected
