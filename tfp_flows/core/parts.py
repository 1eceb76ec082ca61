"""What the parts of a composite bijector share."""

import tensorflow_probability as tfp

from tfp_flows.core.arguments import check_instance

__all__ = [
    "all_standardize_context",
    "as_bijectors",
    "context_for",
    "shared_context_size",
    "shared_dtype",
]


def all_standardize_context(parts):
    """Returns whether each conditional one of `parts` standardises its context."""
    return all(part.standardizes_context for part in parts if part.context_size)


def as_bijectors(name, bijectors):
    """Returns the argument `bijectors` as a list of at least one bijector.

    Raises:
      ValueError: if it is none.
    """
    check_instance(name, bijectors, (list, tuple), "a list of bijectors")
    if not bijectors:
        raise ValueError(f"Expected at least one bijector in `{name}`; got none.")
    for bijector in bijectors:
        words = "a list of `tfp.bijectors.Bijector`s"
        check_instance(name, bijector, tfp.bijectors.Bijector, words)
    return list(bijectors)


def context_for(part, context):
    """Returns the context if `part` is conditional, else None."""
    return context if part.context_size else None


def shared_context_size(parts):
    """Returns the one width of context of `parts`; 0 where none is conditional.

    Args:
      parts: list of `FlowBijector`s.

    Raises:
      ValueError: if two want contexts of two widths.
    """
    sizes = sorted({part.context_size for part in parts} - {0})
    if len(sizes) > 1:
        raise ValueError(f"Expected one `context_size` in all of `bijectors`; got {sizes}.")
    return sizes[0] if sizes else 0


def shared_dtype(parts):
    """Returns the one dtype of `parts`; None where any will do.

    Args:
      parts: list of `FlowBijector`s.

    Raises:
      ValueError: if there are two.
    """
    dtypes = {part.dtype for part in parts if part.dtype is not None}
    if len(dtypes) > 1:
        names = sorted(dtype.name for dtype in dtypes)
        raise ValueError(f"Expected one dtype in all of `bijectors`; got {names}.")
    return dtypes.pop() if dtypes else None
