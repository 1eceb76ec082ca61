"""What a `VAE` refuses."""

import numpy as np
import pytest
import small_vae
import tensorflow as tf
from small_vae import LATENT_SIZE

import tfp_flows as tff

# In one process, since they share their models.
pytestmark = pytest.mark.xdist_group("vae")


@pytest.mark.parametrize("method", ["fit", "evaluate", "elbo", "log_likelihood", "encode"])
def test_rows_of_another_shape_or_range_are_refused(method, models):
    model = models["iaf"]
    call = getattr(model, method)
    with pytest.raises(ValueError, match=r"`x` of shape \[N, 12\]; got \(3, 11\)"):
        call(np.zeros((3, 11), np.float32))
    with pytest.raises(ValueError, match="zeros and ones.*from 0.0 to 1.5"):
        call(np.array([[0.0] * 11 + [1.5]], np.float32))


@pytest.mark.parametrize("method", ["elbo", "log_likelihood"])
@pytest.mark.parametrize("name", ["num_samples", "batch_size"])
def test_no_draws_and_empty_batches_are_refused(method, name, models):
    model = models["gaussian"]
    with pytest.raises(ValueError, match=f"`{name}` of at least 1; got 0"):
        getattr(model, method)(small_vae.rows(model), **{name: 0})


def test_first_batch_of_a_dataset_is_checked(models):
    rows = tf.data.Dataset.from_tensor_slices(np.full((4, 12), 0.5, np.float32)).batch(2)
    with pytest.raises(ValueError, match="zeros and ones"):
        models["iaf"].fit(rows, verbose=0)


def test_no_rows_are_refused(models):
    with pytest.raises(ValueError, match="at least one row"):
        models["gaussian"].elbo(np.zeros((0, 12), np.float32))


TARGETS = {
    "fit": lambda model, x, pairs: model.fit(x, x),
    "fit on a dataset": lambda model, x, pairs: model.fit(pairs),
    "validation": lambda model, x, pairs: model.fit(x, validation_data=(x, x)),
    "validation on a dataset": lambda model, x, pairs: model.fit(x, validation_data=pairs),
    "evaluate": lambda model, x, pairs: model.evaluate(x, x, sample_weight=x[:, 0]),
    "evaluate on a dataset": lambda model, x, pairs: model.evaluate(pairs),
}


@pytest.mark.parametrize("call", TARGETS)
def test_targets_are_refused(call, models):
    x = small_vae.rows(models["gaussian"])
    pairs = tf.data.Dataset.from_tensor_slices((x, x)).batch(10)
    with pytest.raises(ValueError, match="^Expected no targets `y`; got some.$"):
        TARGETS[call](models["gaussian"], x, pairs)


def build(**changes):
    posterior = changes.pop("posterior", tff.posteriors.DiagonalGaussian(LATENT_SIZE))
    parts = {
        "encoder": tff.MLP(getattr(posterior, "num_parameters", 1), (4,)),
        "decoder": tff.MLP(12, (4,)),
        "likelihood": tff.likelihoods.Bernoulli(12),
    }
    return tff.VAE(posterior=posterior, **{**parts, **changes})


WEIGHTED = tff.objectives.importance_weighted_bound
BAD_PARTS = {
    "encoder": (lambda: {"encoder": tff.MLP(5, (4,))}, "`encoder` with 6 outputs.*(5,)"),
    "decoder": (lambda: {"decoder": tff.MLP(5, (4,))}, "`decoder` with 12 outputs.*(5,)"),
    "prior": (
        lambda: {"prior": tff.standard_normal(2)},
        r"`prior` of event shape \[3\]; got \(2,\)",
    ),
    "prior of another dtype": (
        lambda: {"prior": tff.standard_normal(LATENT_SIZE, dtype="float64")},
        "`prior` of float32, as the posterior; got float64",
    ),
    "IAF as prior": (
        lambda: {"prior": small_vae.prior(tff.IAF)},
        "`prior` that scores in one pass; got `iaf_.*one variable after another",
    ),
    "posterior by name": (
        lambda: {"posterior": "gaussian"},
        "`posterior` of `tfp_flows.posteriors`: a DiagonalGaussian.*; got 'gaussian'",
    ),
    "posterior of `distributions`": (
        lambda: {"posterior": tff.flow_posterior([LATENT_SIZE], num_steps=1)},
        "`posterior` of `tfp_flows.posteriors`.*; got <tfp.distributions.FlowPosterior",
    ),
    "num_samples": (lambda: {"num_samples": 0}, "`num_samples` of at least 1; got 0"),
    "free_bits": (lambda: {"free_bits": -1.0}, "`free_bits` of at least 0; got -1.0"),
    "free bits of another bound": (
        lambda: {"free_bits": 0.1, "bound": WEIGHTED},
        "objectives.elbo with `free_bits`",
    ),
    "landing of another bound": (
        lambda: {"sticking_the_landing": True, "bound": WEIGHTED},
        "objectives.elbo with",
    ),
    "landing of an IAF": (
        lambda: {"sticking_the_landing": True, "posterior": small_vae.iaf_posterior()},
        "scores a given point in one pass.*one variable after another",
    ),
}


@pytest.mark.parametrize("name", BAD_PARTS)
def test_parts_that_do_not_fit_are_refused(name):
    changes, message = BAD_PARTS[name]
    with pytest.raises(ValueError, match=message):
        build(**changes())
