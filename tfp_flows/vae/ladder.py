"""A VAE of images with many layers of latents: the ResNet VAE of the IAF paper.

```none
generation, from the top:  z_1 ~ p(z_1),   z_2 ~ p(z_2 | z_1),   ...,   x ~ p(x | all z)
inference:                 features of x from the bottom up;  then the same pass from the
                           top, with z_l ~ q(z_l | z_1, ..., z_(l-1), features)
```

Each z_l is a map of numbers at the resolution of its layer. All of them together are the
latent vector of the `VAE`, the top layer first.
"""

from __future__ import annotations

import math
import typing
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow.types.experimental import TensorLike

from tfp_flows.bijectors.autoregressive import InverseAutoregressive
from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.core.arguments import (
    check_image_shape,
    check_integer,
    check_members,
    check_seed,
    check_size,
    check_widths,
    require,
)
from tfp_flows.core.inputs import check_value
from tfp_flows.core.rows import at_least_one_row
from tfp_flows.distributions.draws import fold_in, normal, stateless
from tfp_flows.networks.conditioner import Conditioner
from tfp_flows.networks.layer_arguments import split_seed
from tfp_flows.networks.masked_conv_net import MaskedConvNet
from tfp_flows.vae import objectives
from tfp_flows.vae.conv_networks import ConvNetwork
from tfp_flows.vae.likelihoods import Likelihood
from tfp_flows.vae.model import VAE, Terms
from tfp_flows.vae.posteriors import Posterior, normal_log_prob, positive

# Each layer adds a tenth of its output to the maps that go through all layers, so that many
# layers start near the identity, as in the authors' code.
_RESIDUAL_SCALE = 0.1
# Rows that `encode` passes through the decoder at a time.
_AT_ONCE = 2**12


class LadderEncoder(ConvNetwork):
    """The features of each layer of latents, from the bottom up.

    ```none
    h = conv3x3(patches of the image)
    for each layer:    features, u = conv3x3(activation(h))
                       h <- h + conv3x3(activation(u)) / 10
    between the sizes: h <- conv3x3(activation(h)) of stride 2
    ```

    Args:
      image_shape: `(H, W, C)`; rows `[N, H * W * C]` are taken as images, too.
      num_features: channels of the features of a layer.
      **kwargs: see `LadderVAE`; and `name`, `dtype` of `keras.layers.Layer`.
    """

    def __init__(
        self, image_shape: Sequence[int], num_features: int, **kwargs: Any
    ) -> None:
        super().__init__(image_shape, hidden_units=(), **kwargs)
        self.num_features = num_features

    @property
    def _num_seeds(self):
        return len(self.channels) * _seeds_of_size(self)

    def _add_layers(self):
        self._convolutions, self._blocks = [], []
        for i, width in enumerate(self.channels):
            self._convolutions.append(self._conv(width, strides=2 if i else 1))
            pairs = [
                (self._conv(self.num_features + width), self._conv(width))
                for _ in range(self.num_blocks)
            ]
            self._blocks.append(pairs)
        self._blocks[-1][-1] = self._blocks[-1][-1][0], None  # nothing is above

    def call(self, inputs: TensorLike, training: bool = False) -> tf.Tensor:
        """Maps `[N, H, W, C]`, or `[N, H * W * C]`, to the features of all layers, flat."""
        del training
        images, as_given = at_least_one_row(self._as_images(inputs))
        h = self._to_patches(images)
        features = []
        for i, blocks in enumerate(self._blocks):
            h = self._convolutions[i](self.activation(h) if i else h)
            for inner, outer in blocks:
                outputs = inner(self.activation(h))
                sizes = [self.num_features, self.channels[i]]
                found, inside = tf.split(outputs, sizes, axis=-1)
                features.append(tf.reshape(found, [-1, math.prod(found.shape[1:])]))
                if outer:
                    h += _RESIDUAL_SCALE * outer(self.activation(inside))
        return as_given([tf.concat(features[::-1], axis=-1)])[0]

    def compute_output_shape(self, input_shape: Sequence) -> tuple:
        """Shape of the output for inputs of `input_shape`."""
        maps = self.num_blocks * sum(math.prod(size) for size in self._sizes)
        return (input_shape[0], maps * self.num_features)


