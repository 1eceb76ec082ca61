"""Families of posteriors: densities, shapes, and what is refused."""

import copy

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from random_weights import randomize

import tfp_flows as tff

tfb, tfd = tfp.bijectors, tfp.distributions
posteriors = tff.posteriors
LATENT_SIZE, ROWS = 3, 4


def iaf(**options):
    arguments = {"num_steps": 2, "hidden_units": (6,), "context_size": 2, "seed": 0}
    return tff.IAF(LATENT_SIZE, dtype=tf.float64, **{**arguments, **options})


def real_nvp(**options):
    arguments = {"num_steps": 2, "hidden_units": (6,), "context_size": 2, "seed": 0}
    arguments |= {"standardize": False, "dtype": tf.float64}
    return tff.RealNVP(LATENT_SIZE, **{**arguments, **options})


def diagonal():
    return posteriors.DiagonalGaussian(LATENT_SIZE, dtype=tf.float64)


def full():
    return posteriors.FullGaussian(LATENT_SIZE, dtype=tf.float64)


CASES = {
    "diagonal": diagonal,
    "full": full,
    "iaf": lambda: posteriors.AmortizedFlow(diagonal(), iaf()),
    "iaf_after_full": lambda: posteriors.AmortizedFlow(full(), iaf()),
    "iaf_without_context": lambda: posteriors.AmortizedFlow(
        diagonal(), iaf(context_size=0)
    ),
    "real_nvp": lambda: posteriors.AmortizedFlow(diagonal(), real_nvp()),
    "stock": lambda: posteriors.AmortizedFlow(
        diagonal(), tfb.Scale(tf.constant([1.0, -2.0, 3.0], tf.float64))
    ),
}


@pytest.fixture(params=CASES)
def posterior(request):
    built = CASES[request.param]()
    return randomize(built) if built.variables else built


def parameters_of(posterior, rows=ROWS):
    rng = np.random.default_rng(0)
    return tf.constant(rng.normal(size=(rows, posterior.num_parameters)))


def draw(posterior, num_samples=5, seed=3):
    return posterior.sample_and_log_prob(parameters_of(posterior), num_samples, seed)


@pytest.mark.usefixtures("op_by_op")
def test_shapes_and_seeds(posterior):
    z, log_prob = draw(posterior)
    assert (z.shape, log_prob.shape) == ((5, ROWS, LATENT_SIZE), (5, ROWS))
    np.testing.assert_array_equal(draw(posterior)[0], z)
    assert not np.any(draw(posterior, seed=4)[0] == z)


@pytest.mark.usefixtures("op_by_op")
def test_density_of_draws_is_that_of_the_same_points(posterior):
    z, log_prob = draw(posterior)
    again = posterior.log_prob(z.numpy(), parameters_of(posterior))
    np.testing.assert_allclose(again, log_prob, atol=1e-9)


@pytest.mark.slow_ids("iaf_after_full", "iaf_without_context")
@pytest.mark.usefixtures("op_by_op")
def test_density_integrates_to_one(posterior):
    # By importance sampling from a wider Gaussian around the posterior's own draws.
    z, _ = draw(posterior, 4000)
    mean, deviation = np.mean(z, axis=0), 1.5 * np.std(z, axis=0)
    proposal = tfd.MultivariateNormalDiag(mean, deviation)
    points = proposal.sample(100_000, seed=(0, 1))
    density = posterior.log_prob(points, parameters_of(posterior))
    ratios = np.exp(density - proposal.log_prob(points))
    np.testing.assert_allclose(np.mean(ratios, axis=0), 1.0, atol=0.06)


@pytest.mark.usefixtures("op_by_op")
@pytest.mark.parametrize("name", ["diagonal", "full"])
def test_gaussians_are_those_of_tfp(name):
    posterior = CASES[name]()
    parameters = parameters_of(posterior)
    if name == "diagonal":
        mean, s = np.split(parameters, 2, axis=-1)
        stock = tfd.MultivariateNormalDiag(mean, np.log1p((np.e - 1.0) * np.exp(s)))
    else:
        mean, entries = np.split(parameters, [LATENT_SIZE], axis=-1)
        scale = tfp.math.fill_triangular(entries).numpy()
        for i in range(LATENT_SIZE):
            scale[:, i, i] = np.log1p((np.e - 1.0) * np.exp(scale[:, i, i]))
        stock = tfd.MultivariateNormalTriL(mean, scale)
    z, log_prob = draw(posterior, 40_000)
    np.testing.assert_allclose(log_prob, stock.log_prob(z), atol=1e-9)
    np.testing.assert_allclose(np.mean(z, axis=0), stock.mean(), atol=0.05)
    for i in range(ROWS):
        found = np.cov(z[:, i], rowvar=False)
        np.testing.assert_allclose(found, stock.covariance()[i], atol=0.1)


@pytest.mark.usefixtures("op_by_op")
def test_each_row_has_its_own_posterior(posterior):
    parameters = parameters_of(posterior).numpy()
    z, _ = posterior.sample_and_log_prob(tf.constant(parameters), 2, 1)
    parameters[0] += 1.0
    moved, _ = posterior.sample_and_log_prob(tf.constant(parameters), 2, 1)
    assert np.all(moved[:, 0] != z[:, 0])
    np.testing.assert_array_equal(moved[:, 1:], z[:, 1:])


