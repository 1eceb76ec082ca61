"""The result of a numerical check of a bijector."""

from __future__ import annotations

import dataclasses

__all__ = ["BijectorReport"]


@dataclasses.dataclass(frozen=True)
class BijectorReport:
    """The errors that `check_bijector` has measured; `print` it.

    Errors are the largest over the points, relative where the true value is above 1.
    Steps that are still the identity, which passes whatever the formulas are, were given
    random weights for them: `print` says so first.

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
        the bijector if all of it is. They were checked with random weights.
      is_identity: whether the whole bijector is.
      unseen: names of those that are the identity with random weights, too, so that
        nothing is known of them.
      wrong_steps: place and name of each step whose own checks fail, or of the chain whose
        steps are right.

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
    unseen: tuple = ()
    wrong_steps: tuple = ()

    @property
    def passed(self) -> bool | None:
        """Whether all errors are within `tolerance`, and the integral within 0.01 of 1.

        None if they are, but for some steps (`unseen`) they would be with any formulas.
        """
        if not all(ok for _, _, ok in self._rows()):
            return False
        return None if self.unseen else True

    def __str__(self) -> str:
        head = (
            f"check_bijector: {self.num_points} points of shape {self.event_shape}, "
            f"{self.dtype}, tolerance {self.tolerance:g}"
        )
        if self.identities:
            names = _quoted(self.identities)
            head = f"Still the identity, so checked with random weights: {names}.\n{head}"
        if self.unseen:
            names = _quoted(self.unseen)
            head = f"The identity with any weights, so nothing is known: {names}.\n{head}"
        rows = [
            f"  {'ok  ' if ok else 'FAIL'}  {name:<42} {value:.3g}"
            for name, value, ok in self._rows()
        ]
        if self.wrong_steps:
            rows.append("  wrong by itself: " + ", ".join(self.wrong_steps))
        return "\n".join([head, *rows])

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


def _quoted(names):
    return ", ".join(f"`{name}`" for name in names)
