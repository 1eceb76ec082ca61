"""The flow of a posterior, built from a constructor, a name or a bijector."""

from __future__ import annotations

import inspect
from typing import Any

import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from tfp_flows.distributions.distribution_checks import check_event_size
from tfp_flows.flows.iaf import IAF
from tfp_flows.flows.made import MADE
from tfp_flows.flows.maf import MAF
from tfp_flows.flows.nice import NICE
from tfp_flows.flows.real_nvp import RealNVP

__all__ = ["build_flow"]


_FLOWS = {"iaf": IAF, "made": MADE, "maf": MAF, "nice": NICE, "real_nvp": RealNVP}


def build_flow(flow: Any, size: int, dtype: tf.DType | str, options: dict) -> tfb.Bijector:
    """Returns the bijector on vectors of `size` that `flow` is, names or constructs.

    Raises `ValueError` if `flow` is something else, or takes vectors of another size, or if
    there are constructor arguments, `options`, for a bijector.
    """
    built = _build(flow, size, dtype, options)
    check_event_size(built, size, "vectors of the target's {} entries")
    return built


def _build(flow, size, dtype, options):
    if isinstance(flow, tfb.Bijector):
        if options:
            raise ValueError(f"Expected no options with a built `flow`; got {options}.")
        return flow
    if isinstance(flow, str) and flow not in _FLOWS:
        raise ValueError(f"Expected `flow` to be one of {sorted(_FLOWS)}; got {flow!r}.")
    constructor = _FLOWS[flow] if isinstance(flow, str) else flow
    if not callable(constructor):
        raise ValueError(
            f"Expected `flow`, one of {sorted(_FLOWS)}, a constructor, or a bijector; got "
            f"{flow!r}."
        )
    if "standardize" in inspect.signature(constructor).parameters:
        options = {"standardize": False, **options}  # there are no data to standardise by
    return constructor(size, dtype=dtype, **options)
