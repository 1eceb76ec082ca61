"""The flows and bases that a flag can name, and the distribution made of them."""

import dataclasses
import inspect

import keras

import tfp_flows
from experiments import image_flows
from experiments.data import DataError
from experiments.usage import UsageError

FLOWS = {
    "nice": tfp_flows.NICE,
    "real_nvp": tfp_flows.RealNVP,
    "made": tfp_flows.MADE,
    "maf": tfp_flows.MAF,
    "iaf": tfp_flows.IAF,
    "glow": image_flows.glow,
    "real_nvp_image": image_flows.real_nvp_image,
}
BASES = {
    "normal": tfp_flows.standard_normal,
    "logistic": tfp_flows.standard_logistic,
}

SCALES = {
    "soft_bounded": tfp_flows.transformers.soft_bounded_scale,
    "exp": tfp_flows.transformers.exp_scale,
    "softplus": tfp_flows.transformers.softplus_scale,
    "sigmoid": tfp_flows.transformers.sigmoid_scale,
}

# Options that a flow may lack; naming one that it does is an error.
_OPTIONAL = (
    "hidden_units",
    "activation",
    "residual",
    "standardize",
    "num_levels",
    "hidden_channels",
    "num_blocks",
    "num_steps",
    "batch_norm",
    "act_norm",
    "lu_mixing",
    "direct",
    "random_orderings",
)


def build_distribution(settings, event_size, context_size=0, *, image_shape=None):
    """Returns the `FlowDistribution` that `settings` describe.

    Args:
      settings: a `Settings`.
      event_size: number of variables of the data.
      context_size: number of variables that they are conditioned on.
      image_shape: `(H, W)`, where a row is an image.

    Raises:
      UsageError: if the flow or base is unknown, or the flow lacks an option that is set.
      DataError: if the flow cannot model a single variable and there is only one.
    """
    flow = choose("flow", settings.flow, FLOWS)
    base = choose("base", settings.base, BASES)
    arguments = _arguments(settings, flow) | {"context_size": context_size}
    if takes_images(settings.flow):
        arguments["image_shape"] = image_shape
    try:
        bijector = flow(event_size, **arguments)
    except ValueError as error:
        if event_size > 1:
            raise
        raise DataError(f"{settings.flow} does not fit one variable: {error}") from error
    return tfp_flows.FlowDistribution(base(event_size), bijector)


def check(settings):
    """Raises `UsageError` if `settings` name what there is not, whatever the data."""
    try:
        keras.activations.get(settings.activation)
    except ValueError as error:
        raise UsageError(
            f"Expected `activation` to be one of Keras's; got {settings.activation!r}."
        ) from error
    try:
        if takes_images(settings.flow):  # whose shape only the data tell
            _arguments(settings, FLOWS[settings.flow])
        else:
            build_distribution(settings, event_size=2)
    except ValueError as error:
        raise UsageError(str(error)) from error


def takes_images(name):
    """Whether the flow of that name needs to know the shape of an image."""
    return name in FLOWS and "image_shape" in inspect.signature(FLOWS[name]).parameters


def choose(argument, name, choices):
    """Returns `choices[name]`, or raises an error that lists them."""
    if name not in choices:
        raise UsageError(
            f"Expected `{argument}` to be one of {sorted(choices)}; got {name!r}."
        )
    return choices[name]


def _arguments(settings, flow):
    """The settings that the flow takes; those of others must be at their defaults."""
    arguments = _optional_arguments(settings, flow) | _transformer(settings, flow)
    return arguments | {"seed": settings.seed}


def _optional_arguments(settings, flow):
    taken = inspect.signature(flow).parameters
    defaults = {field.name: field.default for field in dataclasses.fields(settings)}
    for name in _OPTIONAL:
        value = getattr(settings, name)
        if name not in taken and value != defaults[name]:
            raise UsageError(
                f"Expected no `{name}`, which {settings.flow} lacks; got {value}."
            )
    return {name: getattr(settings, name) for name in _OPTIONAL if name in taken}


def _transformer(settings, flow):
    scale = choose("scale", settings.scale, SCALES)
    if settings.scale == "soft_bounded":  # what the flows have by themselves
        return {}
    if flow not in (tfp_flows.RealNVP, tfp_flows.MADE, tfp_flows.MAF):
        raise UsageError(
            f"Expected no `scale`, which {settings.flow} lacks; got {settings.scale}."
        )
    return {"transformer": tfp_flows.Affine(scale)}
