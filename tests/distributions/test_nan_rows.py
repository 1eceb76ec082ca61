"""A row with NaN, in itself or in its context, gets NaN; other rows are not affected."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tff
from tfp_flows.core import inputs, results

D, C = 3, 2
SMALL = {"num_steps": 2, "hidden_units": (6,), "seed": 0}


def flow(constructor, **options):
    options = {**SMALL, **options}
    return tff.FlowDistribution(tff.standard_normal(D), constructor(D, **options))


def over(preprocessing):
    chain = tff.FlowChain([preprocessing, tff.RealNVP(D, standardize=False, **SMALL)])
    return tff.FlowDistribution(tff.standard_normal(D), chain)


MADE = {"hidden_units": (6,), "seed": 0}
CONDITIONAL = {
    "recompute": lambda: flow(tff.RealNVP, context_size=C, recompute=True),
    "maf": lambda: flow(tff.MAF, context_size=C),
    "iaf": lambda: flow(tff.IAF, context_size=C),
    "binary": lambda: tff.BinaryMADE(D, context_size=C, **MADE),
    "base": lambda: tff.FlowDistribution(
        tff.MixtureMADE(D, num_components=2, context_size=C, **MADE),
        tff.RealNVP(D, **SMALL),
    ),
}
PLAIN = {
    "real_nvp": lambda: flow(tff.RealNVP),
    "maf": lambda: flow(tff.MAF),
    "logit": lambda: over(tff.Logit(0.05)),
    "bounds": lambda: over(tff.Bounds([0, 0, -np.inf], [1, np.inf, np.inf])),
    "binary": lambda: tff.BinaryMADE(D, **MADE),
    "binary of one": lambda: tff.BinaryMADE(1, **MADE),
    "dequantized": lambda: tff.Dequantized(over(tff.Logit(0.05)), 2),
}
OTHERS = np.arange(5) != 2  # all but the row with NaN


def check(log_prob, rows):
    clean = np.asarray(log_prob(rows))
    assert np.isfinite(clean).all()
    for column in range(rows.shape[1]):
        spoiled = np.asarray(log_prob(with_nan(rows, column)))
        assert np.isnan(spoiled[2])
        np.testing.assert_allclose(spoiled[OTHERS], clean[OTHERS], rtol=1e-5)


def with_nan(rows, column):
    rows = rows.copy()
    rows[2, column] = np.nan
    return rows


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.usefixtures("op_by_op")
def test_nan_in_a_row(name, rng):
    distribution = PLAIN[name]()
    x = rng.integers(0, 2, size=(5, *distribution.event_shape)).astype(np.float32)
    options = {"seed": 1} if name == "dequantized" else {}
    check(lambda x: distribution.log_prob(x, **options), x)


@pytest.mark.parametrize("name", CONDITIONAL)
@pytest.mark.usefixtures("op_by_op")
def test_nan_in_a_context(name, rng):
    distribution = CONDITIONAL[name]()
    x = rng.integers(0, 2, size=(5, D)).astype(np.float32)
    context = rng.normal(size=(5, C)).astype(np.float32)
    check(lambda context: distribution.log_prob(x, context=context), context)
    clean = distribution.sample(4, seed=1, context=context).numpy()
    x = distribution.sample(4, seed=1, context=with_nan(context, 0)).numpy()
    assert np.isnan(x[:, 2]).all()
    np.testing.assert_allclose(x[:, OTHERS], clean[:, OTHERS], rtol=1e-5)


FUNCTIONS = ("log_prob", "cdf", "log_cdf", "survival_function", "log_survival_function")


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.usefixtures("op_by_op")
def test_one_variable_given_a_context_that_is_not_finite(value):
    options = {"context_size": 1, "hidden_units": (4,), "seed": 0}
    flow = tff.MAF(1, num_steps=1, **options)
    for distribution in (
        tff.MixtureMADE(1, 2, **options),
        tff.FlowDistribution(tff.standard_normal(1), flow),
    ):
        for function in FUNCTIONS:
            found = getattr(distribution, function)([0.3], context=[[value], [0.0]])
            np.testing.assert_array_equal(np.isnan(found), [True, False])


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.usefixtures("op_by_op")
def test_bits_given_a_context_that_is_not_finite(value):
    made, context = CONDITIONAL["binary"](), [[value, 0.0], [1.0, 0.0]]
    completed = made.impute(np.zeros([2, D]), [False] * D, context=context, seed=0)
    for rows in (completed, made.sample(context=context, seed=0)):
        np.testing.assert_array_equal(np.isnan(rows).all(axis=1), [True, False])


def test_nan_in_a_context_in_a_graph_and_in_stock_calls(rng):
    distribution = CONDITIONAL["recompute"]()
    base, bijector = distribution.distribution, distribution.bijector
    stock = tfp.distributions.TransformedDistribution(base, bijector)
    x = tf.constant(rng.normal(size=(5, D)), tf.float32)
    context = rng.normal(size=(5, C)).astype(np.float32)
    check(tf.function(lambda c: distribution.log_prob(x, context=c)), context)
    check(lambda c: stock.log_prob(x, bijector_kwargs={"context": c}), context)
    with tf.GradientTape() as tape:
        tape.watch(x)
        log_prob = distribution.log_prob(x, context=with_nan(context, 0))
        total = tf.reduce_sum(tf.boolean_mask(log_prob, OTHERS))
    assert np.isfinite(tape.gradient(total, x).numpy()[OTHERS]).all()
    for value in (np.nan, np.inf, -np.inf):  # one context for all rows
        assert np.isnan(distribution.log_prob(x, context=[value, 0.0])).all()


@pytest.mark.usefixtures("op_by_op")
def test_outside_the_support_stays_minus_infinity():
    x = [[0.5, 0.5, 0.0], [2.0, 0.5, 0.0], [-1.0, np.nan, 0.0]]
    log_prob = PLAIN["bounds"]().log_prob(x).numpy()
    assert np.isfinite(log_prob[0])
    assert log_prob[1] == -np.inf
    assert np.isnan(log_prob[2])


def test_rows_that_are_finite_pass_tensorflows_check_of_numerics():
    @tf.function(autograph=False)
    def log_det(y, context):
        given = inputs.nan_where_context_is_not_finite(y, context, 1)
        inside = results.minus_infinity_outside(y, y > 0.0, y, [])
        return exp.inverse_and_log_det(given + inside)[1]

    exp = tff.bijectors.TFPBijector(tfp.bijectors.Exp(), event_ndims=1)
    tf.debugging.enable_check_numerics()
    try:
        assert np.isfinite(log_det(tf.ones([1, D]), tf.ones([1, C])))
    finally:
        tf.debugging.disable_check_numerics()
