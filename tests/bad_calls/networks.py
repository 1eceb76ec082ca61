"""Bad calls of networks, orderings and the bridge to them."""

import keras
import numpy as np

import tfp_flows as tff
from bad_calls.bad_call import BadCall
from bad_calls.parts import ROWS

ORDERING = [1, 2, 3]

CALLS = {
    "MLP of a string": BadCall(lambda: tff.MLP("3"), "`output_units`", "'3'"),
    "MLP, widths of a string": BadCall(
        lambda: tff.MLP(3, "64"), "positive `hidden_units`", "'64'"
    ),
    "MLP, widths of strings": BadCall(
        lambda: tff.MLP(3, ("64", "64")), "positive `hidden_units`", "('64', '64')"
    ),
    "MLP, fractions of widths": BadCall(
        lambda: tff.MLP(3, (64.5,)), "positive `hidden_units`", "(64.5,)"
    ),
    "MLP, width of True": BadCall(
        lambda: tff.MLP(3, (True,)), "positive `hidden_units`", "(True,)"
    ),
    "MLP, unequal residual widths": BadCall(
        lambda: tff.MLP(3, (4, 8), residual=True), "equal `hidden_units`", "(4, 8)"
    ),
    "MLP, unknown activation": BadCall(
        lambda: tff.MLP(3, activation="rectify"), "`activation`", "'rectify'"
    ),
    "MLP, activation of a number": BadCall(
        lambda: tff.MLP(3, activation=2), "`activation`", "got 2"
    ),
    "MLP, activation of a class": BadCall(
        lambda: tff.MLP(3, activation=keras.layers.ReLU), "`activation`", "call it"
    ),
    "MLP, negative seed": BadCall(lambda: tff.MLP(3, seed=-1), "`seed`", "-1"),
    "MLP, residual of letters": BadCall(
        lambda: tff.MLP(3, residual="no"), "`residual`", "'no'"
    ),
    "MLP, unknown argument": BadCall(lambda: tff.MLP(3, units=4), "units"),
    "MaskedMLP, ordering of a string": BadCall(
        lambda: tff.MaskedMLP(2, (4,), "natural"), "`ordering`"
    ),
    "MaskedMLP, ordering from 0": BadCall(
        lambda: tff.MaskedMLP(2, (4,), [0, 1, 2]), "`ordering`", "1 to 3", "[0, 1, 2]"
    ),
    "MaskedMLP, ordering of fractions": BadCall(
        lambda: tff.MaskedMLP(2, (4,), [1.0, 2.0]), "integers", "`ordering`", "[1.0, 2.0]"
    ),
    "MaskedMLP, negative context": BadCall(
        lambda: tff.MaskedMLP(2, (4,), ORDERING, context_size=-1), "`context_size`", "-1"
    ),
    "MaskedMLP, fraction of parameters": BadCall(
        lambda: tff.MaskedMLP(1.5, (4,), ORDERING), "`num_parameters`", "1.5"
    ),
    "MaskedMLP on inputs of another width": BadCall(
        lambda: tff.MaskedMLP(2, (4,), ORDERING)(ROWS[:, :2]), "[..., 3]", "(16, 2)"
    ),
    "MaskCycleMLP of no mask": BadCall(
        lambda: tff.MaskCycleMLP(1, (4,), 3, num_masks=0), "`num_masks`", "got 0"
    ),
    "MaskCycleMLP, ordering of another size": BadCall(
        lambda: tff.MaskCycleMLP(1, (4,), 3, num_masks=2, fixed_ordering=[1, 2]),
        "`ordering` of shape [3]",
        "[2]",
    ),
    "ConvNet of a string": BadCall(lambda: tff.ConvNet("8"), "`output_channels`", "'8'"),
    "ConvNet, negative width": BadCall(
        lambda: tff.ConvNet(8, -4), "`hidden_channels`", "-4"
    ),
    "ResNet, two widths": BadCall(
        lambda: tff.ResNet(8, (4, 4)), "`hidden_channels`", "(4, 4)"
    ),
    "ResNet of no block": BadCall(
        lambda: tff.ResNet(8, num_blocks=0), "`num_blocks`", "got 0"
    ),
    "ConvEncoder without channels": BadCall(
        lambda: tff.ConvEncoder(4, (8, 8)), "`image_shape`", "(H, W, C)", "(8, 8)"
    ),
    "ConvEncoder, blocks of a string": BadCall(
        lambda: tff.ConvEncoder(4, (8, 8, 1), channels="16"), "`channels`", "'16'"
    ),
    "ConvDecoder of an integer": BadCall(
        lambda: tff.ConvDecoder(8), "`image_shape`", "got 8"
    ),
    "ConvDecoder, widths of a string": BadCall(
        lambda: tff.ConvDecoder((8, 8, 1), hidden_units="64"), "`hidden_units`", "'64'"
    ),
    "Conditioner of a function": BadCall(
        lambda: tff.Conditioner(np.tanh, 2), "`network`", "keras.layers.Layer", "tanh"
    ),
    "Conditioner of a class": BadCall(
        lambda: tff.Conditioner(keras.layers.Dense, 2), "`network`", "the class Dense"
    ),
    "Conditioner of a string": BadCall(
        lambda: tff.Conditioner(tff.MLP(2, (4,)), "2"), "`input_shape`", "'2'"
    ),
    "Conditioner, fraction of a context": BadCall(
        lambda: tff.Conditioner(tff.MLP(2, (4,)), 2, context_size=1.5),
        "`context_size`",
        "1.5",
    ),
    "natural_ordering of a fraction": BadCall(
        lambda: tff.natural_ordering(2.5), "`event_size`", "2.5"
    ),
    "reversed_ordering of a string": BadCall(
        lambda: tff.reversed_ordering("3"), "`event_size`", "'3'"
    ),
    "random_ordering, seed of letters": BadCall(
        lambda: tff.random_ordering(3, "a"), "`seed`", "'a'"
    ),
}
