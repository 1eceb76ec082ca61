"""The end of a training whose time is up."""

import keras

from experiments.runs import workers

__all__ = ["TimeLimit"]


class TimeLimit(keras.callbacks.Callback):
    """Lets no epoch start once training has taken `max_minutes`.

    Args:
      max_minutes: limit on the training time; 0: none.
      save_run: the `SaveRun`, before this callback, whose `seconds` are the training time
        so far, and which saves when the time is up.
      strategy: the `tf.distribute.Strategy`; the clock of its chief counts.
    """

    def __init__(self, max_minutes, save_run, strategy):
        super().__init__()
        self._seconds = 60.0 * max_minutes
        self._save_run = save_run
        self._strategy = strategy

    def is_over(self):
        """Whether the time is up."""
        if not self._seconds or not self._save_run.num_epochs:
            return False
        is_over = self._seconds < self._save_run.seconds
        return workers.from_chief(self._strategy, bytes([is_over])) == bytes([True])

    def on_epoch_end(self, epoch, logs=None):
        """Stops training when the time is up."""
        if self.is_over():
            # Before it looks as if training had ended by itself.
            self._save_run.save()
            self.model.stop_training = True
