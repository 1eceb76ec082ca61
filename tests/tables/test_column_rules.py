"""A new kind of computed column, which tables keep without any other change."""

import dataclasses

import numpy as np
import pytest
from small_tables import column, fitted, saved_and_loaded

import tfp_flows as tff
from tfp_flows.tables import TableColumns, columns
from tfp_flows.tables.rules.rule import Computed

COUNT = 100
KIND = np.array(["a", "b", "c"], object)[np.arange(COUNT) % 3]
ROWS = {
    "capital": np.array([kind.upper() for kind in KIND], object),
    "kind": KIND,
    "size": np.random.default_rng(0).normal(size=COUNT),
}


@dataclasses.dataclass
class Capital(Computed):
    name: str
    source: str
    is_capital: bool = True
    reason: str = ""

    @property
    def label(self):
        return f"{self.name} = capital of {self.source}"

    def __call__(self, source):
        return np.array([each and each.upper() for each in source], object)

    def inverse(self, values):
        return np.array([each and each.lower() for each in values], object)

    def holds(self, source, values):
        return self(source) == values


@pytest.mark.usefixtures("op_by_op")
def test_a_new_rule_is_kept(tmp_path, monkeypatch):
    monkeypatch.setitem(columns._RULES, "is_capital", ("functions", Capital))
    described = [
        column("capital", "categorical", values=["A", "B", "C"]),
        column("kind", "categorical", values=["a", "b", "c"]),
        column("size"),
    ]
    described = TableColumns(described, functions=[Capital("capital", "kind")])
    assert "capital = capital of kind  function" in str(described)
    table = fitted(described, ROWS)
    _, table = saved_and_loaded(table, tmp_path / "table.keras")
    drawn = table.sample(50, seed=0)
    assert [kind.upper() for kind in drawn["kind"]] == list(drawn["capital"])
    wrong = {**ROWS, "capital": np.where(np.arange(COUNT) == 1, "A", ROWS["capital"])}
    is_possible = np.isfinite(table.log_prob(wrong))
    np.testing.assert_array_equal(is_possible, np.arange(COUNT) != 1)
    broken = tff.tables.violated_rules(wrong, described)["capital = capital of kind"]
    np.testing.assert_array_equal(broken, ~is_possible)
    lost = {"capital": [None, "B"], "kind": ["c", None], "size": [0.0, 1.0]}
    filled = table.impute(lost, seed=0)
    assert [*filled["capital"], *filled["kind"]] == ["C", "B", "c", "b"]
