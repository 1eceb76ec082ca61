"""Refusals of arguments that several flows have in common."""

from __future__ import annotations

__all__ = ["refuse_one_variable", "refuse_two_norms"]


def refuse_one_variable(event_size: int) -> None:
    """Raises `ValueError` for couplings of one variable, in which a network sees none."""
    if event_size < 2:
        raise ValueError(
            "Expected `event_size` of at least 2, since a coupling needs variables that "
            f"pass and others that change; got {event_size}. Flows of one variable, with "
            "a context or without, are `NeuralSplineFlow(1)` and `MAF(1, transformer=...)`."
        )


def refuse_two_norms(batch_norm: bool, act_norm: bool) -> None:
    """Raises `ValueError` if both norms are asked for."""
    if batch_norm and act_norm:
        raise ValueError("Expected one of `batch_norm` and `act_norm`; got both.")
