"""The flows and bases that a flag can name, and the distribution made of them."""

import inspect

import tfp_flows

FLOWS = {"nice": tfp_flows.NICE, "real_nvp": tfp_flows.RealNVP}
BASES = {
    "normal": tfp_flows.standard_normal,
    "logistic": tfp_flows.standard_logistic,
}

_SHARED = ("num_steps", "hidden_units", "activation", "residual", "seed")
_OPTIONAL = ("batch_norm", "act_norm", "lu_mixing")


def build_distribution(settings, event_size):
    """Returns the `FlowDistribution` that `settings` describe.

    Args:
      settings: a `Settings`.
      event_size: number of variables of the data.

    Raises:
      ValueError: if the flow or base is unknown, or the flow lacks an option that is set.
    """
    flow = choose("flow", settings.flow, FLOWS)
    base = choose("base", settings.base, BASES)
    arguments = {name: getattr(settings, name) for name in _SHARED}
    arguments |= _optional_arguments(settings, flow)
    return tfp_flows.FlowDistribution(base(event_size), flow(event_size, **arguments))


def choose(argument, name, choices):
    """Returns `choices[name]`, or raises an error that lists them."""
    if name not in choices:
        raise ValueError(
            f"Expected `{argument}` to be one of {sorted(choices)}; got {name!r}."
        )
    return choices[name]


def _optional_arguments(settings, flow):
    taken = inspect.signature(flow.__init__).parameters
    wanted = {name: True for name in _OPTIONAL if getattr(settings, name)}
    for name in wanted:
        if name not in taken:
            raise ValueError(
                f"Expected no `{name}`, which {settings.flow} lacks; got True."
            )
    return wanted
