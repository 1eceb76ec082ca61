"""Bad calls of the Keras models, what they are made of, and their training."""

import keras
import numpy as np
import tensorflow as tf

import tfp_flows as tff
from bad_calls import parts
from bad_calls.bad_call import BadCall
from bad_calls.parts import CONTEXT
from bad_calls.parts import ROWS

BITS = (ROWS > 0).astype(np.float32)


def _fit(words, rows, model=parts.estimator, **options):
    options = {"epochs": 1, "batch_size": 8, "verbose": 0, **options}
    return BadCall(lambda: model().fit(rows, **options), *words, keeps=model)


def _vae(words, **options):
    return BadCall(lambda: parts.vae(**options), *words)


FITS = {
    "fit on one row without its axis": _fit(("`x` of shape [N, 3]", "(3,)"), ROWS[0]),
    "fit on rows of another width": _fit(("`x` of shape [N, 3]", "(16, 2)"), ROWS[:, :2]),
    "fit on a column": _fit(("`x` of shape [N, 3]", "(16, 1)"), ROWS[:, :1]),
    "fit on images": _fit(("`x` of shape [N, 3]", "(16, 3, 1)"), ROWS[..., None]),
    "fit on no rows": _fit(("`x`", "at least one row"), ROWS[:0]),
    "fit on letters": _fit(("`x`", "numbers"), np.array([["a", "b", "c"]])),
    "fit with targets": BadCall(
        lambda: parts.estimator().fit(ROWS, ROWS[:, 0]), "`y`", keeps=parts.estimator
    ),
    "fit with an unwanted context": _fit(("no `context`", "(16, 2)"), (ROWS, CONTEXT)),
    "fit without its context": _fit(
        ("`context` of shape [N, 2]", "None"), ROWS, parts.conditional_estimator
    ),
    "fit, context of another width": _fit(
        ("`context` of shape [N, 2]", "(16, 3)"),
        (ROWS, ROWS),
        parts.conditional_estimator,
    ),
    "fit, context of other rows": _fit(
        ("`context` of shape [16, 2]", "(5, 2)"),
        (ROWS, CONTEXT[:5]),
        parts.conditional_estimator,
    ),
    "fit, context without its axis": _fit(
        ("`context` of shape [N, 2]", "(16,)"),
        (ROWS, CONTEXT[:, 0]),
        parts.conditional_estimator,
    ),
    "fit on a dataset of another width": _fit(
        ("`x` of shape [N, 3]", "2)"),
        tf.data.Dataset.from_tensor_slices(ROWS[:, :2]).batch(8),
        batch_size=None,
    ),
    "fit out of Bounds": _fit(
        ("`x`", "column 1", "0", "2", "3"),
        np.array([[0.5, 0.5, 0.5], [0.5, 3.0, 0.5]], np.float32),
        parts.bounded_estimator,
    ),
    "fit below a half-line of Bounds": _fit(
        ("`x`", "column 2", "-0.5"),
        np.array([[0.5, 0.5, -0.5]], np.float32),
        parts.bounded_estimator,
    ),
    "fit out of Logit": _fit(
        ("`x`", "column 2", "[-0.05", "1.05", "255"),
        np.array([[0.5, 0.5, 255.0]], np.float32),
        parts.logit_estimator,
    ),
    "fit out of a stock bijector's range": _fit(
        ("`x`", "range of `exp`", "column 2", "-0.5"),
        np.array([[0.5, 0.5, -0.5]], np.float32),
        parts.positive_estimator,
    ),
    "evaluate on rows of another width": BadCall(
        lambda: parts.estimator().evaluate(ROWS[:, :2], verbose=0),
        "`x` of shape [N, 3]",
        "(16, 2)",
        keeps=parts.estimator,
    ),
    "predict on rows of another width": BadCall(
        lambda: parts.estimator().predict(ROWS[:, :2], verbose=0),
        "`x` of shape [N, 3]",
        "(16, 2)",
        keeps=parts.estimator,
    ),
}

