"""The distribution that flags describe, and the flags that exclude each other."""

import dataclasses
import functools
import inspect
import itertools
from collections.abc import Callable

import tensorflow_probability as tfp

import tfp_flows
from experiments.command_line.flag_settings import UsageError
from experiments.command_line.training_settings import check_activation
from experiments.data import DATASETS, DataError, Request
from experiments.runs.starting_weights import load_start

# Settings read the names of these tables before TensorFlow is loaded, so the values are
# functions that look up `tfp_flows` when they are called.
BASES = {
    "normal": lambda event_size: tfp_flows.standard_normal(event_size),
    "logistic": lambda event_size: tfp_flows.standard_logistic(event_size),
}

SCALES = {
    "soft_bounded": lambda: tfp_flows.transformers.soft_bounded_scale,
    "exp": lambda: tfp_flows.transformers.exp_scale,
    "softplus": lambda: tfp_flows.transformers.softplus_scale,
    "sigmoid": lambda: tfp_flows.transformers.sigmoid_scale,
}

TRANSFORMERS = {
    "affine": lambda: tfp_flows.Affine(),
    "cubic_rational": lambda: tfp_flows.transformers.CubicRational(),
    "cubic_conjugation": lambda: tfp_flows.transformers.CubicConjugation(),
    "sinh_conjugation": lambda: tfp_flows.transformers.SinhConjugation(),
    "mixture_cdf": lambda: tfp_flows.transformers.MixtureCDF(),
}

# Name -> function of the event size and the seed; None leaves the choice to the model.
ORDERINGS = {
    "default": lambda event_size, seed: None,
    "natural": lambda event_size, seed: tfp_flows.natural_ordering(event_size),
    "reversed": lambda event_size, seed: tfp_flows.networks.reversed_ordering(event_size),
    "random": lambda event_size, seed: tfp_flows.networks.random_ordering(event_size, seed),
}

# The name, in place of a flow's, of the density that `tfp_flows.fit_density` fits.
AUTO = "auto"
_LEAST_ROWS = 20  # fewest rows that `fit_density` takes
# The flags that this fit and its report use.
_USED_BY_AUTO = {field.name for field in dataclasses.fields(Request)}
_USED_BY_AUTO |= {"dataset", "data_seed", "flow", "run_dir", "max_minutes", "progress"}
_USED_BY_AUTO |= {"evaluation_batch_size", "num_samples"}

# Flags that only some flows have; setting one for another flow is an error.
OPTIONS = ("hidden_units", "activation", "residual", "standardize", "num_levels")
OPTIONS += ("hidden_channels", "num_blocks", "num_steps", "batch_norm", "act_norm")
OPTIONS += ("lu_mixing", "recompute", "direct", "random_orderings", "ordering")
OPTIONS += ("num_quantiles", "decorrelate", "heavy_tails", "network_dtype")
OPTIONS += ("patch_size", "num_layers", "num_units", "num_heads", "normal_scores")
OPTIONS += ("num_masks", "num_components", "num_bins", "bound", "dropout")
# The flags that determine the model, except for the data and the seed.
ARCHITECTURE = ("flow", "base", "transformer", "learned_tails", "scale", "defensive_share")
ARCHITECTURE += OPTIONS


def _as_it_is(paper, event_size, **options):
    return paper(event_size, **options)


@dataclasses.dataclass(frozen=True)
class Flow:
    """A model that can be fitted.

    Args:
      name: name of a constructor of `tfp_flows`, whose signature has the options it takes.
      fixed: options of the constructor that are fixed.
      build: function of `paper`, `event_size` and options that returns a bijector or a
        distribution; a flow on images also gets the option `image_shape`.
      lacks: options of `paper` that `build` does not take.
      adds: further options of `build`.
      is_binary: whether it models rows of zeros and ones.
      takes_images: whether it needs to know the shape of an image.
    """

    name: str
    build: Callable = _as_it_is
    fixed: dict = dataclasses.field(default_factory=dict)
    lacks: tuple[str, ...] = ()
    adds: tuple[str, ...] = ()
    is_binary: bool = False
    takes_images: bool = False

    @property
    def paper(self):
        """The constructor, with its fixed options."""
        return functools.partial(getattr(tfp_flows, self.name), **self.fixed)

    def takes(self, option):
        """Whether `build` takes an option."""
        own = inspect.signature(self.paper).parameters
        return option in self.adds or (option in own and option not in self.lacks)


