"""The parts of a VAE that flags name."""

import functools

import tfp_flows
from experiments.command_line.flag_settings import UsageError
from experiments.command_line.training_settings import check_activation
from experiments.runs.starting_weights import load_start

# The flags that determine the model, except for the data and the seed.
ARCHITECTURE = ("posterior", "prior", "likelihood", "encoder", "latent_size")
ARCHITECTURE += ("hidden_units", "patch_size", "channels", "num_blocks", "activation")
ARCHITECTURE += ("dropout",)
ARCHITECTURE += ("num_flow_steps", "flow_hidden_units", "flow_context_size")
ARCHITECTURE += ("num_prior_steps", "prior_hidden_units")
# Flags without use for --encoder=dense.
_CONV = ("patch_size", "channels", "num_blocks")
# Flags without use for --encoder=ladder.
_NOT_LADDER = ("prior", "hidden_units", "dropout", "num_flow_steps", "num_prior_steps")
_NOT_LADDER += ("prior_hidden_units", "sticking_the_landing")
_LADDER_POSTERIORS = ("gaussian", "iaf")
# Arguments of `VAE` with weights or data statistics.
TRAINED_PARTS = ("encoder", "posterior", "decoder", "likelihood", "prior")


def for_images(settings, images, strategy):
    """Returns a function of no arguments that builds a `VAE` for images.

    With `init_from`, it has the weights from there.
    """
    start = load_start(
        settings,
        strategy,
        kind=tfp_flows.VAE,
        architecture=ARCHITECTURE,
        facts=shape_of(images),
    )
    if settings.encoder == "ladder":
        return functools.partial(ladder, settings, images, start)
    with strategy.scope():
        parts = vae_parts(settings, images)
    if start:
        parts |= {name: getattr(start, name) for name in TRAINED_PARTS}
    return functools.partial(tfp_flows.VAE, **parts)


def ladder(settings, images, start=None):
    """Returns a new `LadderVAE` for images, with the weights of `start` if there is one."""
    model = tfp_flows.vae.LadderVAE(
        images.image_shape,
        _likelihood(settings, images),
        latent_channels=settings.latent_size,
        num_blocks=settings.num_blocks,
        channels=settings.channels,
        patch_size=settings.patch_size,
        flow_channels=settings.flow_hidden_units if settings.posterior == "iaf" else (),
        context_channels=settings.flow_context_size,
        activation=settings.activation,
        **_objective(settings),
    )
    if start:
        model.set_weights(start.get_weights())
    return model


def vae_parts(settings, images):
    """Returns new arguments of a `VAE` for images, by name."""
    posterior = POSTERIORS[settings.posterior](settings)
    likelihood = _likelihood(settings, images)
    encoder, decoder = _NETWORKS[settings.encoder](
        settings, posterior.num_parameters, likelihood.num_parameters, images
    )
    return {
        "encoder": encoder,
        "posterior": posterior,
        "decoder": decoder,
        "likelihood": likelihood,
        "prior": PRIORS[settings.prior](settings),
        "sticking_the_landing": settings.sticking_the_landing,
        **_objective(settings),
    }


def _likelihood(settings, images):
    return LIKELIHOODS[settings.likelihood](images.dataset.event_size, images.num_bins)


def _objective(settings):
    return {
        "bound": BOUNDS[settings.bound](),
        "num_samples": settings.num_draws,
        "free_bits": settings.free_bits,
        "seed": settings.seed,
    }


def check(settings):
    """Raises `UsageError` if `settings` exclude each other for all data."""
    check_activation(settings.activation)
    if settings.encoder == "dense":
        for name in settings.non_default(_CONV):
            settings.refuse(name, "with --encoder=conv or ladder only")
    if settings.encoder == "ladder":
        for name in settings.non_default(_NOT_LADDER):
            settings.refuse(name, "with --encoder=dense or conv only")
        if settings.posterior not in _LADDER_POSTERIORS:
            words = " or ".join(_LADDER_POSTERIORS)
            settings.refuse("posterior", f"of {words} with --encoder=ladder")
        if not settings.num_blocks:
            settings.refuse("num_blocks", "of at least 1 with --encoder=ladder")
    if settings.bound == "importance_weighted" and settings.num_draws == 1:
        raise UsageError(
            "Expected `num_draws` above 1 with --bound=importance_weighted, which is the "
            "ELBO otherwise; got 1."
        )
    if settings.sticking_the_landing and settings.posterior == "iaf":
        raise UsageError(
            "Expected no `sticking_the_landing` with --posterior=iaf, whose density at "
            "given points needs a sequential inverse."
        )
    if settings.bound != "elbo" and (settings.free_bits or settings.sticking_the_landing):
        raise UsageError(
            "Expected `free_bits` and `sticking_the_landing` with --bound=elbo only."
        )
    for name in ("posterior", "prior"):
        if getattr(settings, name) == "real_nvp" and settings.latent_size < 2:
            raise UsageError(f"Expected `latent_size` of at least 2 for a {name} flow.")


