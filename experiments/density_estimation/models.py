"""The flows and bases that a flag can name, and the distribution made of them."""

import dataclasses
import inspect

import keras
import numpy as np

import tfp_flows
from experiments.command_line.usage import UsageError
from experiments.data import DATASETS
from experiments.data import DataError
from experiments.density_estimation.flows import FLOWS
from experiments.density_estimation.flows import ORDERINGS

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

# The flags that say what is fitted, beside the data and the seed.
ARCHITECTURE = ("flow", "base", "scale")
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
    "recompute",
    "direct",
    "random_orderings",
    "ordering",
    "num_masks",
    "num_components",
)
ARCHITECTURE += _OPTIONAL


def build_distribution(
    settings,
    event_size,
    context_size=0,
    *,
    standardize_context=True,
    is_binary=None,
    image_shape=None,
):
    """Returns the distribution that `settings` describe.

    Args:
      settings: a `Settings`.
      event_size: number of variables of the data.
      context_size: number of variables that they are conditioned on.
      standardize_context: whether these are standardised, by statistics of the training
        rows that are saved with the weights.
      is_binary: whether the data are zeros and ones; None if that is not known yet.
      image_shape: `(H, W)`, where a row is an image.

    Raises:
      UsageError: if the flow or base is unknown, or the flow lacks an option that is set,
        or is for another kind of data.
      DataError: if the flow cannot model a single variable and there is only one.
    """
    flow = choose("flow", settings.flow, FLOWS)
    base = choose("base", settings.base, BASES)
    _check_kind(settings, flow, is_binary)
    arguments = _arguments(settings, flow) | {
        "context_size": context_size,
        "standardize_context": standardize_context,
    }
    if flow.takes_images:
        arguments["image_shape"] = image_shape
    if "ordering" in arguments:
        ordering = choose("ordering", settings.ordering, ORDERINGS)
        arguments["ordering"] = ordering(event_size, settings.seed)
    try:
        built = flow.build(event_size, **arguments)
    except ValueError as error:
        if event_size > 1:
            raise
        raise DataError(f"{settings.flow} does not fit one variable: {error}") from error
    if isinstance(built, tfp_flows.FlowBijector):
        return tfp_flows.FlowDistribution(base(event_size), built)
    if settings.base != "normal":
        raise UsageError(
            f"Expected no `base`, which {settings.flow} has itself; got {settings.base}."
        )
    return built


def check(settings):
    """Raises `UsageError` if `settings` name what there is not, whatever the data."""
    check_activation(settings.activation)
    flow = choose("flow", settings.flow, FLOWS)
    try:
        if flow.takes_images:  # whose shape only the data tell
            _check_images(settings)
            choose("base", settings.base, BASES)
            _arguments(settings, flow)
        else:
            build_distribution(settings, event_size=2)
    except ValueError as error:
        raise UsageError(str(error)) from error


def check_activation(name):
    """Raises `UsageError` unless `name` is an activation of Keras's that acts elementwise.

    Others change the number of units, as glu, or mix them, as softmax, so that an
    autoregressive network would see what it must not.
    """
    rows = np.array([[-0.5, 0.7], [-0.5, -1.7]], np.float32)
    try:
        values = np.asarray(keras.activations.get(name)(rows))
    except (TypeError, ValueError):  # no activation, or one with arguments
        values = None
    if values is None or values.shape != rows.shape or values[0, 0] != values[1, 0]:
        raise UsageError(
            f"Expected `activation` to be an elementwise one of Keras's; got {name!r}."
        )


def choose(argument, name, choices):
    """Returns `choices[name]`, or raises an error that lists them."""
    if name not in choices:
        raise UsageError(
            f"Expected `{argument}` to be one of {sorted(choices)}; got {name!r}."
        )
    return choices[name]


def _check_images(settings):
    fitting = sorted(name for name, entry in DATASETS.items() if entry.is_image)
    if settings.dataset not in fitting:
        raise UsageError(
            f"Expected `dataset` to be one of {fitting}, images, with "
            f"--flow={settings.flow}; got {settings.dataset!r}."
        )


def _check_kind(settings, flow, is_binary):
    if is_binary is None or is_binary == flow.is_binary:
        return
    fitting = sorted(name for name, f in FLOWS.items() if f.is_binary == is_binary)
    kind = "zeros and ones only" if is_binary else "more than zeros and ones"
    raise UsageError(
        f"Expected `flow` to be one of {fitting} for {settings.dataset}, which holds "
        f"{kind}; got {settings.flow!r}."
    )


def _arguments(settings, flow):
    """The settings that the flow takes; those of others must be at their defaults."""
    taken = inspect.signature(flow.build).parameters
    arguments = _optional_arguments(settings, taken) | _transformer(settings, flow, taken)
    return arguments | {"seed": settings.seed}


def _optional_arguments(settings, taken):
    defaults = {field.name: field.default for field in dataclasses.fields(settings)}
    for name in _OPTIONAL:
        value = getattr(settings, name)
        if name not in taken and value != defaults[name]:
            raise UsageError(
                f"Expected no `{name}`, which {settings.flow} lacks; got {value}."
            )
    return {name: getattr(settings, name) for name in _OPTIONAL if name in taken}


def _transformer(settings, flow, taken):
    scale = choose("scale", settings.scale, SCALES)
    if settings.scale == "soft_bounded":  # what the flows have by themselves
        return {}
    # The steps of IAF are gated.
    if "transformer" not in taken or flow.build is tfp_flows.IAF:
        raise UsageError(
            f"Expected no `scale`, which {settings.flow} lacks; got {settings.scale}."
        )
    return {"transformer": tfp_flows.Affine(scale)}
