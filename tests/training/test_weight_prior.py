"""Normal priors of networks' weights: their gradient, and where there are none."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfp_flows as tff

ROWS = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
pytestmark = pytest.mark.usefixtures("op_by_op")


def estimator(flow, **options):
    dist = tff.FlowDistribution(tff.standard_normal(3), flow)
    model = tff.DensityEstimator(dist, **options)
    model.compile(keras.optimizers.SGD(1.0))
    return model


def step_of(weight_prior, rows=ROWS, **fit):
    """Weights of the networks before, and how far a step over all rows moves them."""
    flow = tff.RealNVP(3, num_steps=2, hidden_units=4, seed=0)
    model = estimator(flow, weight_prior=weight_prior)
    networks = [step.conditioner for step in flow.bijectors[1:3]]
    before = [w.numpy() for n in networks for w in n.trainable_variables]
    history = model.fit(rows, verbose=0, shuffle=False, **fit).history
    after = [w.numpy() for n in networks for w in n.trainable_variables]
    return before, [b - a for a, b in zip(after, before, strict=True)], history["loss"][0]


@pytest.mark.parametrize(
    "rows",
    [ROWS, tf.data.Dataset.from_tensor_slices(ROWS).batch(40)],
    ids=["array", "batches"],
)
def test_a_step_adds_the_gradient_of_normal_priors_of_variance_one_over_d(rows):
    options = {} if isinstance(rows, tf.data.Dataset) else {"batch_size": 40}
    weights, with_prior, loss = step_of(True, rows, **options)
    _, without, same_loss = step_of(False, rows, **options)
    for weight, more, less in zip(weights, with_prior, without, strict=True):
        np.testing.assert_allclose(more - less, weight * 3 / 40, atol=1e-6)
    assert any(np.abs(weight).max() > 0.1 for weight in weights)
    assert loss == same_loss


def test_the_rows_of_a_validation_split_do_not_count():
    weights, with_prior, _ = step_of(True, validation_split=0.5, batch_size=20)
    _, without, _ = step_of(False, validation_split=0.5, batch_size=20)
    np.testing.assert_allclose(with_prior[0] - without[0], weights[0] * 3 / 20, atol=1e-6)


def test_priors_widen_from_twenty_rows_a_variable_on():
    rows = np.tile(ROWS, (3, 1))  # 40 a variable
    weights, with_prior, _ = step_of(True, rows, batch_size=120)
    _, without, _ = step_of(False, rows, batch_size=120)
    difference = with_prior[0] - without[0]
    np.testing.assert_allclose(difference, weights[0] * 3 / 120 / 2, atol=1e-6)


def test_rows_of_weight_zero_do_not_count():
    weight = np.repeat([2.0, 0.0], 20)
    weights, with_prior, _ = step_of(True, sample_weight=weight, batch_size=40)
    _, without, _ = step_of(False, sample_weight=weight, batch_size=40)
    np.testing.assert_allclose(with_prior[0] - without[0], weights[0] * 3 / 20, atol=1e-6)


def test_many_rows_have_no_prior():
    rows = np.tile(ROWS, (410, 1))
    assert len(rows) >= 2**14
    _, with_prior, _ = step_of(True, rows, batch_size=len(rows))
    _, without, _ = step_of(False, rows, batch_size=len(rows))
    np.testing.assert_array_equal(with_prior[0], without[0])


def test_another_number_of_rows_counts_from_the_next_fit_on():
    flow = tff.RealNVP(3, num_steps=2, hidden_units=4, seed=0)
    model = estimator(flow)
    network = flow.bijectors[1].conditioner
    moved = []
    for rows in (ROWS, ROWS[:10]):
        model.fit(rows, batch_size=40, verbose=0)
        model.optimizer.learning_rate = 0.0
        moved.append(model._penalty(tf.float32).numpy())
    squares = sum(
        float(np.sum(step.conditioner.trainable_variables[0].numpy() ** 2))
        for step in flow.bijectors[1:-1]
    )
    assert network.trainable_variables
    np.testing.assert_allclose(moved[1], squares * 3 / 10 / 2, rtol=1e-5)
    assert moved[1] > 2.0 * moved[0]


@pytest.mark.parametrize(
    "distribution",
    [
        lambda: tff.MixtureMADE(3, 2, seed=0),
        lambda: tff.FlowDistribution(tff.standard_normal(3), tff.Standardize(3)),
        lambda: tff.FlowDistribution(tff.standard_normal(3), tff.MAF(3, standardize=False)),
    ],
    ids=["mixture", "no network", "not standardised"],
)
def test_what_has_no_networks_in_steps_or_other_units_has_no_prior(distribution):
    model = tff.DensityEstimator(distribution())
    model.initialize(ROWS)
    assert model._penalty(tf.float32).numpy() == 0.0


def test_the_choice_is_saved(tmp_path):
    flow = tff.RealNVP(3, num_steps=1, hidden_units=4, seed=0)
    model = estimator(flow, weight_prior=False)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.get_config()["weight_prior"] is False