def shape_of(images):
    """Returns the sizes of a data set that determine the shape of the model."""
    return {"image_shape": list(images.image_shape), "num_bins": images.num_bins}


def _flow_posterior(settings, flow, **options):
    size = settings.latent_size
    flow = flow(
        size,
        num_steps=settings.num_flow_steps,
        hidden_units=settings.flow_hidden_units,
        activation=settings.activation,
        context_size=settings.flow_context_size,
        seed=4 * settings.seed,
        **options,
    )
    first = tfp_flows.posteriors.DiagonalGaussian(size)
    return tfp_flows.posteriors.AmortizedFlow(first, flow)


def _normal(settings):
    return tfp_flows.standard_normal(settings.latent_size)


def _flow_prior(settings, flow):
    flow = flow(
        settings.latent_size,
        num_steps=settings.num_prior_steps,
        hidden_units=settings.prior_hidden_units,
        activation=settings.activation,
        standardize=False,  # the scale of latents changes in training
        seed=4 * settings.seed + 1,
    )
    return tfp_flows.FlowDistribution(_normal(settings), flow)


def _dense(settings, encoder_units, parameters_per_entry, images):
    shared = {"activation": settings.activation, "dropout": settings.dropout}
    shared |= {"zero_last_layer": False}
    decoder_units = parameters_per_entry * images.dataset.event_size
    return (
        tfp_flows.MLP(
            encoder_units, settings.hidden_units, seed=4 * settings.seed + 2, **shared
        ),
        tfp_flows.MLP(
            decoder_units, settings.hidden_units[::-1], seed=4 * settings.seed + 3, **shared
        ),
    )


def _conv(settings, encoder_units, parameters_per_entry, images):
    *size, channels = images.image_shape
    shared = {name: getattr(settings, name) for name in (*_CONV, "activation", "dropout")}
    return (
        tfp_flows.vae.ConvEncoder(
            encoder_units,
            images.image_shape,
            hidden_units=settings.hidden_units,
            seed=4 * settings.seed + 2,
            **shared,
        ),
        tfp_flows.vae.ConvDecoder(
            (*size, parameters_per_entry * channels),
            hidden_units=settings.hidden_units[::-1],
            seed=4 * settings.seed + 3,
            **shared,
        ),
    )


# Name -> function of the settings.
POSTERIORS = {
    "gaussian": lambda settings: tfp_flows.posteriors.DiagonalGaussian(
        settings.latent_size
    ),
    "full": lambda settings: tfp_flows.posteriors.FullGaussian(settings.latent_size),
    "iaf": lambda settings: _flow_posterior(settings, tfp_flows.IAF),
    "real_nvp": lambda settings: _flow_posterior(
        settings, tfp_flows.RealNVP, standardize=False
    ),
    "spline_couplings": lambda settings: _flow_posterior(
        settings, tfp_flows.NeuralSplineFlow, coupling=True, standardize=False
    ),
}
PRIORS = {
    "normal": _normal,
    "maf": lambda settings: _flow_prior(settings, tfp_flows.MAF),
    "real_nvp": lambda settings: _flow_prior(settings, tfp_flows.RealNVP),
}
_NETWORKS = {"dense": _dense, "conv": _conv}
ENCODERS = (*_NETWORKS, "ladder")
# Name -> function of the event size and the number of grey levels.
LIKELIHOODS = {
    "bernoulli": lambda size, _: tfp_flows.likelihoods.Bernoulli(size),
    "discretized_logistic": lambda size, num_bins: (
        tfp_flows.likelihoods.DiscretizedLogistic(size, num_bins)
    ),
    "gaussian": lambda size, _: tfp_flows.likelihoods.Gaussian(size),
}
# Name -> function without arguments that returns the bound.
BOUNDS = {
    "elbo": lambda: tfp_flows.objectives.elbo,
    "importance_weighted": lambda: tfp_flows.objectives.importance_weighted_bound,
}
