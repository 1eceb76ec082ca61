"""Contexts that an encoder returns, which are not standardised."""

import keras
import numpy as np

import tfp_flows
from tfp_flows import posteriors


def test_the_posterior_of_a_vae_takes_the_encoder_as_it_is():
    posterior = posteriors.AmortizedFlow(
        posteriors.DiagonalGaussian(2),
        tfp_flows.IAF(2, num_steps=1, hidden_units=(4,), context_size=3, seed=0),
    )
    vae = tfp_flows.VAE(
        encoder=keras.Sequential([keras.layers.Dense(4 + 3)]),
        posterior=posterior,
        decoder=keras.Sequential([keras.layers.Dense(5)]),
        likelihood=tfp_flows.likelihoods.Bernoulli(5),
    )
    vae.compile(keras.optimizers.Adam(1e-2), jit_compile=False)
    vae.fit(np.round(np.random.default_rng(0).uniform(size=(32, 5))), epochs=1, verbose=0)
    assert not posterior.flow.is_initialized


def test_a_dequantizer_takes_an_encoder_as_it_is_and_standardises_data():
    def build(encoder):
        flow = tfp_flows.RealNVP(4, num_steps=1, hidden_units=(4,), seed=0)
        base = tfp_flows.FlowDistribution(tfp_flows.standard_normal(4), flow)
        noise = tfp_flows.FlowChain(
            [
                tfp_flows.Logit(0.0),
                tfp_flows.RealNVP(
                    4, num_steps=1, hidden_units=(4,), context_size=4, standardize=False
                ),
            ]
        )
        dequantizer = tfp_flows.FlowDistribution(tfp_flows.standard_normal(4), noise)
        return tfp_flows.Dequantized(base, 8, dequantizer=dequantizer, encoder=encoder)

    data = np.random.default_rng(0).integers(0, 8, size=(64, 4))
    encoded = build(tfp_flows.Conditioner(keras.layers.Dense(4), 4))
    plain = build(None)
    means = []
    for distribution in (encoded, plain):
        distribution.initialize(data)
        assert distribution.is_initialized
        (mean,) = [v for v in distribution.variables if v.name.startswith("context_mean")]
        means.append(mean.numpy())
    np.testing.assert_array_equal(means[0], 0.0)
    np.testing.assert_allclose(means[1], (data / 8).mean(axis=0), rtol=1e-5)
