"""Small VAEs of every kind, and rows for them."""

import keras
import numpy as np

import tfp_flows as tff

EVENT_SIZE, LATENT_SIZE = 12, 3
IMAGE_SHAPE = (3, 4, 1)


def iaf_posterior():
    base = tff.posteriors.DiagonalGaussian(LATENT_SIZE)
    flow = tff.IAF(LATENT_SIZE, num_steps=1, hidden_units=(8,), context_size=4, seed=0)
    return tff.posteriors.AmortizedFlow(base, flow)


def prior(flow, **options):
    flow = flow(LATENT_SIZE, num_steps=1, hidden_units=(8,), seed=1, **options)
    return tff.FlowDistribution(tff.standard_normal(LATENT_SIZE), flow)


def dense(posterior, *, likelihood=None, **options):
    """A `VAE` with dense networks."""
    likelihood = likelihood or tff.likelihoods.Bernoulli(EVENT_SIZE)
    shared = {"activation": "elu", "zero_last_layer": False}
    outputs = likelihood.num_parameters * likelihood.event_size
    return tff.VAE(
        tff.MLP(posterior.num_parameters, (10,), seed=2, **shared),
        posterior,
        tff.MLP(outputs, (10,), seed=3, **shared),
        likelihood,
        **options,
    )


def convolutional():
    """A `VAE` of images with residual convolutions."""
    posterior = iaf_posterior()
    shared = {"channels": (2, 3), "hidden_units": (5,)}
    return tff.VAE(
        tff.vae.ConvEncoder(posterior.num_parameters, IMAGE_SHAPE, seed=2, **shared),
        posterior,
        tff.vae.ConvDecoder(IMAGE_SHAPE, seed=3, **shared),
        tff.likelihoods.Bernoulli(IMAGE_SHAPE),
    )


def ladder(**options):
    """A `LadderVAE` of two sizes of latents."""
    chosen = {"latent_channels": 1, "channels": (2, 3), "flow_channels": (2,), "seed": 4}
    likelihood = tff.likelihoods.Bernoulli(IMAGE_SHAPE)
    return tff.vae.LadderVAE(IMAGE_SHAPE, likelihood, **{**chosen, **options})


MODELS = {
    "gaussian": lambda: dense(tff.posteriors.DiagonalGaussian(LATENT_SIZE)),
    "full": lambda: dense(tff.posteriors.FullGaussian(LATENT_SIZE), free_bits=0.1),
    "iaf": lambda: dense(iaf_posterior()),
    "iaf_maf_prior": lambda: dense(iaf_posterior(), prior=prior(tff.MAF)),
    "real_nvp_prior": lambda: dense(
        tff.posteriors.DiagonalGaussian(LATENT_SIZE),
        prior=prior(tff.RealNVP, act_norm=True, heavy_tails=False),
    ),
    "importance_weighted": lambda: dense(
        iaf_posterior(), bound=tff.objectives.importance_weighted_bound, num_samples=3
    ),
    "logistic": lambda: dense(
        iaf_posterior(), likelihood=tff.likelihoods.DiscretizedLogistic(EVENT_SIZE, 2)
    ),
    "conv": convolutional,
    "ladder": ladder,
}


def rows(model, count=50, seed=0):
    """Zeros and ones, in two kinds of rows."""
    rng = np.random.default_rng(seed)
    pattern = np.where(rng.random((count, 1)) < 0.5, [0.9] * 6 + [0.1] * 6, 0.5)
    x = (rng.random((count, EVENT_SIZE)) < pattern).astype(np.float32)
    return x.reshape(count, *model.likelihood.event_shape)


def trained(name, epochs=15):
    """A compiled model after some epochs."""
    keras.utils.set_random_seed(1)
    model = MODELS[name]()
    model.compile(keras.optimizers.Adam(1e-2), jit_compile=False)
    fit(model, epochs)
    return model


def fit(model, epochs):
    """Trains on, in the order of the rows, and returns the history."""
    return model.fit(
        rows(model), epochs=epochs, batch_size=16, shuffle=False, verbose=0
    ).history


def answers(model):
    """Bounds and draws of given seeds."""
    x = rows(model, 7, seed=1)
    bound = model.elbo(x, num_samples=2, seed=5)
    return {
        **bound._asdict(),
        "evaluated": np.array(model.evaluate(x, verbose=0)),
        "sample": model.sample(3, seed=5),
        "reconstructed": model.reconstruct(x, seed=5),
    }


def load_all(folder):
    """Writes the answers of each saved VAE of a folder beside its file."""
    for path in sorted(folder.glob("*.keras")):
        loaded = keras.saving.load_model(path)
        np.savez(path.with_suffix(".loaded.npz"), **answers(loaded))
