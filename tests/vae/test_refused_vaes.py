"""Calls of VAEs and their parts that are refused."""

import functools

import keras
import numpy as np
import tensorflow as tf
from refusals import bad_calls
from small_parts import ROWS
from small_parts import TINY
from small_parts import flow

import tfp_flows as tff

BITS = (ROWS > 0).astype(np.float32)


def encoder(outputs=4):
    return tff.MLP(outputs, (4,))


def vae(**options):
    parts = {
        "encoder": encoder(),
        "posterior": tff.posteriors.DiagonalGaussian(2),
        "decoder": encoder(3),
        "likelihood": tff.likelihoods.Bernoulli(3),
    }
    model = tff.VAE(**{**parts, **options})
    model.compile(keras.optimizers.Adam(1e-2), jit_compile=False)
    return model


@functools.cache
def fixed_vae():
    return vae()


def fit(model, rows, **options):
    return model.fit(rows, **{"epochs": 1, "batch_size": 8, "verbose": 0, **options})


BAD_CALLS = [
    (lambda: fixed_vae().save("vae.h5"), "`.keras` | vae.h5"),
    (lambda: tff.vae.KLWarmUp(0), "`num_epochs` | got 0"),
    (lambda: tff.vae.KLWarmUp("10"), "`num_epochs` | '10'"),
    # The VAE.
    (lambda: vae(encoder=encoder(5)), "`encoder` | 4"),
    (lambda: vae(encoder=np.tanh), "`encoder` | keras"),
    (lambda: vae(encoder=tff.MLP), "`encoder` | the class MLP; call it"),
    (lambda: vae(decoder=encoder(5)), "`decoder` | 3"),
    (lambda: vae(decoder="mlp"), "`decoder` | 'mlp'"),
    (lambda: vae(posterior="gaussian"), "`posterior` | 'gaussian'"),
    (
        lambda: vae(posterior=tff.posteriors.DiagonalGaussian),
        "`posterior` | DiagonalGaussian",
    ),
    (lambda: vae(likelihood="bernoulli"), "`likelihood` | 'bernoulli'"),
    (
        lambda: vae(likelihood=tff.likelihoods.Bernoulli),
        "`likelihood` | the class Bernoulli; call it",
    ),
    (lambda: vae(prior=tff.standard_normal(3)), "`prior` | [2]"),
    (lambda: vae(prior=tff.RealNVP(2, **TINY)), "`prior` | real_nvp"),
    (lambda: vae(bound="elbo"), "`bound` | 'elbo'"),
    (lambda: vae(num_samples=0), "`num_samples` | got 0"),
    (lambda: vae(num_samples=1.5), "`num_samples` | 1.5"),
    (lambda: vae(free_bits=-1.0), "`free_bits` | -1.0"),
    (lambda: vae(free_bits="1"), "`free_bits` | '1'"),
    (lambda: vae(seed="a"), "`seed` | 'a'"),
    (lambda: vae(sticking_the_landing="no"), "`sticking_the_landing` | 'no'"),
    (lambda: fit(fixed_vae(), BITS[:, :2]), "`x` of shape [N, 3] | (16, 2)"),
    (lambda: fit(fixed_vae(), ROWS), "`x` | zeros and ones"),
    (lambda: fixed_vae().fit(BITS, BITS), "`y`"),
    (lambda: fixed_vae().encode(BITS[:, :2]), "`x` of shape [N, 3] | (16, 2)"),
    (lambda: fixed_vae().decode(ROWS), "`z` | [..., 2] | (16, 3)"),
    (lambda: fixed_vae().elbo(BITS, num_samples=0), "`num_samples` | got 0"),
    (lambda: fixed_vae().log_likelihood(BITS, 1.5), "`num_samples` | 1.5"),
    (lambda: fixed_vae().sample(1.5), "`num_samples` | 1.5"),
    # Parts of a VAE.
    (lambda: tff.posteriors.DiagonalGaussian("2"), "`latent_size` | '2'"),
    (lambda: tff.posteriors.FullGaussian(1.5), "`latent_size` | 1.5"),
    (lambda: tff.posteriors.FullGaussian(2, dtype="int32"), "`dtype` | 'int32'"),
    (lambda: tff.posteriors.AmortizedFlow(flow(), flow()), "`base`"),
    (
        lambda: tff.posteriors.AmortizedFlow(
            tff.posteriors.DiagonalGaussian(2), tff.IAF(3, **TINY)
        ),
        "`flow` | 2 entries",
    ),
    (
        lambda: tff.posteriors.AmortizedFlow(
            tff.posteriors.DiagonalGaussian(3), tff.MAF(3, standardize=False, **TINY)
        ),
        "`flow` | one pass",
    ),
    (
        lambda: tff.posteriors.AmortizedFlow(tff.posteriors.DiagonalGaussian(3), tff.IAF),
        "`flow` | the class IAF; call it",
    ),
    (lambda: tff.likelihoods.Bernoulli("3"), "`event_shape` | '3'"),
    (lambda: tff.likelihoods.Gaussian(-3), "`event_shape` | -3"),
    (lambda: tff.likelihoods.Gaussian(3, min_scale="1"), "`min_scale` | '1'"),
    (lambda: tff.likelihoods.DiscretizedLogistic(3, 2.5), "`num_bins` | 2.5"),
    (lambda: tff.objectives.free_bits(ROWS, -1.0), "`minimum` | -1"),
    (
        lambda: tff.objectives.importance_weighted_log_likelihood(
            lambda count, seed: tf.zeros([count]), 0, at_once=1, seed=0
        ),
        "`num_samples` | got 0",
    ),
]


@bad_calls(BAD_CALLS)
def test_bad_call_is_refused_in_words(call, words, check_refused):
    check_refused(call, words)
