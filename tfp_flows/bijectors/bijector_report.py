"""The result of a numerical check of a bijector."""

from __future__ import annotations

import dataclasses

__all__ = ["BijectorReport"]


@dataclasses.dataclass(frozen=True)
class BijectorReport:
    """The errors that `check_bijector` has measured; `print` it.

    Errors are the largest over the points, relative where the true value is above 1.
    For a step that is still the identity they show nothing, since the identity passes
    whatever the formulas are: `print` says so first.

    Attributes:
      num_points: number of points tried.
      event_shape: shape of one event at the data end.
      dtype: name of the dtype computed in.
      data_round_trip: error of `forward(inverse(x))`.
      latent_round_trip: error of `inverse(forward(z))`, at `z = inverse(x)`.
      inverse_log_det: error of the inverse's log-det against that of autodiff.
      forward_log_det: error of the forward's log-det against that of autodiff.
      integral: of the density with a standard normal base, over a grid; None for events
        of more than two variables. It should be 1.
      tolerance: what `passed` allows the errors to be.
      identities: names of the steps with weights that are still the identity; the name of
        the bijector if all of it is.
      is_identity: whether the whole bijector is.

    >>> import tfp_flows
    >>> report = tfp_flows.check_bijector(tfp_flows.Permutation([1, 0]), [[1.0, 2.0]])
    >>> report.passed, report.data_round_trip
    (True, 0.0)
    """

    num_points: int
    event_shape: tuple
    dtype: str
    data_round_trip: float
    latent_round_trip: float
    inverse_log_det: float
    forward_log_det: float
    integral: float | None
    tolerance: float
    identities: tuple = ()
    is_identity: bool = False

    @property
    def passed(self) -> bool:
        """Whether all errors are within `tolerance`, and the integral within 0.01 of 1.

        Also True if `is_identity`: nothing was found wrong, since nothing could be.
        """
        return all(ok for _, _, ok in self._rows())

    def __str__(self) -> str:
        head = (
            f"check_bijector: {self.num_points} points of shape {self.event_shape}, "
            f"{self.dtype}, tolerance {self.tolerance:g}"
        )
        if self.identities:
            head = f"{self._warning()}\n{head}"
        if self.is_identity and self.passed:
            return head
        rows = [
            f"  {'ok  ' if ok else 'FAIL'}  {name:<42} {value:.3g}"
            for name, value, ok in self._rows()
        ]
        return "\n".join([head, *rows])

    def _warning(self):
        names = ", ".join(f"`{name}`" for name in self.identities)
        return (
            f"Still the identity, of which nothing is shown: {names}. Train it first, or "
            "give its weights random values."
        )

    def _rows(self):
        errors = {
            "round trip from data, error": self.data_round_trip,
            "round trip from latent, error": self.latent_round_trip,
            "log-det of inverse against autodiff, error": self.inverse_log_det,
            "log-det of forward against autodiff, error": self.forward_log_det,
        }
        rows = [(name, e, bool(e <= self.tolerance)) for name, e in errors.items()]
        if self.integral is not None:
            right = bool(abs(self.integral - 1.0) <= 0.01)
            rows.append(("integral of the density (should be 1)", self.integral, right))
        return rows