@pytest.mark.usefixtures("op_by_op")
def test_context_alone_matters_to_each_flow():
    for name in ("iaf", "real_nvp"):
        posterior = randomize(CASES[name]())
        parameters = parameters_of(posterior).numpy()
        z, _ = posterior.sample_and_log_prob(tf.constant(parameters), 2, 1)
        parameters[:, -2:] += 1.0
        moved, _ = posterior.sample_and_log_prob(tf.constant(parameters), 2, 1)
        assert np.all(moved != z)


@pytest.mark.usefixtures("op_by_op")
def test_gradients_reach_parameters_and_weights(posterior):
    parameters = parameters_of(posterior)
    weights = posterior.trainable_variables
    with tf.GradientTape() as tape:
        tape.watch(parameters)
        z, log_prob = posterior.sample_and_log_prob(parameters, 2, 1)
        loss = tf.reduce_sum(z**2) + tf.reduce_sum(log_prob)
    for gradient in tape.gradient(loss, [parameters, *weights]):
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max() > 0.0


@pytest.mark.slow_ids("iaf", "iaf_without_context", "real_nvp")
def test_eager_graph_and_xla_agree(posterior):
    def call():
        return posterior.sample_and_log_prob(parameters_of(posterior), 2, 1)

    for jit_compile in (False, True):
        compiled = tf.function(call, jit_compile=jit_compile, autograph=False)()
        for a, b in zip(call(), compiled, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-10)


@pytest.mark.slow_ids("diagonal", "iaf_after_full", "iaf_without_context", "real_nvp")
def test_xla_compiles_the_gradient_for_batches_of_any_length(posterior):
    signature = [tf.TensorSpec([None, posterior.num_parameters], tf.float64)]

    def gradient(parameters):
        with tf.GradientTape() as tape:
            tape.watch(parameters)
            z, log_prob = posterior.sample_and_log_prob(parameters, 2, 1)
            loss = tf.reduce_sum(z**2) + tf.reduce_sum(log_prob)
        return tape.gradient(loss, parameters)

    compiled = tf.function(
        gradient, input_signature=signature, jit_compile=True, autograph=False
    )
    for rows in (4, 3):
        parameters = parameters_of(posterior, rows)
        np.testing.assert_allclose(compiled(parameters), gradient(parameters), atol=1e-9)


def test_weights_are_found_and_copied(posterior):
    again = copy.deepcopy(posterior)
    flow = getattr(posterior, "flow", None)
    assert len(posterior.variables) == len(flow.variables if flow is not None else ())
    np.testing.assert_array_equal(draw(again)[0], draw(posterior)[0])


REFUSED = {
    "maf": tff.MAF(LATENT_SIZE, standardize=False),
    "inverted iaf": tff.Invert(tff.IAF(LATENT_SIZE)),
    "maf in a chain": tff.FlowChain([tff.MAF(LATENT_SIZE, standardize=False)]),
    "stock maf": tfb.MaskedAutoregressiveFlow(lambda x: (x, x)),
}


@pytest.mark.parametrize("name", REFUSED)
def test_flow_that_samples_one_after_another_is_refused_with_the_reason(name):
    with pytest.raises(ValueError, match="draws one variable after another in every"):
        posteriors.AmortizedFlow(diagonal(), REFUSED[name])


@pytest.mark.parametrize(
    "flow",
    [
        tff.RealNVP(3),
        tff.RealNVP(3, act_norm=True),
        tff.Invert(tff.RealNVP(3)),
    ],
)
def test_flow_that_is_set_from_data_is_refused(flow):
    with pytest.raises(ValueError, match="without state that is set from data.*real_nvp"):
        posteriors.AmortizedFlow(diagonal(), flow)


UNFIT = {
    "size": (iaf, 4, r"vectors of 4 entries, as `base`; got `iaf`.*\[..., 3\]"),
    "size in a chain": (lambda: tff.FlowChain([real_nvp()]), 4, "vectors of 4 entries"),
    "size at the other end": (
        lambda: tfb.FillTriangular(),
        LATENT_SIZE,
        r"vectors of 3 entries.*which makes \(2, 2\) of them",
    ),
    "dtype": (
        lambda: tff.IAF(LATENT_SIZE),
        LATENT_SIZE,
        "`flow` of float64, as `base`; got `iaf` of float32",
    ),
}


@pytest.mark.parametrize("name", UNFIT)
def test_flow_that_does_not_fit_its_base_is_refused(name):
    build, size, message = UNFIT[name]
    base = posteriors.DiagonalGaussian(size, dtype=tf.float64)
    with pytest.raises(ValueError, match=message):
        posteriors.AmortizedFlow(base, build())


@pytest.mark.parametrize("family", [posteriors.DiagonalGaussian, posteriors.FullGaussian])
def test_no_latent_is_refused(family):
    with pytest.raises(ValueError, match="`latent_size` of at least 1; got 0"):
        family(0)


def test_only_iaf_scores_one_after_another():
    one_pass = {name: build().scores_in_one_pass for name, build in CASES.items()}
    assert {name for name in one_pass if not one_pass[name]} == {
        name for name in CASES if name.startswith("iaf")
    }
