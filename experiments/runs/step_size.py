"""The step size of each training step: a warm-up, and then a cosine or a constant."""

import math

import keras

__all__ = ["schedule"]


def schedule(settings, num_rows):
    """Returns Adam's step size: a number, or a schedule of Keras's.

    Of N warm-up steps, the nth has n / (N + 1) of `learning_rate`. A warm-up that is longer
    than all `epochs` ends with them.

    Args:
      settings: a `TrainingSettings`.
      num_rows: of the training rows.
    """
    highest, warmup_steps = settings.learning_rate, settings.warmup_steps
    if not settings.cosine_decay and not warmup_steps:
        return highest
    num_steps = settings.epochs * math.ceil(num_rows / settings.batch_size)
    return keras.optimizers.schedules.CosineDecay(
        highest / (warmup_steps + 1),
        max(1, num_steps - warmup_steps),
        # What a cosine falls to, as a share; all of it is a constant.
        alpha=0.0 if settings.cosine_decay else 1.0,
        warmup_target=highest if warmup_steps else None,
        warmup_steps=warmup_steps,
    )
