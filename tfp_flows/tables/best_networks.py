"""Early stopping of many networks at once, each at its own best epoch."""

from __future__ import annotations

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfp_flows.core.compiled_call import CompiledCall
from tfp_flows.tables.mixed_rows import MixedRows

__all__ = ["BestNetworks"]

_ROWS_A_CALL = 4096


class BestNetworks(keras.callbacks.Callback):
    """Returns each network of a `MixedRows` to the weights that were best for it.

    No two members, and of one member no two numbers, share weights, nor do numbers and
    codes. So the log-likelihood of rows that a member is not trained on is a sum over its
    networks, each of which has a best epoch of its own. `logs` get "val_loss", nats a row:
    the mean over the members.

    Args:
      rows: the distribution.
      x: cells, `[N, K + D]`.
      context: `[N, C]`; None where there is none.
      is_used: which members are judged by which rows, booleans `[N, M]`.
      patience: epochs in which a network is not better after which it has stopped;
        training ends when all have.
    """

    def __init__(
        self,
        rows: MixedRows,
        x: np.ndarray,
        context: np.ndarray | None,
        is_used: npt.NDArray[np.bool_],
        patience: int,
    ) -> None:
        super().__init__()
        self._rows, self._patience = rows, patience
        self._x, self._context, self._is_used = x, context, is_used
        self._num_numbers = 0 if rows.networks[1] is None else rows.cells.num_numbers
        self._call = CompiledCall(rows.log_prob_of_networks)

    @property
    def state(self) -> dict[str, np.ndarray]:
        """What was best until now: weights and losses; and epochs since then."""
        weights = {f"weights_{i}": kept for i, kept in enumerate(self._weights)}
        return {**weights, "least": self._least, "waited": self._waited}

    @state.setter
    def state(self, state: dict[str, np.ndarray]) -> None:
        self._weights = [
            np.array(kept) for name, kept in state.items() if name.startswith("weights_")
        ]
        self._least, self._waited = state["least"], state["waited"]

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Forgets what was best before."""
        self._weights = [variable.numpy() for variable in self._rows.trainable_variables]
        self._least = np.full([self._rows.num_members, 1 + self._num_numbers], np.inf)
        self._waited = np.zeros(self._least.shape, int)

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Keeps the weights of networks that are better than before."""
        losses = self._losses()
        if logs is not None:
            logs["val_loss"] = float(losses.sum(axis=1).mean())
        # Not where a loss is NaN. One that has stopped does not begin again: of many, one
        # or another would always have some luck.
        is_better = (losses < self._least) & (self._waited < self._patience)
        self._least = np.where(is_better, losses, self._least)
        self._keep(is_better)
        self._waited = np.where(is_better, 0, self._waited + 1)
        self.model.stop_training = bool((self._waited >= self._patience).all())

    def on_train_end(self, logs: dict | None = None) -> None:
        """Puts the best weights back."""
        for variable, best in zip(
            self._rows.trainable_variables, self._weights, strict=True
        ):
            variable.assign(best)

    def _losses(self):
        """Nats a row of the networks, `[M, 1 + D]`."""
        total = np.zeros_like(self._least)
        for first in range(0, len(self._x), _ROWS_A_CALL):
            rows = slice(first, first + _ROWS_A_CALL)
            context = None if self._context is None else tf.constant(self._context[rows])
            each = self._call(tf.constant(self._x[rows]), context, False).numpy()
            used = self._is_used[rows, :, None]
            total = total - np.sum(np.where(used, each, 0.0), axis=0, dtype=np.float64)
        return total / self._is_used.sum(axis=0)[:, None]

    def _keep(self, which):
        mades, numbers = self._rows.networks
        kept = {
            id(v): w
            for v, w in zip(self._rows.trainable_variables, self._weights, strict=True)
        }
        for made, is_better in zip(mades, which[:, 0], strict=False):
            for variable in made.trainable_variables if is_better else ():
                kept[id(variable)][...] = variable.numpy()
        if numbers is not None and which[:, 1:].any():
            chosen = numbers.network.weights_of(which[:, 1:])
            for variable in numbers.trainable_variables:
                kept[id(variable)][chosen] = variable.numpy()[chosen]
