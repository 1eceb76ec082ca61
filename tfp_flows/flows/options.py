"""Options that all flows share: their types, defaults and documentation."""

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypedDict

import tensorflow as tf

if TYPE_CHECKING:
    from typing_extensions import Unpack
else:
    Unpack = None  # annotations of flows are texts, which only type checkers read

_Arguments = ParamSpec("_Arguments")


class FlowOptions(TypedDict, total=False):
    """Keyword arguments of every flow.

    Args:
      standardize_context: whether contexts, `[..., context_size]`, are standardised by
        statistics that `initialize` sets (see `FlowChain`); True by default.
      recompute: whether training recomputes the activations inside each step for the
        gradient, to save memory (see `FlowChain`); False by default. Neither batch norm nor
        dropout can be recomputed.
      seed: integer that determines initial weights, orders and permutations; random if
        None, the default.
      dtype: dtype of inputs and weights; float32 by default.
      network_dtype: Keras dtype policy of the networks. "mixed_bfloat16" computes in
        bfloat16, with float32 weights and maps; None, the default, is the policy of
        `dtype`. With "mixed_bfloat16", the sequential direction of an autoregressive step
        takes up to D passes of its network.

    >>> import tfp_flows
    >>> flow = tfp_flows.RealNVP(2, dtype="float64", seed=0)
    >>> flow.dtype.name
    'float64'
    """

    standardize_context: bool
    recompute: bool
    seed: int | None
    dtype: tf.DType | str
    network_dtype: str | None


class VectorFlowOptions(FlowOptions, total=False):
    """Keyword arguments of every flow on vectors: those of `FlowOptions`, and these.

    Args:
      residual: whether the networks are residual; False by default. All widths in
        `hidden_units` must then be equal.
      standardize: whether data are first standardised by statistics that `initialize`
        sets; True by default.
      num_quantiles: number of quantiles by which each variable, once standardised, becomes
        normal (see `Gaussianize`), for many rows; None, the default, for none.
      decorrelate: whether this also removes their correlations (see `Decorrelate`); True by
        default. More than 1,024 variables are standardised only.
      heavy_tails: kind of tails heavier than the base's, "student" (the default) or "sinh"
        (see `HeavyTails`), or False. Without `standardize` there are none.

    >>> import tfp_flows
    >>> flow = tfp_flows.MAF(3, decorrelate=False, heavy_tails=False, seed=0)
    >>> flow.bijectors[0].name
    'standardize'
    """

    residual: bool
    standardize: bool
    num_quantiles: int | None
    decorrelate: bool
    heavy_tails: str | Literal[False]


_DEFAULTS: VectorFlowOptions = {
    "residual": False,
    "standardize_context": True,
    "standardize": True,
    "num_quantiles": None,
    "decorrelate": True,
    "heavy_tails": "student",
    "recompute": False,
    "seed": None,
    "dtype": tf.float32,
    "network_dtype": None,
}


def takes_options(
    options: type = VectorFlowOptions, **defaults: Any
) -> Callable[[Callable[_Arguments, None]], Callable[_Arguments, None]]:
    """Decorates a constructor of `**options: Unpack[FlowOptions]`, or of its subclass.

    The constructor then receives every option: the caller's, or the default, of which
    `defaults` differ from other flows'. Its signature lists them all. An unknown name is a
    `TypeError` that lists the names allowed.
    """
    types = options.__annotations__
    values = {name: {**_DEFAULTS, **defaults}[name] for name in types}

    def decorate(init: Callable[_Arguments, None]) -> Callable[_Arguments, None]:
        *arguments, _ = inspect.signature(init).parameters.values()
        shared = [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=value, annotation=types[name]
            )
            for name, value in values.items()
        ]
        signature = inspect.Signature([*arguments, *shared], return_annotation=None)

        @functools.wraps(init)
        def init_with_options(*args: _Arguments.args, **kwargs: _Arguments.kwargs) -> None:
            unknown = kwargs.keys() - signature.parameters.keys()
            if unknown:
                flow, *allowed = signature.parameters
                raise TypeError(
                    f"Expected arguments of {allowed} for "
                    f"`{init.__qualname__.split('.')[0]}`; got {sorted(unknown)}."
                )
            init(*args, **{**values, **kwargs})

        init_with_options.__signature__ = signature  # type: ignore[attr-defined]
        return init_with_options

    return decorate


def all_arguments(arguments: dict[str, Any]) -> dict[str, Any]:
    """Returns the `locals()` of a constructor, with `options` among its arguments."""
    left_out = ("self", "__class__", "options")
    named = {k: v for k, v in arguments.items() if k not in left_out}
    return named | arguments["options"]
