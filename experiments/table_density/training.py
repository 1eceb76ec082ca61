"""The `TableDensity` that flags describe, and its fit."""

import tfp_flows
from experiments.command_line.flag_settings import UsageError
from experiments.data import DataError
from experiments.runs import resuming
from experiments.table_density.settings import DROPPED


def make_density(columns, context, settings):
    """Returns a `TableDensity` that is not fitted yet."""
    try:
        return tfp_flows.TableDensity(
            columns,
            context=context,
            missing="refuse" if settings.missing == DROPPED else settings.missing,
            # Without these flags, the number of rows decides.
            num_members=settings.num_members or None,
            num_bins=settings.num_bins or None,
            hidden_units=settings.hidden_units or None,
            dropout=None if settings.dropout == -1.0 else settings.dropout,
            seed=settings.seed,
        )
    except ValueError as error:
        raise UsageError(str(error)) from error


def train(density, rows, settings, run_dir, *, validation_split, name="fit"):
    """Fits a `TableDensity`, from its last epochs in `run_dir` if it was interrupted.

    `validation_split` is the share of `rows`, a data frame, for early stopping; `name` is
    that of the fit in the folder.

    Returns:
      Keras's history, a dict of lists with an entry an epoch.
    """
    try:
        return density.fit(
            rows,
            validation_split=validation_split,
            epochs=settings.epochs,
            batch_size=settings.batch_size or None,
            learning_rate=settings.learning_rate,
            patience=settings.patience or None,
            verbose=max(settings.progress, 0),
            backup=resuming.checkpoints(run_dir) / f"{name}.npz",
        ).history
    except ValueError as error:
        raise DataError(str(error)) from error
