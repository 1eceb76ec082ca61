"""Codes that only some rows have, by which other cells of the row are missing."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class PresenceSpec:
    """Where one of the codes is present: plain values.

    Args:
      code: index of the code.
      cells: pairs of an earlier code and one of its values.
      context_cells: the same of codes of the context.
      if_any: whether the code is present in the rows with any of these values; if not, it
        is present in the others.
    """

    code: int
    cells: Sequence[Sequence[int]] = ()
    context_cells: Sequence[Sequence[int]] = ()
    if_any: bool = False

    def __post_init__(self) -> None:
        for name in ("cells", "context_cells"):  # lists in files
            pairs = tuple((int(code), int(value)) for code, value in getattr(self, name))
            object.__setattr__(self, name, pairs)


class Presence:
    """Which of K codes rows have. An absent code is the number of its values, V.

    So nothing that depends on a code, such as a number that is present where it is 0, is
    present where the code is absent. Codes that are present in some rows follow all others.

    Args:
      specs: a `PresenceSpec` for each code that some rows do not have.
      num_values: number of values of each code, `[K]`.

    Attributes:
      absent: absent codes, `[K]`.
      firsts: first code of each group of codes that are drawn at once: where a code is
        present does not depend on other codes of its group.
    """

    def __init__(self, specs: Sequence[PresenceSpec], num_values: Sequence[int]) -> None:
        self.specs = list(specs)
        self.absent = np.array(num_values, np.float64)
        self.firsts: list[int] = []
        for spec in self.specs:
            needed = max((code for code, _ in spec.cells), default=-1)
            if not self.firsts or needed >= self.firsts[-1]:
                self.firsts.append(spec.code)

    def present(self, codes: tf.Tensor, context: tf.Tensor | None) -> tf.Tensor:
        """Returns which codes are present, booleans `[N, K]`.

        The codes are `[N, K]`; the entries of the context, if there is one, `[N, C]`.
        """
        present = [tf.ones_like(codes[:, 0], tf.bool)] * len(self.absent)
        for spec in self.specs:
            cells = [tf.equal(codes[:, code], value) for code, value in spec.cells]
            if context is not None:
                cells += [tf.equal(context[:, c], value) for c, value in spec.context_cells]
            present[spec.code] = tf.equal(tf.reduce_any(cells, axis=0), spec.if_any)
        return tf.stack(present, axis=1)

    def redrawn(
        self,
        codes: tf.Tensor,
        given: tf.Tensor,
        observed: tf.Tensor,
        context: tf.Tensor | None,
        redraw: Callable,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns drawn codes with absent ones, and which are present, `[N, K]` both.

        Args:
          codes: drawn codes, `[N, K]`, as if all codes were present.
          given: observed codes, `[N, K]`; any where they are not observed.
          observed: which are, booleans `[N, K]`.
          context: entries of the context, `[N, C]`, if there is one.
          redraw: returns codes with others drawn in place of those that are not final,
            given codes and which of them are final, `[N, K]` both.
        """
        absent = tf.constant(self.absent, codes.dtype)
        for first in self.firsts:
            present = self.present(codes, context)
            codes = tf.where(present, tf.where(observed, given, codes), absent)
            is_before = np.arange(len(self.absent)) < first
            redrawn = redraw(codes, observed | ~present | is_before)
            codes = tf.where(present, redrawn, absent)
        return codes, self.present(codes, context)

    def are_right(self, codes: tf.Tensor, present: tf.Tensor) -> tf.Tensor:
        """Returns whether all codes that are not present are `absent`, booleans `[N]`."""
        absent = tf.constant(self.absent, codes.dtype)
        return tf.reduce_all(present | tf.equal(codes, absent), axis=1)
