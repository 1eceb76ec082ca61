"""The diagnostics: right flows pass, wrong ones are found."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

import tfp_flows
from experiments.data.dataset import Dataset
from experiments.density_estimation import diagnostics
from experiments.density_estimation import pictures
from experiments.density_estimation.diagnostics import Subject
from experiments.density_estimation.settings import Settings


def subject(shift, rng, base=tfp_flows.standard_normal):
    """Standard normal data under a flow that is off by `shift`."""
    flow = tfp_flows.RealNVP(2, num_steps=2, hidden_units=(4,), standardize=False, seed=0)
    rows = rng.normal(size=(2000, 2)).astype(np.float32) + np.float32(shift)
    dataset = Dataset("normal", rows, rows, rows)
    distribution = tfp_flows.FlowDistribution(base(2), flow)
    return Subject(distribution, dataset, Settings(num_samples=1000))


def test_ks_distance_agrees_with_scipy(rng):
    u = rng.beta(1.2, 1.0, size=(300, 2))
    expected = [stats.kstest(column, "uniform").statistic for column in u.T]
    np.testing.assert_allclose(diagnostics.ks_distance(u), expected, rtol=1e-12)


@pytest.mark.parametrize("base", [tfp_flows.standard_normal, tfp_flows.standard_logistic])
def test_pit_of_latents_is_uniform(base, rng):
    distribution = subject(0.0, rng, base).distribution
    u = diagnostics.latent_pit(distribution, distribution.sample(2000, seed=1))
    assert (diagnostics.ks_distance(u) < 2.0 / np.sqrt(2000)).all()


def test_right_flow_passes_and_wrong_flow_fails(rng):
    right, wrong = subject(0.0, rng), subject(0.7, rng)
    test = diagnostics.two_sample_test(right)
    assert abs(test["accuracy"] - 0.5) < 2.0 * test["two_standard_errors"]
    assert diagnostics.two_sample_test(wrong)["accuracy"] > 0.6
    critical = diagnostics.calibration(right)["critical_distance"]
    assert critical == pytest.approx(1.358 / np.sqrt(2000))
    assert max(diagnostics.calibration(right)["ks_distances"]) < 2.0 * critical
    assert min(diagnostics.calibration(wrong)["ks_distances"]) > 5.0 * critical


class Conditional:
    """Normal variables about a mean that is linear in the context, off by `shift`."""

    def __init__(self, weights, shift=0.0):
        self._weights = weights
        self._shift = shift

    def sample(self, seed, context):
        noise = np.random.default_rng(seed).normal(size=(len(context), 2))
        return tf.constant(context @ self._weights + noise + self._shift)


def conditional_subject(kind, rng, shift=0.0):
    """Rows given a context, under their own conditional distribution or one that is off."""
    weights = rng.normal(size=(2, 2))
    context = {
        "continuous": rng.normal(1000.0, 50.0, size=(500, 2)),
        "repeated": np.repeat(rng.normal(size=(250, 2)), 2, axis=0),
    }[kind]
    rows = context @ weights + rng.normal(size=(500, 2))
    names = ("train_context", "validation_context", "test_context")
    dataset = Dataset("x", rows, rows, rows, **dict.fromkeys(names, context))
    settings = Settings(num_samples=500)
    return Subject(Conditional(weights, shift), dataset, settings)


@pytest.mark.parametrize("kind", ["continuous", "repeated"])
def test_draws_of_the_true_conditional_pass_and_wrong_ones_fail(kind, rng):
    right = diagnostics.two_sample_test(conditional_subject(kind, rng))
    assert abs(right["accuracy"] - 0.5) < 1.5 * right["two_standard_errors"]
    shift = {"continuous": 60.0, "repeated": 2.0}[kind]
    wrong = conditional_subject(kind, rng, shift)
    assert diagnostics.two_sample_test(wrong)["accuracy"] > 0.6


def test_samples_that_do_not_follow_the_context_fail(rng):
    # The marginal distributions are right: only the context tells.
    subject = conditional_subject("continuous", rng)
    subject.context = np.eye(2)[rng.integers(2, size=500)]
    subject.data = subject.context + 0.1 * rng.normal(size=(500, 2))
    subject.samples = rng.permutation(subject.data)
    test = diagnostics.two_sample_test(subject)
    assert test["accuracy"] > 0.5 + 2.0 * test["two_standard_errors"]


def test_samples_that_are_not_finite_are_counted(rng):
    broken = subject(0.0, rng)
    broken.samples = np.array(broken.samples)
    broken.samples[:3, 0] = np.inf, -np.inf, np.nan
    assert diagnostics.two_sample_test(broken)["num_samples_not_finite"] == 3


def test_warp_ends_where_the_flow_does(rng):
    flow = tfp_flows.RealNVP(2, num_steps=3, hidden_units=(4,), lu_mixing=True, seed=0)
    for variable in flow.trainable_variables:
        variable.assign_add(0.3 * rng.normal(size=variable.shape).astype(np.float32))
    distribution = tfp_flows.FlowDistribution(tfp_flows.standard_normal(2), flow)
    lines = rng.normal(size=(3, 5, 2)).astype(np.float32)
    stages = pictures.warp(distribution, lines)
    assert len(stages) == 1 + len(flow.bijectors)
    expected = flow.forward(tf.constant(lines)).numpy()
    np.testing.assert_allclose(stages[-1][1], expected, rtol=1e-5, atol=1e-5)


def test_rows_that_are_looked_at_are_spread_over_a_sorted_file():
    test = np.sort(np.random.default_rng(0).normal(size=(4000, 1)), axis=0)
    contexts = {f"{part}_context": test for part in ("train", "validation", "test")}
    dataset = Dataset("sorted", test, test, test, **contexts)
    subject = Subject(None, dataset, Settings(num_samples=1000))
    assert abs(np.mean(subject.data)) < 0.15
    np.testing.assert_array_equal(subject.data, subject.context)
