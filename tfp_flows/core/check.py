"""The one form of all checks of fits and of reports on them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclasses.dataclass(frozen=True)
class Check:
    """A number, the threshold that it is compared with, and advice if it fails.

    Attributes:
      name: name of the number, and of its row in the report's table.
      value: the number; NaN if it is not known.
      threshold: the last value that passes.
      passed: whether the check passes; None if an earlier check makes it meaningless.
      advice: sentences that say what is wrong and what to try.
      resampling_helps: whether the weighted draws are right even if the check fails.

    >>> from tfp_flows.inference import Check
    >>> check = Check("share of zeros", 0.2, 0.1, passed=False, advice="Use floats.")
    >>> check.failed
    True
    """

    name: str
    value: float
    threshold: float
    passed: bool | None
    advice: str
    resampling_helps: bool = False

    @classmethod
    def at_most(
        cls, name: str, value: float, threshold: float, advice: str, **options: bool
    ) -> Check:
        """Returns a check that passes up to the threshold; NaN fails.

        >>> from tfp_flows.inference import Check
        >>> Check.at_most("share of zeros", 0.2, 0.1, "Use floats.").passed
        False
        """
        passed = bool(value <= threshold)
        return cls(name, value, threshold, passed, advice, **options)

    @classmethod
    def at_least(cls, name: str, value: float, threshold: float, advice: str) -> Check:
        """Returns a check that passes from the threshold on; NaN fails."""
        return cls(name, value, threshold, bool(value >= threshold), advice)

    @property
    def failed(self) -> bool:
        """Whether the check was made and does not pass."""
        return self.passed is not None and not self.passed

    @property
    def result(self) -> str:
        """The number, its threshold and whether it passes, for a report's table."""
        words = {True: "passed", False: "failed", None: "not judged"}[self.passed]
        value, threshold = map(_number, (self.value, self.threshold))
        return f"{value} (threshold {threshold}): {words}"


def _number(value):
    if math.isnan(value):
        return "not known"
    return f"{value:,.0f}" if abs(value) >= 100.0 else f"{value:.4g}"


@dataclasses.dataclass(frozen=True)
class Report:
    """Base class of reports with a field `checks`, which files hold as plain values."""

    def to_plain(self) -> dict[str, Any]:
        """Returns the fields as plain values for a file; tuples and arrays are lists."""
        return {k: _plain(value) for k, value in dataclasses.asdict(self).items()}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Self:
        """Returns the report from the result of `to_plain`."""
        fields = {k: tuple(v) if isinstance(v, list) else v for k, v in plain.items()}
        fields["checks"] = tuple(Check(**entries) for entries in plain["checks"])
        return cls(**fields)


def _plain(value):
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, tuple):
        return [_plain(part) for part in value]
    return value.tolist() if isinstance(value, np.ndarray) else value


def reasons_of(checks: Iterable[Check]) -> tuple[str, ...]:
    """Returns the advice of the checks that failed."""
    return tuple(check.advice for check in checks if check.failed)


def plus_minus(value: float, error: float) -> str:
    """Returns a number with its standard error, for a report's table."""
    return f"{value:.3f} +- {error:.3f}"


def lined_up(rows: Sequence[tuple[str, str]], reasons: Sequence[str]) -> str:
    """Returns a report as text: a table of names and texts, then a list of reasons."""
    width = max(len(name) for name, _ in rows)
    lines = [f"{name:<{width}}  {text}" for name, text in rows]
    return "\n".join([*lines, *(f"- {reason}" for reason in reasons)])