ESTIMATORS = {
    "DensityEstimator of a flow": BadCall(
        lambda: tff.DensityEstimator(parts.flow()), "`distribution`", "FlowDistribution"
    ),
    "DensityEstimator of a class": BadCall(
        lambda: tff.DensityEstimator(tff.FlowDistribution),
        "`distribution`",
        "the class FlowDistribution; call it",
    ),
    "DensityEstimator of nothing": BadCall(
        lambda: tff.DensityEstimator(None), "`distribution`", "None"
    ),
    "save as .h5": BadCall(
        lambda: parts.estimator().save("model.h5"), "`.keras`", "model.h5"
    ),
    "save as .hdf5": BadCall(
        lambda: parts.estimator().save("model.hdf5"), "`.keras`", "model.hdf5"
    ),
    "save as .h5 in a folder": BadCall(
        lambda: parts.estimator().save("model.h5", zipped=False), "`.keras`", "model.h5"
    ),
    "save without an ending": BadCall(
        lambda: parts.estimator().save("model"), ".keras", "model"
    ),
    "save a VAE as .h5": BadCall(
        lambda: parts.fixed_vae().save("vae.h5"), "`.keras`", "vae.h5"
    ),
    "FullDataBatchStatistics of other rows": BadCall(
        lambda: parts.estimator().fit(
            ROWS,
            epochs=1,
            verbose=0,
            callbacks=[tff.FullDataBatchStatistics(ROWS[:, :2])],
        ),
        "`data` of shape [N, 3]",
        "(16, 2)",
    ),
    "FullDataBatchStatistics of letters": BadCall(
        lambda: tff.FullDataBatchStatistics("rows"), "`data`"
    ),
    "StopOnNaN of a number": BadCall(lambda: tff.StopOnNaN(3), "`monitor`", "got 3"),
    "KLWarmUp of no epoch": BadCall(lambda: tff.KLWarmUp(0), "`num_epochs`", "got 0"),
    "KLWarmUp of letters": BadCall(lambda: tff.KLWarmUp("10"), "`num_epochs`", "'10'"),
    "KLWarmUp of a DensityEstimator": BadCall(
        lambda: parts.estimator().fit(
            ROWS, epochs=1, verbose=0, callbacks=[tff.KLWarmUp(2)]
        ),
        "KLWarmUp",
        "VAE",
        keeps=parts.estimator,
    ),
}

VAES = {
    "VAE, encoder of another width": _vae(("`encoder`", "4"), encoder=parts.encoder(5)),
    "VAE, encoder of a function": _vae(("`encoder`", "keras"), encoder=np.tanh),
    "VAE, encoder of a class": _vae(
        ("`encoder`", "the class MLP; call it"), encoder=tff.MLP
    ),
    "VAE, decoder of another width": _vae(("`decoder`", "3"), decoder=parts.encoder(5)),
    "VAE, decoder of a string": _vae(("`decoder`", "'mlp'"), decoder="mlp"),
    "VAE, posterior of a string": _vae(("`posterior`", "'gaussian'"), posterior="gaussian"),
    "VAE, posterior of a class": _vae(
        ("`posterior`", "DiagonalGaussian"), posterior=tff.posteriors.DiagonalGaussian
    ),
    "VAE, likelihood of a string": _vae(
        ("`likelihood`", "'bernoulli'"), likelihood="bernoulli"
    ),
    "VAE, likelihood of a class": _vae(
        ("`likelihood`", "the class Bernoulli; call it"),
        likelihood=tff.likelihoods.Bernoulli,
    ),
    "VAE, prior of another size": _vae(("`prior`", "[2]"), prior=tff.standard_normal(3)),
    "VAE, prior of a flow": _vae(
        ("`prior`", "real_nvp"), prior=tff.RealNVP(2, **parts.TINY)
    ),
    "VAE, bound of a string": _vae(("`bound`", "'elbo'"), bound="elbo"),
    "VAE, no draws": _vae(("`num_samples`", "got 0"), num_samples=0),
    "VAE, half a draw": _vae(("`num_samples`", "1.5"), num_samples=1.5),
    "VAE, negative free bits": _vae(("`free_bits`", "-1.0"), free_bits=-1.0),
    "VAE, free bits of letters": _vae(("`free_bits`", "'1'"), free_bits="1"),
    "VAE, seed of letters": _vae(("`seed`", "'a'"), seed="a"),
    "VAE, landing of letters": _vae(
        ("`sticking_the_landing`", "'no'"), sticking_the_landing="no"
    ),
    "VAE.fit on rows of another width": _fit(
        ("`x` of shape [N, 3]", "(16, 2)"), BITS[:, :2], parts.fixed_vae
    ),
    "VAE.fit on greys": _fit(("`x`", "zeros and ones"), ROWS, parts.fixed_vae),
    "VAE.fit with targets": BadCall(
        lambda: parts.fixed_vae().fit(BITS, BITS), "`y`", keeps=parts.fixed_vae
    ),
    "VAE.encode of another width": BadCall(
        lambda: parts.fixed_vae().encode(BITS[:, :2]), "`x` of shape [N, 3]", "(16, 2)"
    ),
    "VAE.decode of another width": BadCall(
        lambda: parts.fixed_vae().decode(ROWS), "`z`", "[..., 2]", "(16, 3)"
    ),
    "VAE.elbo of no draws": BadCall(
        lambda: parts.fixed_vae().elbo(BITS, num_samples=0), "`num_samples`", "got 0"
    ),
    "VAE.log_likelihood of half a draw": BadCall(
        lambda: parts.fixed_vae().log_likelihood(BITS, 1.5), "`num_samples`", "1.5"
    ),
    "VAE.sample of a fraction": BadCall(
        lambda: parts.fixed_vae().sample(1.5), "`num_samples`", "1.5"
    ),
}

