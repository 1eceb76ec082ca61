"""KL warm-up: the divergence from the prior counts less in the first epochs."""

import keras

from tfp_flows.core.arguments import check_integer

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
        check_integer("num_epochs", num_epochs)
        self.num_epochs = num_epochs

    def check(self, model):
        """Raises `ValueError` for a model without a divergence, before it is touched."""
        if not hasattr(model, "kl_weight"):
            raise ValueError(
                "Expected a model with a `kl_weight`, as a VAE, for KLWarmUp; got "
                f"`{type(model).__name__}`."
            )

    def set_model(self, model):
        """Takes the model that is trained."""
        self.check(model)
        super().set_model(model)

    def on_epoch_begin(self, epoch, logs=None):
        """Sets the weight of this epoch."""
        self.model.kl_weight.assign(min(1.0, (epoch + 1) / self.num_epochs))

    def on_train_end(self, logs=None):
        """Sets the whole weight, should training have stopped before."""
        self.model.kl_weight.assign(1.0)
