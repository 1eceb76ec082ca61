"""The values of an ordered column: numbers or texts, and their places in the order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["OrderedValues"]


class OrderedValues:
    """Values in an order, which is their own if they are numbers that rise.

    Args:
      name: of the column.
      values: numbers, booleans or texts, all different.
    """

    def __init__(self, name: str, values: Sequence) -> None:
        self._name, self._values = name, list(values)
        self._places = {value: float(place) for place, value in enumerate(values)}
        self.are_texts = any(isinstance(value, str) for value in values)
        self._rise = not self.are_texts and bool(
            (np.diff(np.array(values, float)) > 0).all()
        )

    def at(self, places: np.ndarray) -> np.ndarray:
        """Values at places, `[...]`."""
        return np.asarray(self._values)[places.astype(int)]

    def places(self, y: np.ndarray) -> np.ndarray:
        """Places of y, `[N]`; -1 of numbers that are none of the values.

        Raises:
          ValueError: if a text is none of the values.
        """
        found = np.array([self._places.get(value, -1.0) for value in y.tolist()], float)
        if self.are_texts:
            self._check(y, found)
        return found

    def places_up_to(self, y: npt.NDArray) -> np.ndarray:
        """Places of the last values that are not above y, `[N]`; NaN of NaN.

        Raises:
          ValueError: if one is none of the values, and these do not rise.
        """
        if self._rise:
            y = y.astype(np.float64)
            up_to = np.searchsorted(self._values, y, side="right") - 1.0
            return np.where(np.isnan(y), np.nan, up_to)
        found = self.places(y)
        self._check(y, found)
        return found

    def _check(self, y, places):
        if (places < 0.0).any():
            row = int(np.argmax(places < 0.0))
            raise ValueError(
                f"Expected `y` of the values {self._values} of {self._name!r}; got "
                f"{y.tolist()[row]!r} in row {row}."
            )
