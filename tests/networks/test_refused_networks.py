"""Arguments of networks and orderings that are refused."""

import numpy as np
from refusals import all_refused
from small_parts import ROWS

import tfp_flows as tff

ORDERING = [1, 2, 3]


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
]


test_bad_call_is_refused_in_words = all_refused(BAD_CALLS)