PARTS = {
    "DiagonalGaussian of a string": BadCall(
        lambda: tff.posteriors.DiagonalGaussian("2"), "`latent_size`", "'2'"
    ),
    "FullGaussian of a fraction": BadCall(
        lambda: tff.posteriors.FullGaussian(1.5), "`latent_size`", "1.5"
    ),
    "FullGaussian of integers": BadCall(
        lambda: tff.posteriors.FullGaussian(2, dtype="int32"), "`dtype`", "'int32'"
    ),
    "AmortizedFlow of a flow": BadCall(
        lambda: tff.posteriors.AmortizedFlow(parts.flow(), parts.flow()), "`base`"
    ),
    "AmortizedFlow of another size": BadCall(
        lambda: tff.posteriors.AmortizedFlow(
            tff.posteriors.DiagonalGaussian(2), tff.IAF(3, **parts.TINY)
        ),
        "`flow`",
        "2 entries",
    ),
    "AmortizedFlow of a MAF": BadCall(
        lambda: tff.posteriors.AmortizedFlow(
            tff.posteriors.DiagonalGaussian(3),
            tff.MAF(3, standardize=False, **parts.TINY),
        ),
        "`flow`",
        "one pass",
    ),
    "AmortizedFlow of a class": BadCall(
        lambda: tff.posteriors.AmortizedFlow(tff.posteriors.DiagonalGaussian(3), tff.IAF),
        "`flow`",
        "the class IAF; call it",
    ),
    "Bernoulli of a string": BadCall(
        lambda: tff.likelihoods.Bernoulli("3"), "`event_shape`", "'3'"
    ),
    "Gaussian of a negative size": BadCall(
        lambda: tff.likelihoods.Gaussian(-3), "`event_shape`", "-3"
    ),
    "Gaussian, scale of letters": BadCall(
        lambda: tff.likelihoods.Gaussian(3, min_scale="1"), "`min_scale`", "'1'"
    ),
    "DiscretizedLogistic of half a bin": BadCall(
        lambda: tff.likelihoods.DiscretizedLogistic(3, 2.5), "`num_bins`", "2.5"
    ),
    "objectives.free_bits below 0": BadCall(
        lambda: tff.objectives.free_bits(ROWS, -1.0), "`minimum`", "-1"
    ),
    "importance_weighted_log_likelihood of no draws": BadCall(
        lambda: tff.objectives.importance_weighted_log_likelihood(
            lambda count, seed: tf.zeros([count]), 0, at_once=1, seed=0
        ),
        "`num_samples`",
        "got 0",
    ),
}

SAVED = {
    "load what is not there": BadCall(
        lambda: keras.saving.load_model("nothing.keras"), "nothing.keras"
    ),
}

CALLS = {**FITS, **ESTIMATORS, **VAES, **PARTS, **SAVED}
