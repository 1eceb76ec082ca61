"""The one check that a network fits the autoregressive step it is given to."""

__all__ = ["check_conditioner"]


def check_conditioner(conditioner, event_size, transformer):
    """Refuses a conditioner of other sizes, which might broadcast and go unnoticed.

    Args:
      conditioner: a callable; one without `input_shape` and `output_shape` passes.
      event_size: number of variables, D.
      transformer: what its P parameters a variable are for.

    Raises:
      ValueError: if it sees no D variables, or returns no `P * D` parameters.
    """
    units = transformer.num_parameters * event_size
    for name, expected in (("input_shape", event_size), ("output_shape", units)):
        shape = tuple(getattr(conditioner, name, (expected,)))
        if shape != (expected,):
            raise ValueError(
                f"Expected a `conditioner` of `{name}` {(expected,)} for {event_size} "
                f"variables and `{type(transformer).__name__}`; got {shape}."
            )
