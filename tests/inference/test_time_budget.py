"""Fits of slow targets end in time, and report the checks that they had no time for."""

import math
import time

import numpy as np
import pytest
import tensorflow as tf
from densities import density

import tfp_flows as tff
from tfp_flows.core.compiled import XLAIfPossible
from tfp_flows.inference import budget
from tfp_flows.inference.budget import Budget
from tfp_flows.inference.checks import verdict
from tfp_flows.inference.checks.findings import examine
from tfp_flows.inference.initial_flow import Start, standard, starting_flow
from tfp_flows.inference.modes import quasi_newton
from tfp_flows.inference.reparametrisation import FitSpace
from tfp_flows.inference.training import compiled_training, train


def sleepy(seconds):
    """A normal log-density that takes `seconds` for any number of points."""

    def on_host(x):
        time.sleep(seconds)
        return -0.5 * np.square(x).sum(axis=-1).astype(np.float32)

    @tf.custom_gradient
    def log_prob(x):
        value = tf.numpy_function(on_host, [x], tf.float32)
        value.set_shape(x.shape[:-1])
        return value, lambda upstream: -upstream[..., None] * x

    return log_prob


def test_budget_reserves_time_for_the_checks(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(budget.time, "monotonic", lambda: now[0])
    kept = Budget(1.0, None)
    kept.reserve_seconds(20.0, 0.5)
    now[0] += 30.0
    assert kept.seconds_left == 10.0
    assert kept.has_left(0.1)
    assert not kept.has_left(0.2)
    assert kept.reached() is None
    now[0] += 11.0
    assert "`max_minutes`, 1" in kept.reached()
    kept.reserve_seconds(1000.0, 0.5)
    assert kept.reserve == 30.0
    kept.reserve = 0.0
    assert kept.reached() is None
    kept.end()  # a step of training would have taken too long
    assert "`max_minutes`, 1" in kept.ended
    assert Budget(None, None).seconds_left == np.inf
    assert Budget(None, None).has_left(1.0)


def test_the_report_names_a_bound_that_ended_training_before_the_time_was_used(op_by_op):
    """Training ends in time for the checks, which may take less than is kept for them."""
    target = density(lambda x: -tf.reduce_sum(x**4, axis=-1))
    space = FitSpace(target, target._support)
    start = Start(space, [standard(2)], np.zeros([1, 2]), "words")
    training = compiled_training(start, seed=0, seconds=0.0)
    training._seconds_of_batch = 1e6  # so that none fits into the minute
    limits = Budget(1.0, None), Budget(None, 100)
    for limit, name in zip(
        limits, ("`max_minutes`, 1", "`max_gradients`, 100"), strict=True
    ):
        training.counters.assign(tf.zeros_like(training.counters))
        limit.num_gradients = 100
        train(training, limit, save=lambda: None, show=lambda *_: None)
        assert name in limit.ended


def test_climbs_end_when_their_time_is_over():
    calls = []

    def is_over():
        calls.append(None)
        return len(calls) > 2

    target = density(lambda x: -tf.reduce_sum((x - 1.0) ** 4, axis=-1))
    starts = np.array([[30.0, -20.0]])
    ends, values, num_gradients = quasi_newton(target, starts, is_over)
    assert num_gradients == 3
    assert values[0] < quasi_newton(target, starts)[1][0]
    assert np.isfinite(ends).all()


@pytest.mark.parametrize(
    ("seconds", "seconds_of_call", "by_xla"),
    [(60.0, math.inf, True), (0.1, math.inf, False), (60.0, 0.0, False)],
    ids=["in time", "compiles for too long", "runs for too long"],
)
def test_functions_run_by_xla_if_that_takes_the_time_that_there_is(
    seconds, seconds_of_call, by_xla
):
    traces = []

    def double(x):
        traces.append(None)
        time.sleep(1.0 if seconds < 1.0 and len(traces) == 1 else 0.0)
        return 2.0 * x

    function = XLAIfPossible(double)
    function.prepare(seconds, tf.ones([]), seconds_of_call=seconds_of_call)
    assert function.jit_compiled == by_xla
    assert function(tf.ones([])).numpy() == 2.0


def test_functions_that_raise_at_some_values_go_on_by_xla():
    function = XLAIfPossible(tf.linalg.inv, by_xla=False)
    matrices = tf.constant([2.0, 4.0])[:, None, None] * tf.eye(2)
    np.testing.assert_array_equal(function(matrices)[:, 0, 0], [0.5, 0.25])
    assert not function.jit_compiled
    found = function(tf.concat([matrices, tf.zeros([1, 2, 2])], axis=0)).numpy()
    np.testing.assert_allclose(found[:2, 0, 0], [0.5, 0.25])
    assert not np.isfinite(found[2]).any()
    assert function.jit_compiled


def test_xla_compiles_a_density_and_its_derivatives_once_for_all_points():
    """A density that raises errors, as a singular matrix does, goes on by XLA.

    XLA may take points for constants unless they are variables of a loop.
    """
    target = density(lambda x: -tf.reduce_sum(x**4 + x[..., :1] * x, axis=-1))
    x = np.array([[0.5, -1.0], [2.0, 0.25]])
    answers = []
    for by_xla in (False, True):
        for function in (target._log_probs, target._gradients, target._products):
            function.jit_compiled = by_xla
        answers.append([target.log_prob(x), target.gradient(x), target.curvature(x[0], x)])
    for ours, plain in zip(*map(tf.nest.flatten, answers), strict=True):
        np.testing.assert_allclose(ours, plain, rtol=1e-12)
    rows = tf.TensorSpec([2, 2], tf.float64)
    for function, count in (
        (target._log_probs, 1),
        (target._gradients, 1),
        (target._products, 2),
    ):
        traced = function._xla.get_concrete_function(*[rows] * count)
        assert any("While" in operation.type for operation in traced.graph.get_operations())


@pytest.mark.parametrize("by_xla", [True, False])
def test_what_tensorflow_raises_is_raised_where_xla_cannot_compile(by_xla):
    def inverse(x):
        return tf.linalg.inv(tf.numpy_function(np.asarray, [x], x.dtype))

    function = XLAIfPossible(inverse, by_xla)
    np.testing.assert_array_equal(function(tf.eye(2)), np.eye(2))
    with pytest.raises(tf.errors.InvalidArgumentError, match="not invertible"):
        function(tf.zeros([2, 2]))
    assert not function.jit_compiled


def with_loop(log_prob):
    def repeated(x):
        return tf.while_loop(lambda i, _: i < 3, lambda i, x: (i + 1, 0.5 * x), (0, x))[1]

    return lambda x: log_prob(repeated(x))


def test_xla_is_tried_for_loops_but_not_for_python_functions():
    norm = density(lambda x: -tf.norm(x, axis=-1))
    assert not norm.is_for_xla
    assert density(with_loop(lambda x: -tf.norm(x, axis=-1))).is_for_xla
    assert not density(with_loop(sleepy(0.0)), dtype=tf.float32).is_for_xla
    target = density(sleepy(0.0), dtype=tf.float32)
    assert not target.is_for_xla
    space = FitSpace(target, target._support)
    start = Start(space, [standard(2)], np.zeros([1, 2]), "words")
    training = compiled_training(start, seed=0, seconds=60.0)
    assert not training.jit_compiled
    assert training._block._xla.experimental_get_tracing_count() == 0
    assert not training.is_timed_out


# Seconds of a batch; infinite if not measured.
@pytest.mark.parametrize("seconds", [0.01, math.inf])
def test_checks_without_time_are_of_weights_alone_and_never_reliable(seconds, op_by_op):
    target = density(sleepy(0.01), dtype=tf.float32)
    target.gradient(np.zeros([1, 2]))
    target._seconds = seconds
    made = starting_flow([standard(2)], seed=0, dtype=tf.float32)
    left = 0.25 if math.isfinite(seconds) else -1.0
    space = FitSpace(target, target._support)
    start = Start(space, [standard(2)], np.zeros([0, 2]), "words")
    findings = examine(start, made, seed=0, seconds=left)
    checks = verdict.list_checks(findings)
    assert len(findings.weighted.x) < 2000
    assert findings.weighted.pareto_k < 0.5
    assert not verdict.agrees(checks)
    found, reasons = verdict.verdict(checks)
    assert found == "not reliable"
    assert any("no time for Markov chains" in reason for reason in reasons)


@pytest.mark.slow
@pytest.mark.parametrize(("seconds", "minutes"), [(0.2, 0.5), (0.03, 0.75)])
def test_fits_of_slow_targets_keep_to_their_minutes(seconds, minutes):
    start = time.monotonic()
    posterior = tff.fit_posterior(
        2, target_log_prob_fn=sleepy(seconds), seed=0, max_minutes=minutes
    )
    assert time.monotonic() - start < 60.0 * minutes + 5.0
    assert posterior.report.verdict == "not reliable"
    assert any("`max_minutes`" in reason for reason in posterior.report.reasons)
