"""Adam with averaged weights."""

from __future__ import annotations

import keras

from tfp_flows.core.arguments import check_integer


def averaging_adam(
    learning_rate: float, steps_per_epoch: int, **options: object
) -> keras.optimizers.Adam:
    """Returns Adam that also averages the weights of about the last epoch.

    The average is exponential, with a momentum of `1 - 1 / steps_per_epoch`, bounded by 0.9
    and 0.999. `keras.callbacks.SwapEMAWeights(swap_on_epoch=True)` validates and keeps the
    averages.

    >>> from tfp_flows.training import averaging_adam
    >>> averaging_adam(1e-3, steps_per_epoch=50).ema_momentum
    0.98

    Args:
      learning_rate: Adam's greatest step size.
      steps_per_epoch: training steps between two looks at the validation rows.
      **options: more arguments of `keras.optimizers.Adam`.

    Raises:
      ValueError: if `steps_per_epoch` is below 1.
    """
    check_integer("steps_per_epoch", steps_per_epoch)
    momentum = min(max(1.0 - 1.0 / steps_per_epoch, 0.9), 0.999)
    return keras.optimizers.Adam(
        learning_rate, use_ema=True, ema_momentum=momentum, **options
    )
