"""The arrays of a MADE network, by what they connect."""

import typing

__all__ = ["MaskedWeights"]


class MaskedWeights(typing.NamedTuple):
    """The arrays of a `MaskedMLP`.

    Attributes:
      layers: `(tiles, bias)` of each `MaskedDense`.
      context: kernel from the context to the first layer.
      direct: tiles of the direct connections; none where there are none.
    """

    layers: list
    context: typing.Any
    direct: list
