"""KL warm-up: the divergence from the prior counts less in the first epochs."""

import keras

__all__ = ["KLWarmUp"]


class KLWarmUp(keras.callbacks.Callback):
    """Raises the model's `kl_weight` from `1 / num_epochs` to 1, linearly over the epochs.

    ```none
    loss = -E_q[log p(x | z)] + kl_weight * KL(q(z | x) || p(z))
    ```

    The weight is a function of the epoch alone, so that a run may be interrupted. Only the
    training loss has it: what is validated and reported is the whole bound.

    Args:
      num_epochs: epochs until the weight is 1; at least 1, which means from the start.

    Raises:
      ValueError: if `num_epochs` is below 1.

    Reference:
      Sønderby et al. (2016), Ladder variational autoencoders, section 2.3.
      https://arxiv.org/abs/1602.02282
    """

    def __init__(self, num_epochs):
        super().__init__()
        if num_epochs < 1:
            raise ValueError(f"Expected `num_epochs` of at least 1; got {num_epochs}.")
        self.num_epochs = num_epochs

    def on_epoch_begin(self, epoch, logs=None):
        """Sets the weight of this epoch."""
        self.model.kl_weight.assign(min(1.0, (epoch + 1) / self.num_epochs))

    def on_train_end(self, logs=None):
        """Sets the whole weight, should training have stopped before."""
        self.model.kl_weight.assign(1.0)
