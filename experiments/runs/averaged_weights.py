"""Evaluation with averaged weights, after which training can go on without them."""

import math

import keras

__all__ = ["SwapAveragedWeights"]


class SwapAveragedWeights(keras.callbacks.SwapEMAWeights):
    """Keras's `SwapEMAWeights` of every epoch, the last one included.

    Keras's own gives up the weights that are not averaged at the end of the last epoch, so
    that no later `fit` could go on from them. What a model ends with is for
    `EarlyStopping` to restore.
    """

    def __init__(self):
        super().__init__(swap_on_epoch=True)

    def set_params(self, params):
        """Takes the facts of a training, of which none is the last epoch."""
        super().set_params({**params, "epochs": math.inf})
