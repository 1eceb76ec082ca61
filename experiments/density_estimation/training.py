"""The fit of a distribution to a data set."""

import functools

import numpy as np
import tensorflow as tf

import tfp_flows
from experiments.density_estimation import diagnostics
from experiments.density_estimation import pictures
from experiments.reports.progress import LogLikelihood
from experiments.runs import fitting
from experiments.runs.epochs import EpochRows

__all__ = ["Subject"]


def train(distribution, dataset, settings, strategy=None):
    """Fits `distribution` and returns its model, and the rest of `fitting.train`.

    Args:
      distribution: a `FlowDistribution`.
      dataset: a `Dataset`.
      settings: a `Settings`.
      strategy: the `tf.distribute.Strategy` that the distribution was built under.
    """
    columns = dataset.described_columns

    def initialize(model):
        if not settings.init_from:  # whose statistics belong to its weights
            # From the rows themselves, so that a `tf.data` input makes no difference.
            model.initialize(dataset.inputs("train"))

    return fitting.train(
        lambda: tfp_flows.DensityEstimator(
            distribution, columns=columns, weight_prior=settings.weight_prior
        ),
        training_rows(dataset, settings),
        _first(dataset.inputs("validation"), settings.max_validation_rows),
        settings,
        strategy,
        # Of samples drawn anew, as the weights have moved on.
        draw=lambda _, path: pictures.draw_fit(
            Subject(distribution, dataset, settings), path
        ),
        initialize=initialize,
        metrics=LogLikelihood(dataset),
        before_validation=_batch_statistics(dataset, settings),
        columns=columns,
    )


def training_rows(dataset, settings):
    """Returns the `EpochRows` of a training."""
    return EpochRows(
        dataset.inputs("train"),
        batch_size=settings.batch_size,
        seed=settings.seed,
        bin_width=dataset.bin_width if settings.fresh_noise else None,
        flipped_shape=dataset.pixel_shape if settings.horizontal_flips else None,
    )


def _batch_statistics(dataset, settings):
    if not settings.batch_norm:
        return []
    return [tfp_flows.FullDataBatchStatistics(dataset.train, dataset.train_context)]


def _first(inputs, count):
    return tf.nest.map_structure(lambda rows: rows[: count or None], inputs)


class Subject:
    """A distribution beside the data it is fitted to, with samples to compare.

    Args:
      distribution: a `FlowDistribution`.
      dataset: the `Dataset` that it is fitted to.
      settings: a `Settings`.

    Attributes:
      data: `[N, D]`, test rows, drawn by `settings.seed`.
      context: `[N, C]`, what they are conditioned on; or None.
    """

    def __init__(self, distribution, dataset, settings):
        self.distribution = distribution
        self.dataset = dataset
        self.settings = settings
        count = min(settings.num_samples, len(dataset.test))
        # Some files are sorted: the first rows of binarised MNIST are all zeros.
        rows = np.random.default_rng(settings.seed).permutation(len(dataset.test))[:count]
        self.data = dataset.test[rows]
        self.context = dataset.test_context[rows] if dataset.context_size else None

    @functools.cached_property
    def samples(self):
        """As many samples as `data`, `[N, D]`: one to each context, if any."""
        if self.context is None:
            samples = self.distribution.sample(len(self.data), seed=self.settings.seed)
        else:
            samples = self.distribution.sample(
                seed=self.settings.seed, context=self.context
            )
        return samples.numpy()

    @functools.cached_property
    def samples_by_class(self):
        """`num_samples` in all of C classes, equally many of each: `[C, n, D]`."""
        classes = np.eye(len(self.dataset.class_names), dtype=np.float32)
        samples = self.distribution.sample(
            max(1, self.settings.num_samples // len(classes)),
            seed=self.settings.seed,
            context=classes,
        )
        return samples.numpy().swapaxes(0, 1)

    @functools.cached_property
    def prediction(self):
        """How well test rows are predicted, as of `diagnostics.scores`."""
        return diagnostics.scores(self)

    @property
    def is_plane(self):
        """Whether the data are points of a plane, with a density that one can draw."""
        return self.dataset.event_size == 2 and self.context is None
