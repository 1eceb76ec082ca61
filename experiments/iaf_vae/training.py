"""The fit of a VAE to images."""

import keras

import tfp_flows
from experiments.iaf_vae import pictures
from experiments.runs import fitting
from experiments.runs.epochs import EpochRows


def train(build, images, settings, strategy):
    """Fits the model that `build` returns.

    Returns:
      The model, Keras's history and `fitting.notes`.
    """
    dataset = images.dataset
    keras.utils.set_random_seed(settings.seed)
    with strategy.scope():
        model = build()
        fitting.compile_model(model, settings, len(dataset.train), strategy)
    rows = EpochRows(
        dataset.train,
        batch_size=settings.batch_size,
        seed=settings.seed,
        bin_width=dataset.bin_width,
        binarize=images.redrawn,
    )
    history, notes = fitting.fit(
        model,
        rows,
        dataset.validation,
        settings,
        strategy,
        lambda path: pictures.draw_fit(model, images, settings, path),
        before_validation=[tfp_flows.vae.KLWarmUp(settings.warm_up_epochs)],
    )
    if strategy.num_replicas_in_sync > 1:
        # The saved model must not depend on replicas.
        alone = build()
        alone.set_weights(model.get_weights())
        return alone, history, notes
    return model, history, notes
