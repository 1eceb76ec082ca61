"""A row that is not a number is answered by NaN, in its context too, and no other row."""

import contextlib

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from derivatives import op_by_op

import tfp_flows as tff

D, C = 3, 2
SMALL = {"num_steps": 2, "hidden_units": (6,), "seed": 0}


def flow(constructor, **options):
    options = {**SMALL, **options}
    return tff.FlowDistribution(tff.standard_normal(D), constructor(D, **options))


def over(*preprocessing):
    chain = tff.FlowChain([*preprocessing, tff.RealNVP(D, standardize=False, **SMALL)])
    return tff.FlowDistribution(tff.standard_normal(D), chain)


def conditional_base():
    base = tff.MixtureMADE(D, num_components=2, hidden_units=(6,), context_size=C, seed=0)
    return tff.FlowDistribution(base, tff.RealNVP(D, **SMALL))


CONDITIONAL = {
    "real_nvp": lambda: flow(tff.RealNVP, context_size=C),
    "real_nvp_recompute": lambda: flow(tff.RealNVP, context_size=C, recompute=True),
    "nice": lambda: flow(tff.NICE, context_size=C),
    "maf": lambda: flow(tff.MAF, context_size=C),
    "iaf": lambda: flow(tff.IAF, context_size=C),
    "single coupling": lambda: tff.FlowDistribution(
        tff.standard_normal(D),
        tff.Coupling(
            tff.masks.half(D),
            tff.Conditioner(tff.MLP(4, (6,), seed=0), 1, context_size=C),
        ),
    ),
    "mixture_made": lambda: tff.MixtureMADE(D, hidden_units=(6,), context_size=C, seed=0),
    "binary_made": lambda: tff.BinaryMADE(D, hidden_units=(6,), context_size=C, seed=0),
    "conditional base": conditional_base,
}
PLAIN = {
    "real_nvp": lambda: flow(tff.RealNVP),
    "maf": lambda: flow(tff.MAF),
    "logit": lambda: over(tff.Logit(0.05)),
    "bounds": lambda: over(tff.Bounds([0, 0, -np.inf], [1, np.inf, np.inf])),
    "binary_made": lambda: tff.BinaryMADE(D, hidden_units=(6,), seed=0),
    "binary_made of one": lambda: tff.BinaryMADE(1, hidden_units=(6,), seed=0),
    "dequantized": lambda: tff.Dequantized(over(tff.Logit(0.05)), 2),
}


def check(log_prob, rows, spoiled_rows):
    clean, spoiled = np.asarray(log_prob(rows)), np.asarray(log_prob(spoiled_rows))
    assert np.isfinite(clean).all()
    assert np.isnan(spoiled[2])
    others = np.arange(len(rows)) != 2
    np.testing.assert_allclose(spoiled[others], clean[others], rtol=1e-5)


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
    for column in range(x.shape[1]):
        check(lambda x: distribution.log_prob(x, **options), x, with_nan(x, column))


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", CONDITIONAL)
def test_nan_in_a_context(name, compiled, rng):
    distribution = CONDITIONAL[name]()
    x = rng.integers(0, 2, size=(5, D)).astype(np.float32)
    context = rng.normal(size=(5, C)).astype(np.float32)

    def log_prob(context):
        return distribution.log_prob(x, context=context)

    log_prob = tf.function(log_prob) if compiled else log_prob
    with contextlib.nullcontext() if compiled else op_by_op():
        for column in range(C):
            check(log_prob, context, with_nan(context, column))


@pytest.mark.parametrize("name", CONDITIONAL)
@pytest.mark.usefixtures("op_by_op")
def test_samples_given_nan_are_nan(name, rng):
    distribution = CONDITIONAL[name]()
    context = rng.normal(size=(5, C)).astype(np.float32)
    clean = distribution.sample(4, seed=1, context=context)
    x = distribution.sample(4, seed=1, context=with_nan(context, 0)).numpy()
    assert np.isnan(x[:, 2]).all()
    others = np.arange(5) != 2
    np.testing.assert_allclose(x[:, others], clean.numpy()[:, others], rtol=1e-5)


@pytest.mark.usefixtures("op_by_op")
def test_one_context_of_nan_or_infinity_for_all_rows(rng):
    distribution = CONDITIONAL["real_nvp"]()
    for value in (np.nan, np.inf, -np.inf):
        log_prob = distribution.log_prob(rng.normal(size=(5, D)), context=[value, 0.0])
        assert np.isnan(log_prob).all()


@pytest.mark.usefixtures("op_by_op")
def test_stock_calls_see_it_too(rng):
    flow = CONDITIONAL["real_nvp"]().bijector
    stock = tfp.distributions.TransformedDistribution(tff.standard_normal(D), flow)
    x, context = rng.normal(size=(5, D)), rng.normal(size=(5, C))
    kwargs = {"bijector_kwargs": {"context": with_nan(context, 1)}}
    assert np.isnan(stock.log_prob(x, **kwargs)).tolist() == [0, 0, 1, 0, 0]


@pytest.mark.usefixtures("op_by_op")
def test_outside_the_support_stays_minus_infinity():
    distribution = PLAIN["bounds"]()
    x = [[0.5, 0.5, 0.0], [2.0, 0.5, 0.0], [-1.0, np.nan, 0.0]]
    log_prob = distribution.log_prob(x).numpy()
    assert np.isfinite(log_prob[0])
    assert log_prob[1] == -np.inf
    assert np.isnan(log_prob[2])


@pytest.mark.usefixtures("op_by_op")
def test_gradients_of_other_rows_stay_finite(rng):
    distribution = CONDITIONAL["real_nvp"]()
    x = rng.normal(size=(5, D)).astype(np.float32)
    context = with_nan(rng.normal(size=(5, C)).astype(np.float32), 0)
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        log_prob = distribution.log_prob(x, context=context)
        total = tf.reduce_sum(tf.boolean_mask(log_prob, np.arange(5) != 2))
    gradient = tape.gradient(total, x).numpy()
    assert np.isfinite(gradient[np.arange(5) != 2]).all()
