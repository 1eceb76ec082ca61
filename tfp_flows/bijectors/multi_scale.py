"""A flow on images that factors out part of the channels after each level."""

from __future__ import annotations

import math
from collections.abc import Sequence

import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.bijectors.tfp_bijector import TFPBijector
from tfp_flows.core.arguments import check_image_shape, check_share, require
from tfp_flows.core.composite import Composite, as_bijectors, context_for
from tfp_flows.core.flow_bijector import FlowBijector
from tfp_flows.core.rows import initialize_part


class MultiScale(Composite):
    """Levels on images; each but the last factors out part of its channels.

    ```none
    inverse:  h = y
              for each level but the last:
                  h, z[l] = first channels, last channels of level[l]^-1(h)
              z[L] = level[L]^-1(h)
              x = all entries of z[1], ..., z[L], one after the other
    log_det:  the sum over the levels
    ```

    The latent end is one vector, so the distribution is
    `FlowDistribution(standard_normal(D), flow)`, and a base of smaller scale samples at a
    temperature. For a Gaussian prior of the factored-out part given the kept part, end a
    level with a `Coupling` whose mask passes the kept channels: it standardises by a
    conditional mean and scale.

    Args:
      levels: list of bijectors from images to images, ours or TFP's, data side first.
      image_shape: `(H, W, C)` of the data end.
      fraction: fraction of the channels that is factored out after a level.
      name: name of the bijector.

    Raises:
      ValueError: if there is no level, or `fraction` is not a whole number of channels at
        some level, or all or none of them.

    >>> import tfp_flows
    >>> levels = [tfp_flows.Squeeze((4, 4, 1)), tfp_flows.Squeeze((2, 2, 2))]
    >>> tfp_flows.MultiScale(levels, (4, 4, 1)).latent_shapes
    ((2, 2, 2), (1, 1, 8))

    Reference:
      Dinh, Sohl-Dickstein, Bengio (2016), RealNVP, section 3.6.
      https://arxiv.org/abs/1605.08803
    """

    def __init__(
        self,
        levels: Sequence[tfb.Bijector],
        image_shape: Sequence[int],
        *,
        fraction: float = 0.5,
        name: str = "multi_scale",
    ) -> None:
        levels = [*map(_as_level, as_bijectors("levels", levels))]
        check_share("fraction", fraction)
        image_shape = check_image_shape(image_shape)
        latent_shapes = _latent_shapes(levels, image_shape, fraction)
        super().__init__(
            levels,
            event_ndims=1,
            event_shape=[math.prod(image_shape)],
            data_event_shape=image_shape,
            name=name,
        )
        self._latent_shapes = latent_shapes

    @property
    def levels(self) -> tuple[FlowBijector, ...]:
        """The levels, from the data side to the latent side."""
        return tuple(self._steps)

    @property
    def latent_shapes(self) -> tuple[tuple[int, ...], ...]:
        """Shapes `(h, w, c)` of the parts of the latent vector, one for each level."""
        return tuple(self._latent_shapes)

    def _initialize(self, data, context, weight):
        *before, last = self._steps
        for level, latent in zip(before, self._latent_shapes, strict=False):
            data = level.initialize_and_normalise(
                data, context=context_for(level, context), sample_weight=weight
            )
            data = data[..., : -latent[-1]]
        initialize_part(last, data, context_for(last, context), weight)

    def _inverse_and_log_det(self, y, context, training):
        latents, log_dets = [], []
        for level, latent in zip(self._steps, self._latent_shapes, strict=True):
            y, log_det = self._apply_part(level, "inverse", training, y, context)
            log_dets.append(log_det)
            y, factored = tf.split(y, [y.shape[-1] - latent[-1], latent[-1]], axis=-1)
            latents.append(tf.reshape(factored, [-1, math.prod(latent)]))
        return tf.concat(latents, axis=-1), tf.add_n(log_dets)

    def _forward_and_log_det(self, x, context, training):
        sizes = [math.prod(shape) for shape in self._latent_shapes]
        latents = tf.split(x, sizes, axis=-1)
        log_dets, y = [], None
        for level, latent, shape in reversed(
            list(zip(self._steps, latents, self._latent_shapes, strict=True))
        ):
            latent = tf.reshape(latent, [-1, *shape])
            y = latent if y is None else tf.concat([y, latent], axis=-1)
            y, log_det = self._apply_part(level, "forward", training, y, context)
            log_dets.append(log_det)
        return y, tf.add_n(log_dets)


def _as_level(bijector):
    if isinstance(bijector, FlowBijector):
        level = bijector
    elif bijector.inverse_min_event_ndims == 3:
        level = FlowChain([bijector])
    else:  # on fewer axes, it acts alike at every position of an image
        level = TFPBijector(bijector, 3)
    require(
        level.inverse_min_event_ndims == 3,
        "`levels` on images, of 3 axes",
        f"`{level.name}` on events of {level.inverse_min_event_ndims}",
        " Many bijectors have an argument `event_ndims`.",
    )
    return level


def _latent_shapes(levels, image_shape, fraction):
    """Returns the shape that each level factors out; the last one factors out all."""
    shapes = []
    for number, level in enumerate(levels[:-1], start=1):
        *spatial, channels = level.inverse_event_shape(image_shape).as_list()
        words = "`levels` between images, apart from the last"
        require(len(spatial) == 2, words, f"`{level.name}` to {[*spatial, channels]}")
        factored = round(fraction * channels)
        fits = 0 < factored < channels and math.isclose(factored, fraction * channels)
        words = "`fraction` of a whole number of channels, some and not all, of"
        require(fits, f"{words} the {channels} of level {number}", fraction)
        shapes.append((*spatial, factored))
        image_shape = (*spatial, channels - factored)
    return [*shapes, tuple(levels[-1].inverse_event_shape(image_shape).as_list())]
