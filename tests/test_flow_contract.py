"""The contract of flows as distributions."""

import inspect

import flow_cases
import numpy as np
import pytest
import tensorflow as tf
from random_weights import randomize, values
from subject import close, differ

import tfp_flows as tff

CASES = flow_cases.CASES
COUPLING_FLOWS = {"nice": tff.NICE, "real_nvp": tff.RealNVP}
FLOWS = COUPLING_FLOWS | {"maf": tff.MAF, "iaf": tff.IAF}
# These do not start as the identity: a gate starts below 1, and a random order permutes.
NOT_IDENTITY = {"iaf_context", "maf_random_lu_everything", "spline_coupling"}
NOT_IDENTITY |= set(flow_cases.IMAGES)  # these rotate channels, or squash pixels
TINY = {"num_steps": 2, "hidden_units": (4,), "activation": "tanh"}


@pytest.mark.parametrize("name", [n for n in CASES if n not in NOT_IDENTITY])
@pytest.mark.usefixtures("op_by_op")
def test_starts_as_the_identity(name):
    case = CASES[name]
    flow, x = case.build("float32"), case.points((7,)).astype(np.float32)
    context = {k: v.astype(np.float32) for k, v in case.context((7,)).items()}
    z, log_det = flow.inverse_and_log_det(x, **context)
    assert np.max(np.abs(z - x)) < 1e-5
    assert np.max(np.abs(log_det)) < 1e-5 * x.shape[-1]


@pytest.mark.slow_ids("[im]a*-float64-1e-09", "nice*")
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-4), ("float64", 1e-9)])
@pytest.mark.parametrize("name", FLOWS)
@pytest.mark.usefixtures("op_by_op")
def test_many_steps_round_trip_after_perturbation(name, dtype, tolerance):
    num_steps = 32 if name in COUPLING_FLOWS else 8  # each step has a loop
    flow = FLOWS[name](4, **{**TINY, "num_steps": num_steps}, seed=0, dtype=dtype)
    rng = np.random.default_rng(0)
    for weight in flow.trainable_variables:
        weight.assign_add(tf.cast(rng.normal(size=weight.shape) * 0.1, dtype))
    x = rng.normal(size=(64, 4)).astype(dtype)
    z, log_det = flow.inverse_and_log_det(x)
    y, minus_log_det = flow.forward_and_log_det(z.numpy())
    assert differ(z, x)
    assert np.max(np.abs(y - x)) <= tolerance
    assert np.max(np.abs(log_det + minus_log_det)) <= tolerance


IMAGE = {"num_levels": 2, "num_steps": 2, "hidden_channels": 4}
SEEDED = {
    **{name: lambda s, f=flow: f(3, seed=s, **TINY) for name, flow in FLOWS.items()},
    "glow": lambda s: tff.Glow((4, 8, 1), seed=s, **IMAGE),
}


@pytest.mark.parametrize("name", SEEDED)
def test_integer_seed_reproduces_weights_and_steps_differ(name):
    flow, same, other = (SEEDED[name](seed) for seed in (5, 5, 6))
    for a, b in zip(values(flow), values(same), strict=True):
        np.testing.assert_array_equal(a, b)
    assert any(differ(a, b) for a, b in zip(values(flow), values(other), strict=True))
    conditioners = [m for m in flow.submodules if isinstance(m, tff.Conditioner)]
    first, second = (values(conditioner)[0] for conditioner in conditioners[:2])
    assert first.shape != second.shape or differ(first, second)


@pytest.mark.usefixtures("op_by_op")
def test_nice_preserves_volume_but_for_its_scaling():
    flow = randomize(tff.NICE(3, standardize=False, seed=1, **TINY))
    log_scale = [w for w in flow.trainable_variables if "log_scale" in w.name][0]
    x = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    log_det = flow.inverse_and_log_det(x)[1]
    close(log_det, np.full(5, np.sum(log_scale)), 1e-5)


def test_nice_for_mnist_has_the_size_of_the_papers():
    """Other implementations of the paper's MNIST flow have the same count."""
    nice = tff.NICE(784, num_steps=4, hidden_units=(1000,) * 5, standardize=False)
    assert sum(np.prod(v.shape) for v in nice.trainable_variables) == 19_158_352


def test_signatures_and_configurations_list_the_shared_options():
    parameters = inspect.signature(tff.IAF).parameters
    config = tff.IAF(3, residual=True, seed=1).get_config()
    assert config.keys() == parameters.keys()
    assert (config["residual"], config["standardize"], config["seed"]) == (True, False, 1)
    assert inspect.signature(tff.MAF).parameters["standardize"].default is True
