"""RealNVP's residual convolutional network."""

from __future__ import annotations

import functools
import math

import keras
import numpy.typing as npt
import tensorflow as tf

from tfp_flows.core.arguments import (
    check_array,
    check_each,
    check_flag,
    check_number,
    check_size,
    require,
)
from tfp_flows.networks.act_norm_network import (
    ActNormNetwork,
    standardizing_shift_and_log_scale,
)
from tfp_flows.networks.packed_weights import Part, bias_part


@keras.saving.register_keras_serializable(package="tfp_flows")
class ResNet(ActNormNetwork):
    """Residual blocks of weight-normalised convolutions, with summed outputs.

    ```none
    x    = norm(input), doubled if there is a mask
    h    = conv3x3(relu([x, -x, mask]))       [x, -x] if there is none
    out  = conv1x1(h)
    for each block:
        h   <- h + conv3x3(relu(norm(conv3x3(relu(norm(h))))))
        out <- out + conv1x1(h)
    output = conv1x1(relu(norm(out)))
    with `tanh_scale`:  its second half <- tanh_scale * tanh(second half)
    ```

    **Where this differs from the paper**: there, `norm` is batch norm. A conditioner with
    batch statistics would return other parameters in training than when the flow is
    inverted, so each `norm` here is an act norm: a shift and scale of each channel, which
    `initialize` sets from data and training moves.

    Args:
      output_channels: channels of the last layer.
      hidden_channels: channels of all other layers.
      num_blocks: residual blocks; 2 by default in the authors' code, 4 or 8 in the paper.
      mask: boolean array `[H, W, 1]`, an input of the network: the mask of a checkerboard
        coupling, whose conditioner sees zeros where it is False; None for other couplings.
      tanh_scale: start of a weight that scales the tanh of the last half of the output,
        as RealNVP bounds its log-scales: 0 with a checkerboard, 1 on channels; None leaves
        tanh and scale out.
      zero_last_layer: whether the last layer starts at zero, so that a fresh step is the
        identity; the paper's starts at random. If `tanh_scale` is 0, only the shifts start
        at zero: if both factors of a log-scale were 0, neither would have a gradient.
      seed: integer that determines the initial weights; random if None.
      **kwargs: `name`, `dtype` of `keras.layers.Layer`.

    Raises:
      ValueError: if a size is below 1, or `mask` is not boolean of shape `[H, W, 1]`; with
        `tanh_scale`, if it is not finite or `output_channels` is odd.

    >>> import numpy as np
    >>> import tfp_flows
    >>> network = tfp_flows.networks.ResNet(4, 8, num_blocks=1, seed=0)
    >>> network(np.zeros([2, 5, 5, 3], "float32")).shape
    TensorShape([2, 5, 5, 4])

    Reference:
      Dinh, Sohl-Dickstein, Bengio (2016), RealNVP, section 4.1 and the authors' code.
      https://arxiv.org/abs/1605.08803
      Salimans, Kingma (2016), Weight normalization. https://arxiv.org/abs/1602.07868
    """

    def __init__(
        self,
        output_channels: int,
        hidden_channels: int = 32,
        *,
        num_blocks: int = 2,
        mask: npt.ArrayLike | None = None,
        tanh_scale: float | None = None,
        zero_last_layer: bool = True,
        seed: int | None = None,
        **kwargs: object,
    ) -> None:
        check_each(check_size, hidden_channels=hidden_channels, num_blocks=num_blocks)
        check_flag("zero_last_layer", zero_last_layer)
        super().__init__(output_channels, seed, **kwargs)
        if mask is not None:
            mask = check_array("mask", mask)
            fits = mask.dtype == bool and mask.ndim == 3 and mask.shape[-1] == 1
            got = f"dtype {mask.dtype} and shape {mask.shape}"
            require(fits, "a boolean `mask` of shape [H, W, 1]", got)
            axes = {1: mask.shape[0], 2: mask.shape[1]}
            self.input_spec = keras.layers.InputSpec(ndim=4, axes=axes)
        if tanh_scale is not None:
            check_number("tanh_scale", tanh_scale, "that is finite", math.isfinite)
            words = "an even `output_channels`, of shifts and log-scales, for `tanh_scale`"
            require(output_channels % 2 == 0, words, output_channels)
        self.hidden_channels = hidden_channels
        self.num_blocks = num_blocks
        self.mask = mask
        self.tanh_scale = tanh_scale
        self.zero_last_layer = zero_last_layer

    def _standardized(self, x, weights, sample_weight):
        def set_and_apply(x, name):
            shift, log_scale = standardizing_shift_and_log_scale(x, sample_weight)
            weights[f"{name}/shift"], weights[f"{name}/log_scale"] = shift, log_scale
            return _norm(x, weights, name)

        self._run(x, weights, set_and_apply)
        return weights

    def _run(self, x, weights, norm=None):
        norm = norm or (lambda x, name: _norm(x, weights, name))
        hidden = _conv(self._rectified_pair(norm(x, "input")), weights, "first")
        out = _conv(hidden, weights, "skip")
        for block in range(self.num_blocks):
            inside = tf.nn.relu(norm(hidden, f"block_{block}/before"))
            inside = _conv(inside, weights, f"block_{block}/inner")
            inside = tf.nn.relu(norm(inside, f"block_{block}/between"))
            hidden += _conv(inside, weights, f"block_{block}/outer")
            out += _conv(hidden, weights, f"block_{block}/skip")
        out = _conv(tf.nn.relu(norm(out, "output")), weights, "last")
        if self.tanh_scale is None:
            return out
        shift, s = tf.split(out, 2, axis=-1)
        return tf.concat([shift, weights["tanh_scale"] * tf.tanh(s)], axis=-1)

    def _rectified_pair(self, x):
        if self.mask is None:
            return tf.nn.relu(tf.concat([x, -x], axis=-1))
        x *= 2.0  # half of the entries are zeros
        shape = tf.concat([tf.shape(x)[:1], self.mask.shape], axis=0)
        mask = tf.broadcast_to(tf.cast(self.mask, x.dtype), shape)
        return tf.nn.relu(tf.concat([x, -x, mask], axis=-1))

    def _parts(self, image_shape):
        channels, hidden = image_shape[-1], self.hidden_channels
        inputs = 2 * channels + (self.mask is not None)
        parts = _norm_parts("input", channels)
        parts |= {
            "first/kernel": Part((3, 3, inputs, hidden), initial=_initial_kernel),
            "first/bias": bias_part(hidden),
        }
        parts |= _scaled_conv_parts("skip", 1, hidden, hidden)
        for block in range(self.num_blocks):
            name, square = f"block_{block}", (3, 3, hidden, hidden)
            parts |= _norm_parts(f"{name}/before", hidden)
            parts[f"{name}/inner/kernel"] = Part(square, initial=_initial_kernel)
            parts |= _norm_parts(f"{name}/between", hidden)
            parts |= _scaled_conv_parts(f"{name}/outer", 3, hidden, hidden)
            parts |= _scaled_conv_parts(f"{name}/skip", 1, hidden, hidden)
        parts |= _norm_parts("output", hidden)
        last = _scaled_conv_parts("last", 1, hidden, self.output_channels)
        if self.zero_last_layer:
            magnitude = last["last/magnitude"]
            zeros = 0.5 if self.tanh_scale == 0.0 else 1.0
            initial = functools.partial(_zeros_first, magnitude.initial, zeros)
            last["last/magnitude"] = Part(magnitude.shape, initial=initial)
        parts |= last
        if self.tanh_scale is not None:
            parts["tanh_scale"] = Part(
                (1,), initial=functools.partial(_fill, self.tanh_scale)
            )
        return parts