class LadderDecoder(ConvNetwork):
    """The pass from the top: latents one layer after another, then the image.

    ```none
    h = a learned map
    for each layer:    prior, correction, context, u = conv3x3(activation(h))
                       z = a choice of the layer's latents
                       h <- h + conv3x3(activation([z, u])) / 10
    between the sizes: h <- conv3x3(activation(h)), transposed, of stride 2
    output = image of patches conv3x3(activation(h))
    ```

    Args:
      image_shape: `(H, W, C)` of the output.
      latent_channels: channels of the latents of a layer.
      context_channels: channels of the context of a layer's flow.
      **kwargs: see `LadderVAE`; and `name`, `dtype` of `keras.layers.Layer`.
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        latent_channels: int,
        context_channels: int,
        **kwargs: Any,
    ) -> None:
        super().__init__(image_shape, hidden_units=(), **kwargs)
        self.latent_channels = latent_channels
        self.context_channels = context_channels

    @property
    def _num_seeds(self):
        return 1 + len(self.channels) * _seeds_of_size(self)

    @property
    def num_features(self) -> int:
        """Channels of the encoder's features of a layer: mean, s and context."""
        return 2 * self.latent_channels + self.context_channels

    @property
    def latent_shapes(self) -> list[tuple[int, int, int]]:
        """`(h, w, latent_channels)` of each layer of latents, the top one first."""
        sizes = [size for size in self._sizes[::-1] for _ in range(self.num_blocks)]
        return [(*size, self.latent_channels) for size in sizes]

    def _add_layers(self):
        shape = (*self._sizes[-1], self.channels[-1])
        self._start = self.add_weight(name="start", shape=shape, initializer="zeros")
        self._parts = [*[self.latent_channels] * 4, self.context_channels]
        self._blocks, self._convolutions = [], []
        for i in reversed(range(len(self.channels))):
            width = self.channels[i]
            pairs = [
                (self._conv(sum(self._parts) + width), self._conv(width))
                for _ in range(self.num_blocks)
            ]
            self._blocks.append(pairs)
            if i:
                double = self._conv(
                    self.channels[i - 1], strides=2, kind=keras.layers.Conv2DTranspose
                )
                self._convolutions.append(double)
        self._last = self._conv(self.patch_size**2 * self.image_shape[-1])

    def from_top(self, num_rows: int | tf.Tensor, choose: Callable) -> tf.Tensor:
        """Returns images, `[num_rows, H, W, C]`.

        Args:
          num_rows: number of images, N, at least 1.
          choose: function of the layer's number, counted from the top, and its `Top` that
            returns its latents, `[N, h, w, latent_channels]`.
        """
        h = tf.tile(self._start[tf.newaxis], [num_rows, 1, 1, 1])
        layer = 0
        for i, blocks in enumerate(self._blocks):
            if i:
                height, width = self._sizes[-1 - i]
                h = self._convolutions[i - 1](self.activation(h))[:, :height, :width]
            for inner, outer in blocks:
                sizes = [*self._parts, h.shape[-1]]
                *top, inside = tf.split(inner(self.activation(h)), sizes, axis=-1)
                z = choose(layer, Top(*top))
                h += _RESIDUAL_SCALE * outer(
                    self.activation(tf.concat([z, inside], axis=-1))
                )
                layer += 1
        return self._from_patches(self._last(self.activation(h)))

    def images_and_log_prior(self, z: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns images and the log-density of the prior, `[N]`, of latents, `[N, L]`."""
        z, as_given = at_least_one_row(z)
        latents, log_prior = self.split(z), []

        def choose(layer, top):
            log_prior.append(_log_prob(top.mean, top.s, latents[layer]))
            return latents[layer]

        images = self.from_top(tf.shape(z)[0], choose)
        return as_given([images, tf.add_n(log_prior)])

    def split(self, vectors: tf.Tensor, channels: int | None = None) -> list[tf.Tensor]:
        """Returns the map of each layer, `[N, h, w, channels]`, in vectors, `[N, L]`.

        None takes the channels of the latents.
        """
        channels = channels or self.latent_channels
        shapes = [(*size, channels) for *size, _ in self.latent_shapes]
        parts = tf.split(vectors, [math.prod(shape) for shape in shapes], axis=-1)
        return [tf.reshape(a, [-1, *s]) for a, s in zip(parts, shapes, strict=True)]

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Maps latents, `[N, L]`, to images, `[N, H, W, C]`."""
        del training
        return self.images_and_log_prior(inputs)[0]

    def compute_output_shape(self, input_shape: Sequence) -> tuple:
        """Shape of the output for inputs of `input_shape`."""
        return (input_shape[0], *self.image_shape)


class Top(typing.NamedTuple):
    """What a layer of latents receives from the layers above it, `[N, h, w, channels]`.

    `mean` and `s` are of its prior. `added_mean` and `added_s` are added to those of the
    encoder's features, and `context` to the context, for its posterior.
    """

    mean: tf.Tensor
    s: tf.Tensor
    added_mean: tf.Tensor
    added_s: tf.Tensor
    context: tf.Tensor


class LadderPosterior(Posterior):
    """The posterior of all layers of latents, each given the ones above it.

    Args:
      decoder: a `LadderDecoder`.
      flows: a bijector of the latents of each layer, given a map as context; none for
        independent Gaussians.
    """

    def __init__(self, decoder: LadderDecoder, flows: Sequence[FlowChain]) -> None:
        sizes = [math.prod(shape) for shape in decoder.latent_shapes]
        num_pixels = sum(sizes) // decoder.latent_channels
        num_parameters = num_pixels * decoder.num_features
        dtype = decoder.variable_dtype
        super().__init__(sum(sizes), num_parameters, dtype=dtype, name="ladder")
        self.decoder = decoder
        self.flows = tuple(flows)

    @property
    def scores_in_one_pass(self) -> bool:  # type: ignore[override]  # elsewhere a constant
        """Whether the density of a given point takes one pass of each network."""
        return not self.flows

    def sample_and_log_prob(
        self,
        parameters: TensorLike,
        num_samples: int,
        seed: int | TensorLike,
        *,
        share: tuple[tf.Tensor, tf.Tensor] | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Draws latents with their log-densities: see `Posterior`."""
        drawn = self.draw(parameters, num_samples, seed, share=share)
        return drawn.z, tf.reduce_sum(drawn.log_q, axis=-1)

    def draw(
        self,
        parameters: TensorLike,
        num_samples: int,
        seed: int | TensorLike,
        *,
        share: tuple[tf.Tensor, tf.Tensor] | None = None,
    ) -> Drawn:
        """Draws latents, and returns all that the one pass from the top gives.

        Arguments are those of `sample_and_log_prob`.
        """
        parameters = self._checked(parameters)
        num_rows = tf.shape(parameters)[0]
        noise = self._noise(num_samples, num_rows, seed, share)
        noise = tf.reshape(noise, [-1, self.latent_size])
        features = tf.tile(parameters, [num_samples, 1])
        noise, features, as_given = at_least_one_row(noise, features)
        noise, features = self.decoder.split(noise), self._split(features)
        latents: list = []
        log_q: list = []
        log_p: list = []

        def choose(layer, top):
            mean, s, context = self._given(features[layer], top)
            scale = positive(s)
            z = _flat(mean + scale * noise[layer])
            log_prob = normal_log_prob(_flat(noise[layer])) - _sum_of_logs(scale)
            if self.flows:
                flow = self.flows[layer]
                z, log_det = flow.forward_and_log_det(z, context=_flat(context))
                log_prob -= log_det
            as_map = tf.reshape(z, tf.shape(mean))
            latents.append(z)
            log_q.append(log_prob)
            log_p.append(_log_prob(top.mean, top.s, as_map))
            return as_map

        images = self.decoder.from_top(tf.shape(noise[0])[0], choose)
        parts = tf.concat(latents, -1), tf.stack(log_q, -1), tf.stack(log_p, -1), images
        parts = as_given(parts)
        lead = [num_samples, num_rows]
        return Drawn(*(tf.reshape(a, [*lead, *a.shape[1:]]) for a in parts))

    def log_prob(self, z: TensorLike, parameters: TensorLike) -> tf.Tensor:
        """Returns log-densities, `[K, N]`; one entry after another with flows."""
        shape = tf.TensorShape([self.latent_size])
        z, parameters = check_value(z, "z", 1, shape, self.dtype), self._checked(parameters)
        num_samples, num_rows = tf.unstack(tf.shape(z)[:2])
        latents, log_q = self.decoder.split(tf.reshape(z, [-1, self.latent_size])), []
        features = self._split(tf.tile(parameters, [num_samples, 1]))

        def choose(layer, top):
            mean, s, context = self._given(features[layer], top)
            base, log_det = latents[layer], 0.0
            if self.flows:
                flow = self.flows[layer]
                base, log_det = flow.inverse_and_log_det(
                    _flat(base), context=_flat(context)
                )
                base = tf.reshape(base, tf.shape(mean))
            log_q.append(_log_prob(mean, s, base) + log_det)
            return latents[layer]

        self.decoder.from_top(num_samples * num_rows, choose)
        return tf.reshape(tf.add_n(log_q), [num_samples, num_rows])

    def _split(self, features):
        """The features of each layer, `[N, h, w, F]`, from vectors."""
        return self.decoder.split(features, self.decoder.num_features)

    def _given(self, features, top):
        """Mean, s and context of a layer's posterior."""
        channels = self.decoder.latent_channels
        sizes = [channels, channels, self.decoder.context_channels]
        mean, s, context = tf.split(features, sizes, axis=-1)
        return mean + top.added_mean, s + top.added_s, context + top.context


class Drawn(typing.NamedTuple):
    """K draws for each of N rows, in J layers.

    `z` are latents, `[K, N, L]`; `log_q` and `log_p` log-densities of posterior and prior,
    `[K, N, J]`; `images` the decoder's outputs, `[K, N, H, W, C]`.
    """

    z: tf.Tensor
    log_q: tf.Tensor
    log_p: tf.Tensor
    images: tf.Tensor


class LadderPrior(tfp.distributions.Distribution):
    """The prior of all layers of latents, a distribution of vectors, `[L]`."""

    def __init__(self, decoder: LadderDecoder, latent_size: int) -> None:
        super().__init__(
            dtype=tf.as_dtype(decoder.variable_dtype),
            reparameterization_type=tfp.distributions.FULLY_REPARAMETERIZED,
            validate_args=False,
            allow_nan_stats=True,
            name="ladder_prior",
        )
        self._decoder, self._size = decoder, latent_size

    def _event_shape(self):
        return tf.TensorShape([self._size])

    def _batch_shape(self):
        return tf.TensorShape([])

    def _event_shape_tensor(self):
        return tf.constant([self._size])

    def _batch_shape_tensor(self):
        return tf.constant([], tf.int32)

    def _log_prob(self, value):
        _, log_prob = self._decoder.images_and_log_prior(
            tf.reshape(value, [-1, self._size])
        )
        return tf.reshape(log_prob, tf.shape(value)[:-1])

    def _sample_n(self, n, seed=None):
        noise = self._decoder.split(normal([n, self._size], stateless(seed), self.dtype))
        latents = []

        def choose(layer, top):
            z = top.mean + positive(top.s) * noise[layer]
            latents.append(_flat(z))
            return z

        self._decoder.from_top(n, choose)
        return tf.concat(latents, axis=-1)


@keras.saving.register_keras_serializable(package="tfp_flows")
class LadderVAE(VAE):
    """A VAE of images whose latents are maps in several layers (ResNet VAE).

    ```none
    model:      p(x, z) = p(x | z) prod over layers l of  Normal(z_l; networks of z_<l)
    posterior:  q(z | x) = prod over layers l of  IAF of Normal(z_l; networks of x and z_<l)
    ```

    It has the methods of a `VAE`, and trains as one. Its latents are one vector, the top
    layer first: `len(channels) * num_blocks` layers of maps, each of the size of its
    convolutions. The posterior is inferred from the top, as images are generated, with
    features that the encoder found from the bottom up.

    Args:
      image_shape: `(H, W, C)`.
      likelihood: a `likelihoods.Bernoulli`, `DiscretizedLogistic`, or `Gaussian` of the
        images, or of rows of `H * W * C` entries.
      latent_channels: channels of the latents of each layer.
      num_blocks: layers of latents at each size.
      channels: widths of the convolutions at each size, the largest first: that of the
        patches, and each half of the one before.
      patch_size: side of the patches, in pixels.
      flow_channels: widths of the hidden layers of the masked convolutions of each layer's
        IAF; none for a Gaussian posterior.
      context_channels: channels of the IAF's context, from image and layers above.
      activation: name of a Keras activation, or a function.
      bound: see `VAE`.
      num_samples: see `VAE`.
      free_bits: nats per latent that cost nothing, counted for each layer by itself.
      seed: integer that determines the initial weights, and the draws of training and
        `evaluate`.
      **kwargs: `name` of `keras.Model`.

    Raises:
      ValueError: if a size is below 1, or `likelihood` has another number of entries.

    >>> import numpy as np
    >>> import tfp_flows
    >>> p = tfp_flows.likelihoods.Bernoulli(8 * 8)
    >>> vae = tfp_flows.vae.LadderVAE((8, 8, 1), p, channels=(4, 4), flow_channels=(4,))
    >>> vae.latent_size  # two channels of 2x2, and of 4x4
    40
    >>> vae.log_likelihood(np.zeros([3, 64]), num_samples=5).shape
    (3,)

    Reference:
      Kingma et al. (2016), Improved variational inference with inverse autoregressive flow,
      section 6.2 and appendix C: there with weight normalisation, more layers, and free
      bits of each channel. https://arxiv.org/abs/1606.04934
      Sønderby et al. (2016), Ladder variational autoencoders.
      https://arxiv.org/abs/1602.02282
    """

    saved_parts = (
        *("image_shape", "likelihood", "latent_channels", "num_blocks", "channels"),
        *("patch_size", "flow_channels", "context_channels", "activation", "bound"),
        *("num_samples", "free_bits", "seed"),
    )

    def __init__(
        self,
        image_shape: Sequence[int],
        likelihood: Likelihood,
        *,
        latent_channels: int = 2,
        num_blocks: int = 1,
        channels: Sequence[int] = (32, 32),
        patch_size: int = 2,
        flow_channels: int | Sequence[int] = (32, 32),
        context_channels: int = 16,
        activation: str | Callable = "elu",
        bound: Callable = objectives.elbo,
        num_samples: int = 1,
        free_bits: float = 0.0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        others = sorted(kwargs.keys() - {"name", "trainable"})
        require(not others, "options of a `LadderVAE`", others)
        check_size("latent_channels", latent_channels)
        check_size("context_channels", context_channels)
        check_integer("num_blocks", num_blocks)
        check_seed("seed", seed)
        words = "one of `tfp_flows.likelihoods`"
        check_members("likelihood", likelihood, ("num_parameters", "event_size"), words)
        flow_channels = check_widths("flow_channels", flow_channels)
        from_context = context_channels if flow_channels else 0
        seeds = split_seed(seed, 3)
        shared: dict[str, Any] = {"num_blocks": num_blocks, "channels": channels}
        shared |= {"patch_size": patch_size, "activation": activation}
        *size, num_channels = check_image_shape(image_shape)
        num_entries = math.prod(image_shape)
        fits = likelihood.event_size == num_entries
        words = f"a `likelihood` of {num_entries} entries, as `image_shape`"
        require(fits, words, f"events of shape {tuple(likelihood.event_shape)}")
        outputs = (*size, likelihood.num_parameters * num_channels)
        decoder = LadderDecoder(
            outputs, latent_channels, from_context, seed=seeds[1], **shared
        )
        encoder = LadderEncoder(image_shape, decoder.num_features, seed=seeds[0], **shared)
        flows = _flows(decoder, flow_channels, seeds[2]) if flow_channels else []
        posterior = LadderPosterior(decoder, flows)
        super().__init__(
            encoder,
            posterior,
            decoder,
            likelihood,
            prior=LadderPrior(decoder, posterior.latent_size),
            bound=bound,
            num_samples=num_samples,
            free_bits=free_bits,
            seed=seed,
            **kwargs,
        )
        self.image_shape = encoder.image_shape
        self.latent_channels = latent_channels
        self.num_blocks = num_blocks
        self.channels = encoder.channels
        self.patch_size = patch_size
        self.flow_channels = flow_channels
        self.context_channels = context_channels
        self.activation = encoder.activation

    def _terms(self, parameters, x, num_samples, seed, *, training=False, share=None):
        del training  # no layer has dropout
        drawn = self.posterior.draw(parameters, num_samples, seed, share=share)
        log_likelihood = self.likelihood.log_prob(x, self._as_outputs(drawn.images, 2))
        return Terms(log_likelihood, drawn.log_q - drawn.log_p)

    def _draw(self, x, sample_shape, seed, share=None):
        count, num_rows = math.prod(sample_shape), x.shape[0]
        at_once = max(1, _AT_ONCE // (num_rows or 1))
        if num_rows is None or count <= at_once:
            return super()._draw(x, sample_shape, seed, share)
        # Each draw passes through all convolutions.
        parts = [
            super(LadderVAE, self)._draw(x, [min(at_once, count - i)], fold_in(seed, i))
            for i in range(0, count, at_once)
        ]
        z = tf.concat(parts, axis=0)
        return tf.reshape(z, [*sample_shape, num_rows, self.latent_size])

    @property
    def _group_sizes(self):
        return [math.prod(shape) for shape in self.decoder.latent_shapes]


def _flows(decoder, hidden_channels, seed):
    """A step of IAF for each layer of latents, with masked convolutions."""
    shapes, flows = decoder.latent_shapes, []
    for shape, seed_of_layer in zip(shapes, split_seed(seed, len(shapes)), strict=True):
        network = MaskedConvNet(
            2,
            shape,
            hidden_channels,
            context_channels=decoder.context_channels,
            activation=decoder.activation,
            seed=seed_of_layer,
        )
        size = math.prod(shape)
        conditioner = Conditioner(network, size, context_size=network.context_size)
        step = InverseAutoregressive(size, conditioner)
        flows.append(FlowChain([step], standardize_context=False))
    return flows


def _seeds_of_size(network):
    """Seeds of the convolutions of one size: one, and two in each block."""
    return 1 + 2 * network.num_blocks


def _flat(maps):
    """Maps `[N, h, w, c]` as vectors, `[N, h * w * c]`."""
    return tf.reshape(maps, [-1, math.prod(maps.shape[1:])])


def _sum_of_logs(maps):
    return tf.reduce_sum(tf.math.log(_flat(maps)), axis=-1)


def _log_prob(mean, s, z):
    """Log-density, `[N]`, of independent normal entries of maps, `[N, h, w, c]`."""
    scale = positive(s)
    return normal_log_prob(_flat((z - mean) / scale)) - _sum_of_logs(scale)
