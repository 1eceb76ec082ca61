"""The fit of a VAE to images."""

import tfp_flows
from experiments.iaf_vae import pictures
from experiments.runs import fitting
from experiments.runs.epochs import EpochRows

__all__ = ["train"]


def train(parts, images, settings, strategy=None):
    """Fits a `VAE` and returns it, and the rest of `fitting.train`.

    Args:
      parts: what the `VAE` is constructed of, by name.
      images: the `Images` to fit.
      settings: a `VAESettings`.
      strategy: the `tf.distribute.Strategy` that the parts were built under.
    """
    dataset = images.dataset
    rows = EpochRows(
        dataset.train,
        batch_size=settings.batch_size,
        seed=settings.seed,
        bin_width=dataset.bin_width,
        binarize=images.redrawn,
    )
    return fitting.train(
        lambda: tfp_flows.VAE(**parts),
        rows,
        dataset.validation,
        settings,
        strategy,
        draw=lambda model, path: pictures.draw_fit(model, images, settings, path),
        before_validation=[tfp_flows.KLWarmUp(settings.warm_up_epochs)],
    )
