"""Calls of VAEs and their parts that are refused."""

import functools
import math

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from refusals import all_refused
from small_parts import ROWS, TINY, flow

import tfp_flows as tff

tfb = tfp.bijectors
BITS = (ROWS > 0).astype(np.float32)
HALVES = np.full([4, 3], 0.5, np.float32)
LATE = np.concatenate([BITS, HALVES])
WEIGHTED = tff.objectives.importance_weighted_bound


def encoder(outputs=4):
    return tff.MLP(outputs, (4,))


def vae(**options):
    posterior = options.get("posterior", gaussian())
    parts = {
        "encoder": encoder(getattr(posterior, "num_parameters", 4)),
        "posterior": posterior,
        "decoder": encoder(3),
        "likelihood": tff.likelihoods.Bernoulli(3),
    }
    model = tff.VAE(**{**parts, **options})
    model.compile(keras.optimizers.Adam(1e-2), jit_compile=False)
    return model


@functools.cache
def fixed_vae():
    return vae()


def gaussian(size=2, **options):
    return tff.posteriors.DiagonalGaussian(size, **options)


def five_priors():
    return tfp.distributions.MultivariateNormalDiag(np.zeros([5, 2], np.float32))


def amortized(bijector, size=3):
    return tff.posteriors.AmortizedFlow(gaussian(size), bijector)


def dataset(*arrays):
    return tf.data.Dataset.from_tensor_slices(arrays if arrays[1:] else arrays[0]).batch(2)


def flat(outputs):
    return keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(outputs)])


def image(*shape):
    layers = [keras.layers.Dense(math.prod(shape)), keras.layers.Reshape(shape)]
    return keras.Sequential(layers)


def normal_image():
    return tff.likelihoods.Gaussian((2, 3, 2))


class Unchecked:
    event_shape, event_size, num_parameters, log_prob = (3,), 3, 1, None


class Undrawn(Unchecked):
    check = None


def given_context():
    flow = tff.MAF(2, context_size=3, **TINY)
    return tff.FlowDistribution(tff.standard_normal(2), flow)


def check(likelihood, value):
    x = np.zeros((3, *likelihood.event_shape))
    likelihood.check(x)
    x.flat[4] = value
    likelihood.check(x)


