"""Fits a distribution to a data set with Keras's `fit`."""

import math
import pathlib
import time

import keras
import tensorflow as tf

import tfp_flows


def train(distribution, dataset, settings):
    """Fits `distribution` and returns its model, Keras's history and the seconds taken.

    Args:
      distribution: a `FlowDistribution`.
      dataset: a `Dataset`.
      settings: a `Settings`; `metrics.csv` goes to its `run_dir`.
    """
    keras.utils.set_random_seed(settings.seed)
    model = tfp_flows.DensityEstimator(distribution)
    model.compile(
        make_optimizer(settings, num_rows=len(dataset.train)),
        jit_compile=settings.jit_compile,
        steps_per_execution=settings.steps_per_execution,
    )
    # From the rows themselves, so that a `tf.data` input makes no difference.
    model.initialize(dataset.train)
    start = time.perf_counter()
    history = model.fit(
        **_training_rows(dataset, settings),
        epochs=settings.epochs,
        validation_data=_validation_rows(dataset, settings),
        callbacks=make_callbacks(dataset, settings),
        verbose=settings.progress,
    )
    return model, history.history, time.perf_counter() - start


def make_optimizer(settings, *, num_rows):
    """Returns Adam with the schedule, clipping, decay and averaging of `settings`."""
    learning_rate = settings.learning_rate
    if settings.cosine_decay:
        num_batches = settings.epochs * math.ceil(num_rows / settings.batch_size)
        learning_rate = keras.optimizers.schedules.CosineDecay(learning_rate, num_batches)
    return keras.optimizers.Adam(
        learning_rate,
        global_clipnorm=settings.gradient_clip_norm or None,
        weight_decay=settings.weight_decay or None,
        use_ema=settings.ema_momentum > 0.0,
        ema_momentum=settings.ema_momentum,
    )


def make_callbacks(dataset, settings):
    """Returns the callbacks of `settings`, in the order in which they must act."""
    run_dir = pathlib.Path(settings.run_dir)
    callbacks = []
    # Averaged weights come first and early stopping last but for logs, so that what is
    # validated, and what is kept, is the averaged weights with their own statistics.
    if settings.ema_momentum > 0.0:
        callbacks.append(keras.callbacks.SwapEMAWeights(swap_on_epoch=True))
    if settings.batch_norm:
        callbacks.append(tfp_flows.FullDataBatchStatistics(dataset.train))
    callbacks.append(
        keras.callbacks.EarlyStopping(
            monitor="val_loss", patience=settings.patience, restore_best_weights=True
        )
    )
    if settings.max_minutes > 0.0:
        callbacks.append(TimeLimit(settings.max_minutes))
    callbacks.append(keras.callbacks.CSVLogger(str(run_dir / "metrics.csv")))
    if settings.tensorboard:
        callbacks.append(keras.callbacks.TensorBoard(str(run_dir / "tensorboard")))
    return callbacks


class TimeLimit(keras.callbacks.Callback):
    """Lets no epoch start once training has taken `max_minutes`."""

    def __init__(self, max_minutes):
        super().__init__()
        self._seconds = 60.0 * max_minutes

    def on_train_begin(self, logs=None):
        """Starts the clock."""
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        """Stops training when the time is up."""
        if time.perf_counter() - self._start > self._seconds:
            self.model.stop_training = True


def _training_rows(dataset, settings):
    if dataset.bin_width is None or not settings.fresh_noise:
        return {"x": dataset.train, "batch_size": settings.batch_size}
    rows = tf.data.Dataset.from_tensor_slices(dataset.train)
    rows = rows.shuffle(len(dataset.train), seed=settings.seed).batch(settings.batch_size)
    noise = tf.random.Generator.from_seed(settings.seed)
    return {"x": rows.map(lambda x: _requantize(x, dataset.bin_width, noise))}


def _requantize(x, bin_width, generator):
    noise = generator.uniform(tf.shape(x), dtype=x.dtype)
    return (tf.floor(x / bin_width) + noise) * bin_width


def _validation_rows(dataset, settings):
    rows = tf.data.Dataset.from_tensor_slices(dataset.validation)
    return rows.batch(settings.evaluation_batch_size)
