"""A fitted distribution beside its data: what diagnostics and pictures look at."""

import functools

import numpy as np

from experiments.density_estimation import prediction

__all__ = ["Subject"]


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
        """How well test rows are predicted, as of `prediction.scores`."""
        return prediction.scores(self)

    @property
    def is_plane(self):
        """Whether the data are points of a plane, with a density that one can draw."""
        return self.dataset.event_size == 2 and self.context is None
