"""A callback that warms up the KL divergence in the loss of a VAE."""

from __future__ import annotations

import keras

from tfp_flows.core.arguments import check_integer, require


class KLWarmUp(keras.callbacks.Callback):
    """Raises the model's `kl_weight` from `1 / num_epochs` to 1, linearly over the epochs.

    ```none
    loss = -E_q[log p(x | z)] + kl_weight * KL(q(z | x) || p(z))
    ```

    The weight depends on the epoch only, so an interrupted run can be resumed. Only the
    training loss uses it; validation and reports show the bound itself. Between batches and
    after training it is 1, so weights that other callbacks save or restore have 1.

    Args:
      num_epochs: epochs until the weight is 1; with 1, it is 1 from the start.

    Raises:
      ValueError: if `num_epochs` is below 1.

    >>> import tfp_flows
    >>> warm_up = tfp_flows.vae.KLWarmUp(num_epochs=5)  # vae.fit(rows, callbacks=[warm_up])
    >>> warm_up.num_epochs
    5

    Reference:
      Sønderby et al. (2016), Ladder variational autoencoders, section 2.3.
      https://arxiv.org/abs/1602.02282
    """

    # `fit` calls it before others, which may save weights at the end of a batch.
    goes_first = True

    def __init__(self, num_epochs: int) -> None:
        super().__init__()
        check_integer("num_epochs", num_epochs)
        self.num_epochs = num_epochs

    def check(self, model: keras.Model) -> None:
        """Raises `ValueError` for a model without a divergence, before training."""
        words = "a model with a `kl_weight`, as a VAE, for KLWarmUp"
        require(hasattr(model, "kl_weight"), words, f"`{type(model).__name__}`")

    def set_model(self, model: keras.Model) -> None:
        """Sets the model that is trained."""
        self.check(model)
        super().set_model(model)

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Determines the weight of this epoch."""
        self._weight = min(1.0, (epoch + 1) / self.num_epochs)

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        """Sets the weight for this training step."""
        self.model.kl_weight.assign(self._weight)

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Sets the weight back to 1."""
        self.model.kl_weight.assign(1.0)
