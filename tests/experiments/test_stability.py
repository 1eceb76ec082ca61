"""The benchmark of deep flows in float32: what its table says of a small flow."""

import functools

import pytest

import tfp_flows
from benchmarks import stability


@pytest.mark.usefixtures("op_by_op")
def test_errors_are_those_of_each_dtype():
    make = functools.partial(tfp_flows.RealNVP, 4, num_steps=2, hidden_units=(8,), seed=0)
    narrow, wide, from_log_det, largest = stability.errors(make, 0.1, 1e6)
    assert 1e-9 < narrow < 1e-4
    assert wide < 1e-12
    assert 0.0 < from_log_det < 1e-3
    assert largest > 40.0  # four times the logarithm of the unit
