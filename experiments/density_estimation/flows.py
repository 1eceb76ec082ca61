"""What `--flow` can name: flows, which get a base, and distributions, which need none."""

import dataclasses
import functools
import inspect
from collections.abc import Callable

import tensorflow_probability as tfp

import tfp_flows
from experiments.command_line.flag_settings import UsageError
from experiments.data import DataError

__all__ = ["BASES", "FLOWS", "OPTIONS", "ORDERINGS", "SCALES", "TRANSFORMERS", "Flow"]

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

TRANSFORMERS = {
    "affine": tfp_flows.Affine,
    "cubic_rational": tfp_flows.transformers.CubicRational,
    "cubic_conjugation": tfp_flows.transformers.CubicConjugation,
    "sinh_conjugation": tfp_flows.transformers.SinhConjugation,
    "mixture_cdf": tfp_flows.transformers.MixtureCDF,
}

# Name -> function of the event size and the seed; None leaves the choice to the model.
ORDERINGS = {
    "default": lambda event_size, seed: None,
    "natural": lambda event_size, seed: tfp_flows.natural_ordering(event_size),
    "reversed": lambda event_size, seed: tfp_flows.reversed_ordering(event_size),
    "random": tfp_flows.random_ordering,
}

# Flags that a flow may lack; naming one that it does is an error.
OPTIONS = ("hidden_units", "activation", "residual", "standardize", "num_levels")
OPTIONS += ("hidden_channels", "num_blocks", "num_steps", "batch_norm", "act_norm")
OPTIONS += ("lu_mixing", "recompute", "direct", "random_orderings", "ordering")
OPTIONS += ("decorrelate", "heavy_tails", "network_dtype")
OPTIONS += ("num_masks", "num_components", "num_bins", "bound", "dropout")


def _as_it_is(paper, event_size, **options):
    return paper(event_size, **options)


@dataclasses.dataclass(frozen=True)
class Flow:
    """A model that can be fitted.

    Args:
      paper: constructor of `tfp_flows`, whose signature tells what options it takes.
      build: function of `paper`, `event_size` and options, of which `image_shape` is one
        if it takes images; returns a bijector, or a distribution.
      lacks: options that are not for `build`.
      adds: further options of `build`.
      is_binary: whether it models rows of zeros and ones.
      takes_images: whether it needs to know the shape of an image.
    """

    paper: Callable
    build: Callable = _as_it_is
    lacks: tuple[str, ...] = ()
    adds: tuple[str, ...] = ()
    is_binary: bool = False
    takes_images: bool = False

    def takes(self, option):
        """Whether `build` takes an option."""
        own = inspect.signature(self.paper).parameters
        return option in self.adds or (option in own and option not in self.lacks)


def _standardized(paper, event_size, **options):
    """A `MixtureMADE` of standardised data, "MADE MoG"."""
    made = paper(event_size, **options)
    return tfp_flows.FlowDistribution(made, tfp_flows.Standardize(event_size))


def _with_mixture_base(paper, event_size, *, num_components, num_steps, seed, **options):
    """A flow whose base is a `MixtureMADE` of the same size, as "MAF MoG"."""
    flow = paper(event_size, num_steps=num_steps, seed=seed, **options)
    base_takes = inspect.signature(tfp_flows.MixtureMADE).parameters
    # The order is reversed from step to step, and the base goes on with that.
    ordering = tfp_flows.reversed_ordering if num_steps % 2 else tfp_flows.natural_ordering
    base = tfp_flows.MixtureMADE(
        event_size,
        num_components,
        ordering=ordering(event_size),
        seed=None if seed is None else seed + 1,
        **{name: value for name, value in options.items() if name in base_takes},
    )
    return tfp_flows.FlowDistribution(base, flow)


def _on_rows(paper, event_size, *, image_shape, **options):
    """A flow on images for data of rows: `[N, D]` outside, `[N, H, W, C]` inside."""
    if image_shape is None:
        raise DataError("Expected a data set of images for this flow; got one of rows.")
    image_shape = (*image_shape, event_size // (image_shape[0] * image_shape[1]))
    try:
        images = paper(image_shape, **options)
    except ValueError as error:
        raise UsageError(str(error)) from error
    rows = tfp.bijectors.Reshape(
        event_shape_out=[event_size], event_shape_in=list(image_shape)
    )
    # The images' flow standardises its contexts itself, or is not to.
    return tfp_flows.FlowChain([rows, images], standardize_context=False)


FLOWS = {
    "nice": Flow(tfp_flows.NICE),
    "real_nvp": Flow(tfp_flows.RealNVP),
    "made": Flow(tfp_flows.MADE, lacks=("recompute",)),  # it has one step
    "maf": Flow(tfp_flows.MAF),
    "iaf": Flow(tfp_flows.IAF, lacks=("transformer",)),  # gated, or affine for data
    "nsf": Flow(tfp_flows.NeuralSplineFlow, lacks=("residual", "lu_mixing")),
    "nsf_coupling": Flow(
        functools.partial(tfp_flows.NeuralSplineFlow, coupling=True),
        lacks=("residual", "lu_mixing"),
    ),
    "binary_made": Flow(tfp_flows.BinaryMADE, is_binary=True),
    "mixture_made": Flow(tfp_flows.MixtureMADE, _standardized),
    "maf_mog": Flow(
        tfp_flows.MAF,
        _with_mixture_base,
        lacks=("standardize", "recompute"),
        adds=("num_components",),
    ),
    "nsf_mog": Flow(
        tfp_flows.NeuralSplineFlow,
        _with_mixture_base,
        lacks=("residual", "lu_mixing", "standardize", "recompute"),
        adds=("num_components",),
    ),
    "glow": Flow(tfp_flows.Glow, _on_rows, lacks=("transformer",), takes_images=True),
    "real_nvp_image": Flow(tfp_flows.RealNVPImage, _on_rows, takes_images=True),
}