def _standardized(paper, event_size, *, num_quantiles, **options):
    """A `MixtureMADE` of standardised data, the paper's "MADE MoG"."""
    made = paper(event_size, **options)
    steps = [tfp_flows.Standardize(event_size)]
    if num_quantiles is not None:
        steps.append(tfp_flows.bijectors.Gaussianize(event_size, num_quantiles))
    return tfp_flows.FlowDistribution(made, tfp_flows.FlowChain(steps))


def _with_mixture_base(paper, event_size, *, num_components, num_steps, seed, **options):
    """A flow whose base is a `MixtureMADE`, the paper's "MAF MoG"."""
    flow = paper(event_size, num_steps=num_steps, seed=seed, **options)
    base_takes = inspect.signature(tfp_flows.MixtureMADE).parameters
    # Each step reverses the ordering, and so does the base after the last step.
    ordering = (
        tfp_flows.networks.reversed_ordering
        if num_steps % 2
        else tfp_flows.natural_ordering
    )
    base = tfp_flows.MixtureMADE(
        event_size,
        num_components,
        ordering=ordering(event_size),
        seed=None if seed is None else seed + 1,
        **{name: value for name, value in options.items() if name in base_takes},
    )
    return tfp_flows.FlowDistribution(base, flow)


def _on_rows(paper, event_size, *, image_shape, bin_width, normal_scores, **options):
    """A flow on images, `[N, H, W, C]`, that takes rows, `[N, D]`."""
    if image_shape is None:
        raise DataError("Expected a data set of images for this flow; got one of rows.")
    if normal_scores:
        if bin_width is None:
            raise DataError("Expected pixels with bins for --normal_scores; got none.")
        options["normal_scores"] = round(1.0 / bin_width)
    image_shape = (*image_shape, event_size // (image_shape[0] * image_shape[1]))
    try:
        images = paper(image_shape, **options)
    except ValueError as error:
        raise UsageError(str(error)) from error
    rows = tfp.bijectors.Reshape(
        event_shape_out=[event_size], event_shape_in=list(image_shape)
    )
    # Only the inner flow standardises contexts, if at all.
    return tfp_flows.FlowChain([rows, images], standardize_context=False)


_COUPLING = {"coupling": True}
_SPLINES_LACK = ("residual", "lu_mixing")
_MIXTURE = {"build": _with_mixture_base, "adds": ("num_components",)}
_MIXTURES_LACK = ("standardize", "recompute")

FLOWS = {
    "nice": Flow("NICE"),
    "real_nvp": Flow("RealNVP"),
    "made": Flow("MADE", lacks=("recompute",)),  # it has only one step
    "maf": Flow("MAF"),
    "iaf": Flow("IAF", lacks=("transformer",)),  # it has its own
    "nsf": Flow("NeuralSplineFlow", lacks=_SPLINES_LACK),
    "nsf_coupling": Flow("NeuralSplineFlow", fixed=_COUPLING, lacks=_SPLINES_LACK),
    "binary_made": Flow("BinaryMADE", is_binary=True),
    "mixture_made": Flow("MixtureMADE", _standardized, adds=("num_quantiles",)),
    "maf_mog": Flow("MAF", lacks=_MIXTURES_LACK, **_MIXTURE),
    "nsf_mog": Flow("NeuralSplineFlow", lacks=_SPLINES_LACK + _MIXTURES_LACK, **_MIXTURE),
    "nsf_coupling_mog": Flow(
        "NeuralSplineFlow",
        fixed=_COUPLING,
        lacks=_SPLINES_LACK + _MIXTURES_LACK,
        **_MIXTURE,
    ),
    "glow": Flow("Glow", _on_rows, lacks=("transformer",), takes_images=True),
    "real_nvp_image": Flow("RealNVPImage", _on_rows, takes_images=True),
    "tarflow": Flow("TarFlow", _on_rows, takes_images=True),
}


def for_dataset(settings, dataset, strategy):
    """Returns the distribution that `settings` describe for a data set.

    With `init_from`, it is loaded from there.
    """
    start = load_start(
        settings,
        strategy,
        kind=tfp_flows.DensityEstimator,
        architecture=ARCHITECTURE,
        facts=shape_of(dataset),
        columns=dataset.described_columns,
    )
    with strategy.scope():
        distribution = build_distribution(
            settings,
            dataset.event_size,
            dataset.context_size,
            # One-hot classes need no standardising.
            standardize_context=not dataset.class_names,
            is_binary=dataset.is_binary,
            image_shape=dataset.image_shape,
            bin_width=dataset.bin_width,
            angles=dataset.angles,
        )
    return start.distribution if start else distribution


def build_distribution(
    settings,
    event_size,
    context_size=0,
    *,
    standardize_context=True,
    is_binary=None,
    image_shape=None,
    bin_width=None,
    angles=(),
):
    """Returns the distribution that `settings` describe.

    Args:
      settings: a `Settings`.
      event_size: number of variables of the data.
      context_size: number of variables of the context.
      standardize_context: whether to standardise the context by the training rows.
      is_binary: whether the data are zeros and ones; None if that is not known yet.
      image_shape: `(H, W)` if a row is an image; else None.
      bin_width: width of the bins of pixels; None if there are none.
      angles: indices of the variables that are angles; only some flows support them.
    """
    flow = FLOWS[settings.flow]
    _check_kind(settings, flow.is_binary, is_binary)
    arguments = _arguments(settings, flow) | {
        "context_size": context_size,
        "standardize_context": standardize_context,
    }
    if flow.takes_images:
        arguments |= {"image_shape": image_shape, "bin_width": bin_width}
    if "ordering" in arguments:
        ordering = ORDERINGS[settings.ordering]
        arguments["ordering"] = ordering(event_size, settings.seed)
    if angles and settings.learned_tails:
        raise UsageError("Expected no `learned_tails` for data that are angles; got True.")
    if angles and flow.takes("circular"):
        arguments["circular"] = list(angles)
    try:
        built = flow.build(flow.paper, event_size, **arguments)
    except ValueError as error:
        if event_size > 1:
            raise
        raise DataError(f"{settings.flow} does not fit one variable: {error}") from error
    if isinstance(built, tfp_flows.FlowBijector):
        base = BASES[settings.base](event_size)
        if "circular" in arguments:
            _refuse_base(settings, "which is uniform for angles")
            base = tfp_flows.circular_base(event_size, circular=list(angles))
        built = _with_tails(built, event_size) if settings.learned_tails else built
        return _defended(tfp_flows.FlowDistribution(base, built), settings, flow)
    if settings.learned_tails:
        raise UsageError(
            f"Expected no `learned_tails`, which {settings.flow} lacks; got True."
        )
    _refuse_base(settings, f"which {settings.flow} has itself")
    return _defended(built, settings, flow)


def guided(distribution, weight):
    """Returns the distribution of a tarflow with guidance by its context."""
    rows, images = distribution.bijector.bijectors
    steps = [rows, tfp_flows.flows.Guided(images, weight)]
    flow = tfp_flows.FlowChain(steps, standardize_context=False)
    return tfp_flows.FlowDistribution(distribution.distribution, flow)


def shape_of(dataset):
    """Returns the sizes of a data set that determine the shape of the model."""
    shape = dataset.pixel_shape
    return {
        "event_size": dataset.event_size,
        "context_size": dataset.context_size,
        "image_shape": None if shape is None else list(shape),
    }


def _defended(distribution, settings, flow):
    if not settings.defensive_share:
        return distribution
    if flow.is_binary:
        raise UsageError(
            f"Expected no `defensive_share`, a Gaussian's, with {settings.flow}, whose "
            f"rows are binary; got {settings.defensive_share}."
        )
    return tfp_flows.Defensive(distribution, settings.defensive_share)


def check_auto(settings, dataset):
    """Checks that the density of `--flow=auto` can be fitted to a data set."""
    check(settings)
    _check_kind(settings, models_bits=False, is_binary=dataset.is_binary)
    if dataset.angles:
        raise UsageError(
            f"Expected `flow` to be nsf or nsf_coupling for {settings.dataset}, which "
            f"holds angles; got {settings.flow!r}."
        )
    count = len(dataset.train) + len(dataset.validation)
    if count < _LEAST_ROWS:
        raise DataError(
            f"Expected at least {_LEAST_ROWS} rows for training and validation together, "
            f"with --flow={settings.flow}; got {count}."
        )


def check(settings):
    """Raises `UsageError` if `settings` exclude each other for all data."""
    if settings.flow == AUTO:
        _refuse_idle(settings, _USED_BY_AUTO.__contains__)
        return
    if settings.activation:
        check_activation(settings.activation)
    flow = FLOWS[settings.flow]
    if flow.takes_images:  # only the data tell their shape
        _check_images(settings)
        _arguments(settings, flow)
        return
    try:
        build_distribution(settings, event_size=2)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _with_tails(flow, event_size):
    tails = tfp_flows.bijectors.Elementwise(event_size, tfp_flows.transformers.Tail())
    # Only the inner flow standardises contexts, if at all.
    return tfp_flows.FlowChain([tails, flow], standardize_context=False)


def _refuse_base(settings, why):
    if settings.base != "normal":
        raise UsageError(f"Expected no `base`, {why}; got {settings.base}.")


def _check_images(settings):
    fitting = sorted(name for name, entry in DATASETS.items() if entry.is_image)
    if settings.dataset not in fitting:
        raise UsageError(
            f"Expected `dataset` to be one of {fitting}, images, with "
            f"--flow={settings.flow}; got {settings.dataset!r}."
        )


def _check_kind(settings, models_bits, is_binary):
    if is_binary is None or is_binary == models_bits:
        return
    fitting = sorted(name for name, f in FLOWS.items() if f.is_binary == is_binary)
    kind = "zeros and ones only" if is_binary else "more than zeros and ones"
    raise UsageError(
        f"Expected `flow` to be one of {fitting} for {settings.dataset}, which holds "
        f"{kind}; got {settings.flow!r}."
    )


def _arguments(settings, flow):
    """The settings that the flow takes; all others must have their defaults."""
    taken = {name: flow.takes(name) for name in OPTIONS}
    taken["scale"] = taken["transformer"] = flow.takes("transformer")
    taken["learned_tails"] = not (flow.is_binary or flow.takes_images)
    _refuse_idle(settings, lambda name: taken.get(name, True))
    arguments = {name: getattr(settings, name) for name in OPTIONS if taken[name]}
    if not settings.activation:  # use the flow's default
        arguments.pop("activation", None)
    if "num_quantiles" in arguments:
        arguments["num_quantiles"] = settings.num_quantiles or None
    if arguments.get("heavy_tails"):
        arguments["heavy_tails"] = "student"
    if settings.transformer != "affine":
        arguments["transformer"] = TRANSFORMERS[settings.transformer]()
    elif settings.scale != "soft_bounded":  # the flows' default
        arguments["transformer"] = tfp_flows.Affine(SCALES[settings.scale]())
    return arguments | {"seed": settings.seed}


def _refuse_idle(settings, is_used):
    """Refuses a flag that the flow does not use, unless it has its default."""
    for name in itertools.filterfalse(is_used, settings.non_default()):
        hint = " Name a flow that has it, such as --flow=nsf."
        raise UsageError(
            f"Expected no `{name}`, which {settings.flow} lacks; got "
            f"{getattr(settings, name)}." + (hint if settings.flow == AUTO else "")
        )
