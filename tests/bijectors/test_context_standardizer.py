"""Every conditional flow or distribution takes contexts in the units of the data."""

import keras
import numpy as np
import pytest
from random_weights import values
from subject import all_close

import tfp_flows as tff

SMALL = {"hidden_units": (4,), "context_size": 3, "seed": 0}
MASK = np.array([True, False])
MEAN, SCALE = np.array([1000.0, -0.002, 7.0]), np.array([50.0, 1e-4, 1.0])


def _coupling(mask):
    network = tff.MLP(2, (4,), seed=0)
    return tff.Coupling(mask, tff.Conditioner(network, 1, context_size=3))


def _on_normal(flow, size=2):
    return tff.FlowDistribution(tff.standard_normal(size), flow)


def _mixture(**options):
    return tff.MixtureMADE(2, 2, **SMALL, **options)


def _maf(**options):
    return tff.MAF(2, num_steps=1, **SMALL, **options)


def _iaf(**options):
    return tff.IAF(2, num_steps=2, **SMALL, **options)


def _real_nvp(**options):
    return tff.RealNVP(2, num_steps=2, recompute=True, **SMALL, **options)


def _glow(**options):
    options = {"hidden_channels": 4, "context_size": 3, "seed": 0, **options}
    return tff.Glow((4, 4, 1), 2, 1, **options)


def _chain(**options):
    return tff.FlowChain([_coupling(MASK), _coupling(~MASK)], **options)


CASES = {
    "real_nvp": lambda **options: _on_normal(_real_nvp(**options)),
    "iaf": lambda **options: _on_normal(_iaf(**options)),
    "chain": lambda **options: _on_normal(_chain(**options)),
    "glow": lambda **options: _on_normal(_glow(**options), 16),
    "masks": lambda **options: tff.BinaryMADE(2, num_masks=2, **SMALL, **options),
    "base": lambda **options: tff.FlowDistribution(_mixture(**options), tff.Standardize(2)),
    "both": lambda **options: tff.FlowDistribution(_mixture(**options), _maf(**options)),
}


def _train(part):
    """Assigns random weights, the same to parts that are built alike."""
    rng = np.random.default_rng(0)
    for variable in part.trainable_variables:
        variable.assign(0.3 * rng.normal(size=variable.shape))


def _rows(event_shape=(2,)):
    """Rows in (0, 1), contexts of very different sizes, and standardised contexts."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0.2, 0.8, size=(64, *event_shape)).astype(np.float32)
    if len(event_shape) == 1:
        x = np.round(x)  # zeros and ones, for binary distributions
    context = MEAN + SCALE * rng.normal(size=(64, 3))
    context[:, 2] = 7.0  # constant
    deviation = np.where(context.std(axis=0) > 1e-12, context.std(axis=0), 1.0)
    return x, context, (context - context.mean(axis=0)) / deviation


@pytest.mark.parametrize("case", CASES)
@pytest.mark.usefixtures("op_by_op")
def test_raw_contexts_are_taken_as_standardised_ones(case):
    fresh, ours, plain = (
        CASES[case](**o) for o in ({}, {}, {"standardize_context": False})
    )
    x, context, standardized = _rows(fresh.event_shape)
    assert not fresh.is_initialized
    for distribution in (fresh, plain):
        _train(distribution)
    expected = plain.log_prob(x, context=standardized)
    np.testing.assert_allclose(fresh.log_prob(x, context=standardized), expected, rtol=1e-5)

    for distribution, given in ((ours, context), (plain, standardized)):
        distribution.initialize(x, context=given)
        _train(distribution)
    tolerance = {"rtol": 2e-3, "atol": 2e-3}
    scores = ours.log_prob(x, context=context)
    expected = plain.log_prob(x, context=standardized)
    np.testing.assert_allclose(scores, expected, **tolerance)
    assert np.abs(ours.log_prob(x, context=context[::-1]) - scores).max() > 0
    drawn = ours.sample(2, seed=1, context=context[:5])
    expected = plain.sample(2, seed=1, context=standardized[:5])
    np.testing.assert_allclose(drawn, expected, **tolerance)

    before = values(ours)
    ours.initialize(x, context=context + 1000.0)  # statistics are set once
    all_close(values(ours), before, 0.0)
    assert len(ours.trainable_variables) == len(plain.trainable_variables)


def test_a_wrapped_flow_standardises_once():
    flow = tff.RealNVP(2, num_steps=1, **SMALL)
    wrapped = tff.FlowChain([tff.Bounds([0.0, 0.0], [1.0, 1.0]), flow])
    x, context, _ = _rows()
    wrapped.initialize(0.25 + 0.5 * x, context=context)
    assert flow.is_initialized
    assert wrapped.is_initialized
    assert len(wrapped.variables) == len(flow.variables)


@pytest.mark.parametrize("case", ["chain", "masks", "both"])
@pytest.mark.parametrize(
    ("context", "words"),
    [
        (None, r"`context` of shape \[N, 3\].*None"),
        (np.zeros((64, 2)), r"`context` of shape \[N, 3\].*\(64, 2\)"),
        (np.full((64, 3), np.nan), "finite `context`"),
    ],
)
def test_contexts_that_give_no_statistics_are_refused(case, context, words):
    distribution = CASES[case]()
    before = values(distribution)
    with pytest.raises(ValueError, match=words):
        distribution.initialize(_rows()[0], context=context)
    all_close(values(distribution), before, 0.0)


@pytest.mark.usefixtures("op_by_op")
def test_the_posterior_of_a_vae_takes_the_encoder_as_it_is():
    flow = tff.IAF(2, num_steps=1, **SMALL)
    posterior = tff.posteriors.AmortizedFlow(tff.posteriors.DiagonalGaussian(2), flow)
    encoder, decoder = keras.layers.Dense(4 + 3), keras.layers.Dense(5)
    vae = tff.VAE(encoder, posterior, decoder, tff.likelihoods.Bernoulli(5))
    vae.compile("adam", jit_compile=False)
    vae.fit(np.round(np.random.default_rng(0).uniform(size=(32, 5))), verbose=0)
    assert not flow.is_initialized
