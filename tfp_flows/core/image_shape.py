"""The one check of the shape of an image."""

from collections.abc import Sequence

from tfp_flows.core.arguments import positive_integers

__all__ = ["check_image_shape"]


def check_image_shape(
    image_shape: Sequence[int], *, divisible_by: int = 1
) -> tuple[int, int, int]:
    """Returns `image_shape` as a tuple of integers.

    Args:
      image_shape: `(H, W, C)`.
      divisible_by: what H and W must be multiples of.

    Raises:
      ValueError: if it is not three positive integers, or H or W does not divide.
    """
    shape = positive_integers(image_shape)
    if shape is None or len(shape) != 3:
        raise ValueError(
            f"Expected `image_shape` of positive (H, W, C); got {image_shape!r}."
        )
    height, width, channels = shape
    if height % divisible_by or width % divisible_by:
        raise ValueError(
            f"Expected `image_shape` with H and W divisible by {divisible_by}; got {shape}."
        )
    return height, width, channels