def _norm_parts(name, channels):
    return {f"{name}/{part}": bias_part(channels) for part in ("shift", "log_scale")}


def _scaled_conv_parts(name, size, inputs, outputs):
    # The authors' `stddev * sqrt(fan_in / 12)`, with `stddev = sqrt(2 / inputs)`.
    magnitude = math.sqrt(2.0 * size**2 / 12.0)
    return {
        f"{name}/kernel": Part((size, size, inputs, outputs), initial=_initial_kernel),
        f"{name}/magnitude": Part((outputs,), initial=functools.partial(_fill, magnitude)),
        f"{name}/bias": bias_part(outputs),
    }


def _norm(x, weights, name):
    scale = tf.exp(weights[f"{name}/log_scale"])
    return (x + weights[f"{name}/shift"]) * scale


def _conv(x, weights, name):
    """Convolves with kernels of norm `magnitude`, or of norm 1 before a norm."""
    kernel = weights[f"{name}/kernel"]
    magnitude = weights.get(f"{name}/magnitude", 1.0)
    kernel *= magnitude * tf.math.rsqrt(tf.reduce_sum(kernel**2, axis=[0, 1, 2]))
    y = tf.nn.conv2d(x, kernel, 1, "SAME")
    bias = weights.get(f"{name}/bias")
    return y if bias is None else tf.nn.bias_add(y, bias)


def _initial_kernel(shape, dtype, seed):
    # The scale does not matter, since kernels are normalised.
    return keras.initializers.RandomUniform(-1.0, 1.0, seed=seed)(shape, dtype)


def _zeros_first(initial, share, shape, dtype, seed):
    """Returns the values of `initial`, with the first `share` of them set to zero."""
    values = initial(shape, dtype, seed)
    return tf.where(tf.range(shape[0]) < int(share * shape[0]), 0.0, values)


def _fill(value, shape, dtype, seed):
    del seed
    return tf.fill(shape, tf.cast(value, dtype))
