"""What `--flow` can name: flows, which get a base, and distributions, which need none."""

import dataclasses
import inspect
from collections.abc import Callable

import tfp_flows
from experiments.density_estimation import image_flows

__all__ = ["FLOWS", "ORDERINGS", "Flow"]


@dataclasses.dataclass(frozen=True)
class Flow:
    """A model that can be fitted.

    Args:
      build: function of `event_size` and those settings that its signature names; returns
        a bijector, or a distribution.
      is_binary: whether it models rows of zeros and ones.
    """

    build: Callable
    is_binary: bool = False

    @property
    def takes_images(self):
        """Whether it needs to know the shape of an image."""
        return "image_shape" in inspect.signature(self.build).parameters


def mixture_made(
    event_size,
    *,
    num_components,
    hidden_units,
    activation,
    residual,
    direct,
    ordering,
    num_masks,
    context_size,
    standardize_context,
    seed,
):
    """Returns a `MixtureMADE` of standardised data, "MADE MoG"."""
    made = tfp_flows.MixtureMADE(
        event_size,
        num_components,
        hidden_units=hidden_units,
        activation=activation,
        residual=residual,
        direct=direct,
        ordering=ordering,
        num_masks=num_masks,
        context_size=context_size,
        standardize_context=standardize_context,
        seed=seed,
    )
    return tfp_flows.FlowDistribution(made, tfp_flows.Standardize(event_size))


def maf_mog(
    event_size,
    *,
    num_components,
    num_steps,
    hidden_units,
    activation,
    residual,
    direct,
    batch_norm,
    act_norm,
    lu_mixing,
    random_orderings,
    context_size,
    standardize_context,
    seed,
    transformer=None,
):
    """Returns a `MAF` whose base is a `MixtureMADE` of the same size, "MAF MoG"."""
    shared = {
        "hidden_units": hidden_units,
        "activation": activation,
        "residual": residual,
        "direct": direct,
        "context_size": context_size,
        "standardize_context": standardize_context,
    }
    maf = tfp_flows.MAF(
        event_size,
        num_steps=num_steps,
        batch_norm=batch_norm,
        act_norm=act_norm,
        lu_mixing=lu_mixing,
        random_orderings=random_orderings,
        transformer=transformer,
        seed=seed,
        **shared,
    )
    # The order is reversed from step to step, and the base goes on with that.
    ordering = tfp_flows.reversed_ordering if num_steps % 2 else tfp_flows.natural_ordering
    base = tfp_flows.MixtureMADE(
        event_size,
        num_components,
        ordering=ordering(event_size),
        seed=None if seed is None else seed + 1,
        **shared,
    )
    return tfp_flows.FlowDistribution(base, maf)


FLOWS = {
    "nice": Flow(tfp_flows.NICE),
    "real_nvp": Flow(tfp_flows.RealNVP),
    "made": Flow(tfp_flows.MADE),
    "maf": Flow(tfp_flows.MAF),
    "iaf": Flow(tfp_flows.IAF),
    "binary_made": Flow(tfp_flows.BinaryMADE, is_binary=True),
    "mixture_made": Flow(mixture_made),
    "maf_mog": Flow(maf_mog),
    "glow": Flow(image_flows.glow),
    "real_nvp_image": Flow(image_flows.real_nvp_image),
}

# Name -> function of the event size and the seed; None leaves the choice to the model.
ORDERINGS = {
    "default": lambda event_size, seed: None,
    "natural": lambda event_size, seed: tfp_flows.natural_ordering(event_size),
    "reversed": lambda event_size, seed: tfp_flows.reversed_ordering(event_size),
    "random": tfp_flows.random_ordering,
}
