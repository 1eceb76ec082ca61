"""Arguments of networks and orderings that are refused."""

import keras
import numpy as np
from refusals import all_refused
from small_parts import CONTEXT, ROWS

import tfp_flows as tff
from tfp_flows.networks import ConvNet, DeepSet, ResNet

ORDERING = [1, 2, 3]
IMAGES = np.ones([2, 4, 6, 3], np.float32)
SMALL = {"hidden_channels": 3, "num_blocks": 1}


def called(network, *inputs):
    """Builds a network by a first call, and returns it."""
    network(*inputs)
    return network


def conditioner(network=None, input_shape=3, **options):
    return tff.Conditioner(network or tff.MLP(2, (4,)), input_shape, **options)


BAD_CALLS = [
    (lambda: tff.MLP("3"), "`output_units` | '3'"),
    (lambda: tff.MLP(3, "64"), "positive `hidden_units` | '64'"),
    (lambda: tff.MLP(3, (4, 8), residual=True), "equal `hidden_units` | (4, 8)"),
    (lambda: tff.MLP(3, activation="rectify"), "`activation` | 'rectify'"),
    (lambda: tff.MAF(3, activation="softmax"), "`activation` | 'softmax'"),
    (lambda: tff.BinaryMADE(3, activation="glu"), "`activation` | 'glu'"),
    (
        lambda: tff.networks.OrderAgnosticMLP(
            1, 4, 3, num_masks=2, activation="log_softmax"
        ),
        "each unit by itself | 'log_softmax'",
    ),
    (lambda: tff.MLP(3, residual="no"), "`residual` | 'no'"),
    (lambda: tff.MaskedMLP(2, (4,), [0, 1, 2]), "`ordering` | 1 to 3 | [0, 1, 2]"),
    (lambda: tff.MaskedMLP(2, (4,), ORDERING)(ROWS[:, :2]), "[..., 3] | (16, 2)"),
    (
        lambda: tff.networks.OrderAgnosticMLP(
            1, (4,), 3, num_masks=2, fixed_ordering=[1, 2]
        ),
        "`ordering` of shape [3] | [2]",
    ),
    (lambda: tff.networks.ResNet(8, (4, 4)), "`hidden_channels` | (4, 4)"),
    (lambda: tff.vae.ConvEncoder(4, (8, 8)), "`image_shape` | (H, W, C) | (8, 8)"),
    (lambda: tff.vae.ConvEncoder(4, (8, 8, 1), patch_size=0), "`patch_size` | 0"),
    (lambda: tff.vae.ConvDecoder((8, 8, 1), num_blocks=-1), "`num_blocks` | -1"),
    (lambda: tff.vae.ConvDecoder((8, 8, 1), channels=()), "one width in `channels` | ()"),
    (lambda: tff.Conditioner(np.tanh, 2), "`network` | keras.layers.Layer | tanh"),
    (lambda: tff.Conditioner(tff.MLP(2, (4,)), "2"), "`input_shape` | '2'"),
    (lambda: tff.MaskedMLP(2, (4,), [[1, 2]]), "`ordering` of shape [D] | [1, 2]"),
    (
        lambda: tff.MaskedMLP(2, (4,), ORDERING, context_size=2).build((None, 4)),
        "[..., 5] | 4",
    ),
    (lambda: tff.networks.CausalTransformer(2, 0), "`num_tokens` of at least 1; got 0"),
    (lambda: tff.networks.CausalTransformer(2, 3, reverse=3), "`reverse` | got 3"),
    (
        lambda: tff.networks.CausalTransformer(2, 3, num_units=9, num_heads=2),
        "`num_units` that 2 heads divide; got 9",
    ),
    (
        lambda: tff.networks.CausalTransformer(2, 3, context_size=2).build((None, 4)),
        "[..., 5] | 4",
    ),
    (lambda: tff.MaskedMLP(2, (4,), [[1], [1, 2]]), "an array `ordering` | [[1], [1, 2]]"),
    (lambda: DeepSet(2, ()), "at least one width in `hidden_units`"),
    (lambda: DeepSet(2, masked=True)(ROWS[None]), "`[values, is_known]` | 3 columns"),
    (lambda: ResNet(3, tanh_scale=1.0), "even `output_channels` | `tanh_scale`; got 3"),
    (lambda: ResNet(4, tanh_scale="1"), "`tanh_scale` | '1'"),
    (lambda: ResNet(4, tanh_scale=np.nan), "`tanh_scale` | nan"),
    (
        lambda: ResNet(4, mask=np.ones([4, 6, 1])),
        "boolean `mask` of shape [H, W, 1] | float",
    ),
    (lambda: ResNet(4, mask=np.ones([4, 6, 3], bool)), "`mask` | (4, 6, 3)"),
    (
        lambda: ConvNet(4, (3,))(keras.Input((None, None, 3))),
        "`image_shape` | (None, None, 3",
    ),
    # Calls of networks.
    (lambda: called(tff.MLP(2), ROWS)(ROWS[:, :2]), "[..., 3] | `mlp | (16, 2)"),
    (lambda: called(tff.MLP(2), ROWS)(ROWS, CONTEXT), "[..., 3] | (16, 3) and (16, 2)"),
    (lambda: tff.MaskedMLP(2, (4,), ORDERING)(ROWS, CONTEXT), "[..., 3] | 5"),
    (lambda: tff.MaskedMLP(2, (4,), ORDERING)(ROWS[None]), "ndim=2 | ndim=3"),
    # TensorFlow's convolution would end the process.
    (lambda: ResNet(4, **SMALL)(IMAGES[0]), "ndim=4 | ndim=3"),
    (lambda: DeepSet(2)(ROWS), "ndim=3 | ndim=2"),
    # With one output channel, the border of another size would broadcast.
    (
        lambda: called(ConvNet(1, (3,)), IMAGES)(IMAGES.reshape([2, 6, 4, 3])),
        "value 4 | (2, 6",
    ),
    (lambda: ResNet(4, mask=tff.masks.checkerboard((2, 2, 1)))(IMAGES), "value 2 | (2, 4"),
    # Conditioners.
    (lambda: conditioner(input_shape=()), "`input_shape` | ()"),
    (
        lambda: conditioner(
            tff.MaskedMLP(2, (4,), ORDERING, context_size=1), 2, context_size=2
        ),
        "`context_size` of 1 | `masked_mlp | got 2",
    ),
    (lambda: conditioner()(ROWS[:, :2]), "`x` of shape [..., 3] | (16, 2)"),
    (lambda: conditioner()("abc"), "`x` | ()"),
    (lambda: conditioner()(ROWS, CONTEXT), "no `context` | (16, 2)"),
    (lambda: conditioner(context_size=2)(ROWS), "`context` of shape [..., 2] | None"),
    (
        lambda: conditioner(context_size=2)(ROWS, CONTEXT[:5]),
        "`context` | (16, 2) | (5, 2)",
    ),
    (
        lambda: conditioner(ConvNet(4, (3,)), (4, 6, 3)).initialize(IMAGES[..., :2]),
        "`x` of shape [..., 4, 6, 3] | (2, 4, 6, 2)",
    ),
    (
        lambda: conditioner(ConvNet(4, (3,)), (4, 6, 3)).initialize(IMAGES * np.nan),
        "finite `x` | nan in row 0",
    ),
]


test_bad_call_is_refused_in_words = all_refused(BAD_CALLS)