levels = tff.likelihoods.DiscretizedLogistic
log_likelihood = functools.partial(
    tff.objectives.importance_weighted_log_likelihood, None, seed=0
)
NO_TARGETS = "Expected no targets `y`; got some."
IN_TURN = "draws one variable after another in every"
FROM_DATA = "without state that is set from data | real_nvp"
BAD_CALLS = [
    (lambda: fixed_vae().save("vae.h5"), "`.keras` | vae.h5"),
    (lambda: tff.vae.KLWarmUp(0), "`num_epochs` of at least 1 | got 0"),
    # The VAE.
    (lambda: vae(encoder=encoder(5)), "`encoder` with 4 outputs | 5"),
    (lambda: vae(encoder=np.tanh), "`encoder` | keras"),
    (
        lambda: vae(posterior="gaussian"),
        "`posterior`, a DiagonalGaussian | got 'gaussian'",
    ),
    (
        lambda: vae(encoder=flat(4), decoder=image(3, 2, 4), likelihood=normal_image()),
        "`decoder` with outputs of shape (2, 3, 4), or [24]; got | (3, 2, 4)",
    ),
    (lambda: vae(likelihood=Unchecked()), "`likelihood` | got <"),
    (lambda: vae(likelihood=Undrawn()), "`likelihood` | got <"),
    (lambda: vae(likelihood=tff.likelihoods.Bernoulli), "the class Bernoulli; call it"),
    (lambda: vae(prior=tff.standard_normal(3)), "`prior` of event shape [2]; got (3,)"),
    (lambda: vae(prior=five_priors()), "a `prior` without batch axes; got (5,)"),
    (
        lambda: vae(prior=tff.FlowDistribution(tff.standard_normal(2), tff.IAF(2, **TINY))),
        "`prior` that scores in one pass; got `iaf_ | one variable after another",
    ),
    (lambda: vae(prior=given_context()), "a `prior` without a context; got width 3"),
    (lambda: vae(bound="elbo"), "`bound` | 'elbo'"),
    (lambda: vae(free_bits=-1.0), "`free_bits` of at least 0; got -1.0"),
    (lambda: vae(free_bits=0.1, bound=WEIGHTED), "objectives.elbo with `free_bits`"),
    (lambda: vae(sticking_the_landing=True, bound=WEIGHTED), "objectives.elbo with"),
    (
        lambda: vae(sticking_the_landing=True, posterior=amortized(tff.IAF(3, **TINY))),
        "scores a given point in one pass | one variable after another",
    ),
    # Its methods.
    (lambda: fixed_vae().fit(BITS[:, :2]), "`x` of shape [N, 3] | (16, 2)"),
    (lambda: fixed_vae().fit(ROWS), "`x` | zeros and ones"),
    (lambda: fixed_vae().fit(dataset(HALVES)), "zeros and ones | from 0.5 to 0.5"),
    (lambda: vae().fit(dataset(LATE)), "zeros and ones | from 0.5 to 0.5"),
    (lambda: vae().fit(BITS, validation_data=dataset(LATE)), "zeros and ones"),
    (lambda: fixed_vae().evaluate(dataset(LATE)), "zeros and ones | from 0.5 to 0.5"),
    (lambda: fixed_vae().evaluate(iter([BITS, HALVES])), "zeros and ones"),
    (lambda: fixed_vae().test_on_batch(HALVES), "zeros and ones"),
    (lambda: fixed_vae().decode(ROWS), "`z` | [..., 2] | (16, 3)"),
    (lambda: fixed_vae().encode(BITS, -1), "`sample_shape`, an integer | got -1"),
    (lambda: fixed_vae().encode(BITS, 1.5), "`sample_shape`, an integer | got 1.5"),
    (lambda: fixed_vae().log_likelihood(np.nan * BITS), "finite `x`; got nan in row 0"),
    (lambda: fixed_vae().elbo(BITS[:0]), "at least one row"),
    (lambda: fixed_vae().elbo(BITS, num_samples=0), "`num_samples` | got 0"),
    (lambda: fixed_vae().elbo(BITS, batch_size=0), "`batch_size` of at least 1; got 0"),
    (lambda: fixed_vae().fit(BITS, BITS), NO_TARGETS),
    (lambda: fixed_vae().fit(np.nan * BITS), "finite `x`; got nan in row 0"),
    (lambda: fixed_vae().compile("adam", metrics=["mae"]), "no `metrics`"),
    (lambda: fixed_vae().fit(BITS, validation_data=dataset(BITS, BITS)), NO_TARGETS),
    # Posteriors.
    (lambda: gaussian(0), "`latent_size` of at least 1; got 0"),
    (
        lambda: gaussian().sample_and_log_prob(np.zeros([1, 4]), -1, 0),
        "`num_samples` of at least 0; got -1",
    ),
    (
        lambda: gaussian().sample_and_log_prob(np.zeros(4), 1, 0),
        "`parameters` of shape [N, 4]; got (4,)",
    ),
    (
        lambda: gaussian().log_prob(np.zeros([5, 3, 2]), np.zeros([4, 4])),
        "`z` of shape [..., 4, 2]; got (5, 3, 2)",
    ),
    (lambda: tff.posteriors.AmortizedFlow(flow(), flow()), "`base`"),
    (
        lambda: amortized(tff.IAF(3, **TINY), 4),
        "`flow` on vectors of 4 entries, as `base`; got `iaf` | , 3]",
    ),
    (lambda: amortized(tff.MAF(3, standardize=False, **TINY)), IN_TURN),
    (lambda: amortized(tfb.MaskedAutoregressiveFlow(lambda x: (x, x))), IN_TURN),
    (lambda: amortized(tff.Invert(flow())), FROM_DATA),
    # Likelihoods and objectives.
    (lambda: tff.likelihoods.Bernoulli("3"), "`event_shape` | '3'"),
    (lambda: tff.likelihoods.Gaussian(3, min_scale=-0.1), "`min_scale` | got -0.1"),
    (lambda: levels(3, 1), "`num_bins` of at least 2; got 1"),
    (lambda: check(tff.likelihoods.Bernoulli((2, 3, 1)), -1.0), "from -1.0 to 0.0"),
    (lambda: check(levels(6, 5), 1.25), "multiples of 1/4 in [0, 1]; got | to 1.25"),
    (lambda: check(tff.likelihoods.Gaussian(6), np.nan), "finite `x`"),
    (lambda: log_likelihood(1, at_once=0), "`at_once` of at least 1; got 0"),
]


test_bad_call_is_refused_in_words = all_refused(BAD_CALLS)
