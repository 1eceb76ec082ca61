"""What is special to `CategoricalMADE`: codes, absent values, completions, dropout."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from distribution_cases import CATEGORICAL
from distribution_cases import built
from random_weights import randomize
from subject import close
from subject import differ

import tfp_flows as tff

pytestmark = pytest.mark.usefixtures("op_by_op")


def test_codes_are_integers_or_floating_point_numbers():
    case, made = CATEGORICAL["categorical"], built("categorical")
    x = case.points((5,))
    expected = made.log_prob(x)
    for dtype in (np.int32, np.int64, np.uint8):
        close(made.log_prob(x.astype(dtype)), expected)
        close(made.log_prob(tf.constant(x.astype(dtype))), expected)
    close(made.log_prob(x.astype(np.float32)), expected)
    imputed = made.impute(tf.constant(x, tf.int32), np.ones(4, bool), seed=0)
    np.testing.assert_array_equal(imputed, x)


@pytest.mark.parametrize("code", [-1.0, 0.5, 2.0, 4.0, np.inf, np.nan])
def test_other_codes_have_probability_zero(code):
    # The second variable has two values; others have up to five.
    log_prob = built("categorical").log_prob([[1.0, code, 0.0, 4.0]])
    assert np.isnan(log_prob[0]) if np.isnan(code) else log_prob[0] == -np.inf


def test_the_order_of_values_does_not_matter_to_the_network():
    """A network of numbers could not tell the middle value from the mean of the others."""
    rng = np.random.default_rng(0)
    first = rng.integers(3, size=2000)
    rows = np.stack([first, (first == 1) ^ (rng.random(2000) < 0.05)], axis=1)
    made = tff.CategoricalMADE([3, 2], hidden_units=(), direct=True, seed=0)
    model = tff.DensityEstimator(made)
    model.compile(keras.optimizers.Adam(0.05))
    model.fit(rows, epochs=15, batch_size=250, verbose=0)
    entropy = np.log(3) - 0.95 * np.log(0.95) - 0.05 * np.log(0.05)
    assert abs(float(-np.mean(made.log_prob(rows))) - entropy) < 0.03


@pytest.mark.parametrize("observed", [[1, 1, 0, 0], [0, 0, 1, 1], [0, 1, 0, 1]])
def test_completions_have_the_frequencies_of_the_conditional(observed):
    case, made = CATEGORICAL["categorical"], built("categorical")
    observed, given, count = np.array(observed, bool), np.array([2.0, 1.0, 0.0, 3.0]), 6000
    rows = np.where(observed, given, np.nan) * np.ones([count, 1])
    completed = made.impute(rows, observed, seed=3).numpy()
    points = case.all_points()
    conditional = np.exp(made.log_prob(points)) * (points == given)[:, observed].all(axis=1)
    frequencies = np.bincount(case.cells(completed), minlength=len(points)) / count
    assert np.abs(frequencies - conditional / conditional.sum()).max() < 0.02


def test_rows_may_have_missing_variables_of_their_own():
    made = built("categorical")
    x = np.array([[3.0, 1.0, 2.0, 4.0]]).repeat(400, axis=0)
    observed = np.arange(1600).reshape(400, 4) % 3 > 0
    completed = made.impute(x, observed, seed=0).numpy()
    np.testing.assert_array_equal(completed[observed], x[observed])
    assert differ(completed[~observed], x[~observed])
    same = made.impute(x, np.ones([400, 1], bool) * observed[0], num_candidates=8, seed=5)
    expected = made.impute(x, observed[0], num_candidates=8, seed=5)
    np.testing.assert_array_equal(same, expected)
    with pytest.raises(ValueError, match=r"`observed` of shape \[4\] or \[400, 4\]"):
        made.impute(x, observed[:5])


def test_dropout_acts_in_training_only():
    made = built("categorical_in_blocks")
    x = CATEGORICAL["categorical_in_blocks"].points((5,))
    assert differ(made.log_prob(x, training=True), made.log_prob(x))
    close(made.log_prob(x), made.log_prob(x), 0.0)


def test_a_file_holds_it(tmp_path):
    made = randomize(tff.CategoricalMADE([2, 3], context_size=1, hidden_units=(4,), seed=0))
    context = np.array([[1.0]], np.float32)
    tff.DensityEstimator(made).save(tmp_path / "made.keras")
    loaded = keras.saving.load_model(tmp_path / "made.keras").distribution
    assert loaded.num_values == (2, 3)
    for x in ([0, 2], [1, 1]):
        np.testing.assert_array_equal(
            loaded.log_prob(x, context=context), made.log_prob(x, context=context)
        )
    np.testing.assert_array_equal(
        loaded.sample(9, seed=1, context=context), made.sample(9, seed=1, context=context)
    )
