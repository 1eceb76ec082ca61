"""Reports as plain values."""

import dataclasses
import json

import numpy as np

from tfp_flows.core.check import Check, Report


@dataclasses.dataclass(frozen=True)
class Outer(Report):
    checks: tuple
    ranks: np.ndarray
    inner: Report


@dataclasses.dataclass(frozen=True)
class Inner(Report):
    checks: tuple


def test_plain_values_are_those_of_a_json_file():
    checks = (Check.at_most("zeros", 0.2, 0.1, "Use floats."),)
    plain = Outer(checks, np.arange(3), Inner(checks)).to_plain()
    assert json.loads(json.dumps(plain)) == plain
    assert Inner.from_plain(plain["inner"]) == Inner(checks)
