"""What `fit_density` chooses for tables of several sizes."""

import pytest
from refusals import bad_calls

from tfp_flows.density import rules_for


@pytest.mark.parametrize(
    ("size", "splines", "flows", "refits"),
    [
        ((20, 1), 8, 0, True),  # flows overfit few rows
        ((499, 5), 8, 0, True),
        ((500, 5), 8, 2, False),
        ((19_999, 5, 3), 8, 2, False),
        ((20_000, 5), 0, 1, False),
        ((1_000, 200), 0, 1, False),  # splines of so many columns are too large
        ((100, 200), 0, 1, True),  # there is always a model
    ],
)
def test_models_follow_from_the_size(size, splines, flows, refits):
    rules = rules_for(*size)
    assert (rules.num_members, rules.num_flows) == (splines, flows)
    assert (rules.refits, rules.held_out) == (refits, 0.2 if refits else 0.1)
    text = " ".join(rules.reasons)
    assert ("mean of 8 networks" in text) == bool(splines)
    assert (f"{flows} neural spline flows of width" in text) == bool(flows)
    assert 32 <= rules.batch_size <= 512
    assert 1 <= rules.steps_per_epoch <= 500


def test_averaged_weights_are_those_of_about_an_epoch():
    momenta = [rules_for(count, 2).optimizer().ema_momentum for count in (20, 10**4, 10**7)]
    assert momenta == pytest.approx([0.9, 1.0 - 1.0 / 39, 0.998])


@bad_calls(
    [
        (lambda: rules_for(0, 2), "`num_rows` | 0"),
        (lambda: rules_for(20, 0), "`event_size` | 0"),
        (lambda: rules_for(20, 2, -1), "`context_size` | -1"),
    ]
)
def test_bad_calls_are_refused(call, words, check_refused):
    check_refused(call, words)
