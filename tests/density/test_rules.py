"""What `fit_density` chooses for tables of several sizes."""

import dataclasses
import math

import pytest
from refusals import all_refused

from tfp_flows.density import rules_for


@pytest.mark.parametrize(
    ("size", "networks", "has_flow", "refits"),
    [
        ((20, 1), 8, False, True),  # flows overfit few rows
        ((499, 5), 8, False, True),
        ((500, 5), 8, True, True),
        ((2_000, 5), 8, True, False),
        ((4_999, 5), 4, True, False),
        ((4_999, 5, 3), 4, True, False),
        ((5_000, 5), 0, True, False),
        ((5_000, 5, 3), 0, True, False),
        ((19_999, 1), 4, True, False),  # networks of one variable are fast
        ((19_999, 1, 3), 4, True, False),
        ((20_000, 1), 0, True, False),
        ((2_000_000, 5), 0, True, False),
        ((2_000, 300), 0, True, False),  # splines of so many columns are too large
        ((100, 300), 0, True, True),  # there is always a model
    ],
)
def test_models_follow_from_the_size(size, networks, has_flow, refits):
    rules = rules_for(*size)
    counts = [rule.options["num_members"] for rule in rules.splines]
    assert (sum(counts), bool(rules.flows)) == (networks, has_flow)
    num_orders = min(networks // 2, math.factorial(min(size[1], 4)))
    orders = {rule.order for rule in rules.splines}
    assert len(counts) == len(orders) == num_orders
    assert {tuple(sorted(order)) for order in orders} <= {tuple(range(size[1]))}
    share = 0.2 if refits else min(0.1, 20_000 / size[0])
    assert (rules.refits, rules.held_out) == (refits, share)
    text = " ".join(rules.reasons)
    assert ("conditional splines" in text) == bool(networks)
    assert ("a neural spline flow of width" in text) == has_flow
    for rule in (rules.given_flow, *rules.flows.values()):
        assert 32 <= rule.batch_size <= 512
        assert 50 <= rule.steps_per_epoch <= 500
        assert rule.max_steps == round(60 * size[0] ** 0.5)
        width = rule.options["hidden_units"][0]
        assert rule.learning_rate == pytest.approx(6e-3 * 64 / width)


def test_networks_of_the_final_fit_follow_the_weights_of_the_orders():
    rules = rules_for(1_000, 5, 2)
    assert [rule.options["num_members"] for rule in rules.splines] == [2, 2, 2, 2]
    final = rules.for_all_rows([0.2, 0.0, 0.02, 0.18, 0.3, 0.0, 0.2, 0.1])
    assert [rule.order for rule in final.splines] == [
        rules.splines[k].order for k in (0, 2, 3)
    ]
    assert [rule.options["num_members"] for rule in final.splines] == [4, 1, 4]
    assert [*final.flows] == ["neural spline flow", "MAF of residuals"]
    assert final.has_gaussian
    alone = rules.for_all_rows([0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0])
    assert (alone.splines, [*alone.flows]) == ((), ["neural spline flow"])
    assert not alone.has_gaussian


@pytest.mark.parametrize(
    ("size", "name"),
    [((4_000, 3, 2), "MAF"), ((4_000, 1, 2), "neural spline flow"), ((100, 3, 2), None)],
)
def test_a_trial_is_short(size, name):
    rules = rules_for(*size)
    trial = rules.for_trial()
    rule = rules.flows[name] if name else rules.given_flow
    assert [*trial.flows] == [name or "neural spline flow"]
    (short,) = trial.flows.values()
    assert short == dataclasses.replace(rule, max_steps=rule.max_steps // 8)
    assert (trial.splines, trial.refits, trial.has_gaussian) == ((), False, True)


def test_few_rows_of_many_columns_have_a_gaussian_component():
    assert rules_for(89, 15).has_gaussian
    assert "a Gaussian" in rules_for(89, 15).reasons
    assert not rules_for(90, 15).has_gaussian
    assert not rules_for(60, 14).has_gaussian


def test_densities_given_a_context_have_more_components():
    plain, given, of_one = (
        rules_for(3_000, 5),
        rules_for(3_000, 5, 2),
        rules_for(3_000, 1, 2),
    )
    assert [*plain.flows] == [*of_one.flows] == ["neural spline flow"]
    assert [*given.flows] == ["neural spline flow", "MAF", "MAF of residuals"]
    assert (plain.has_gaussian, given.has_gaussian, of_one.has_gaussian) == (
        False,
        True,
        True,
    )
    assert "up to eight linear regressions on the context" in given.reasons


def test_a_given_number_of_steps_is_that_of_each_flow():
    rules = rules_for(3_000, 5, 2, max_steps=7)
    steps = [rule.max_steps for rule in (rules.given_flow, *rules.flows.values())]
    assert steps == [7, 7, 7, 7]


def test_flows_of_light_tails_have_a_normal_base():
    heavy, light = (
        rules_for(3_000, 5, 2, light_tails=is_light) for is_light in (False, True)
    )
    assert all(rule.options["heavy_tails"] is False for rule in light.flows.values())
    assert not any("heavy_tails" in rule.options for rule in heavy.flows.values())
    assert light.given_flow.options["bound"] == 6.0


def test_many_rows_of_light_tails_have_one_more_flow_without_dropout():
    few, many = (rules_for(n, 5, 2, light_tails=True).flows for n in (2_999, 3_000))
    names = ["neural spline flow", "MAF", "MAF of residuals"]
    assert [*few] == names
    assert [*many] == [*names, "second MAF of residuals"]
    assert [rule.options["dropout"] for rule in many.values()] == [0.1, 0.0, 0.1, 0.0]
    first, second = many["MAF of residuals"], many["second MAF of residuals"]
    assert second.constructor is first.constructor


def test_averaged_weights_are_those_of_about_an_epoch():
    momenta = [
        rules_for(count, 2).given_flow.optimizer().ema_momentum
        for count in (20, 10**4, 10**7)
    ]
    assert momenta == pytest.approx([0.98, 0.98, 0.998])


test_bad_calls_are_refused = all_refused(
    [
        (lambda: rules_for(0, 2), "`num_rows` | 0"),
        (lambda: rules_for(20, 0), "`event_size` | 0"),
        (lambda: rules_for(20, 2, -1), "`context_size` | -1"),
        (lambda: rules_for(20, 2, max_steps=0), "`max_steps` | 0"),
    ]
)
