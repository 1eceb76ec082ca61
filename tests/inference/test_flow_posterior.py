"""`flow_posterior`: structure, support and weights."""

import functools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from random_weights import randomize
from subject import close

import tfp_flows as tff

tfb, tfd = tfp.bijectors, tfp.distributions
# Without a search for a start, which `test_posterior_start` is about.
FLOW = {"num_steps": 2, "hidden_units": (8,), "seed": 0}
SMALL = FLOW | {"whiten": False}
pytestmark = pytest.mark.usefixtures("op_by_op")


def coroutine():
    @tfd.JointDistributionCoroutineAutoBatched
    def model():
        scale = yield tfd.HalfCauchy(0.0, 5.0, name="scale")
        factor = yield tfd.CholeskyLKJ(3, 1.0, name="factor")  # [3, 3] of 3 free numbers
        matrix = yield tfd.Sample(tfd.Normal(0.0, scale), [2, 2], name="matrix")
        yield tfd.Normal(tf.reduce_sum(matrix) + factor[1, 0], scale, name="observed")

    return model


def sequential():
    return tfd.JointDistributionSequential(
        [
            tfd.Uniform(-1.0, 1.0),
            lambda low: tfd.Uniform(low, 2.0),  # a support that depends on a part
            tfd.MultivariateNormalDiag(tf.zeros(2), tf.ones(2)),
        ]
    )


def named():
    return tfd.JointDistributionNamed(
        {"rate": tfd.Gamma(2.0, 1.0), "count": lambda rate: tfd.Exponential(rate)}
    )


def on_simplex():
    return tfd.JointDistributionNamed(
        {
            "shares": tfd.Dirichlet([1.0, 2.0, 3.0]),  # breaks where TFP's `Pad` does
            "noise": lambda shares: tfd.Normal(shares[..., 0], 1.0),
        }
    )


TARGETS = {
    "on_simplex": on_simplex,
    "pinned": lambda: coroutine().experimental_pin(observed=1.0),
    "coroutine": coroutine,
    "sequential": sequential,
    "named": named,
    "vector": lambda: tfd.MultivariateNormalDiag(tf.zeros(3), tf.ones(3)),
    "matrix": lambda: tfd.Sample(tfd.Gamma(2.0, 1.0), [2, 3]),
}


@functools.cache
def built(name):
    """A target and its posterior of random weights."""
    target = TARGETS[name]()
    return target, randomize(tff.flow_posterior(target, **SMALL))


@pytest.mark.slow_ids(
    "coroutine-sample_shape2",
    "pinned-sample_shape1",
    "pinned-sample_shape7",
    "sequential-sample_shape3",
    "sequential-sample_shape8",
)
@pytest.mark.parametrize(
    ("name", "sample_shape"),
    [*((name, (2, 3)) for name in TARGETS), ("pinned", ()), ("sequential", ())],
)
def test_draws_have_structure_and_support_of_the_target(name, sample_shape):
    target, posterior = built(name)
    draws, log_prob = posterior.sample_and_log_prob(sample_shape, seed=1)
    tf.nest.assert_same_structure(draws, target.event_shape, check_types=False)
    for part, shape in zip(*map(tf.nest.flatten, (draws, target.event_shape)), strict=True):
        assert part.shape == [*sample_shape, *shape]
    from_target = getattr(target, "unnormalized_log_prob", target.log_prob)(draws)
    assert from_target.shape == sample_shape
    assert np.isfinite(from_target).all()
    # Nothing of the density depends on who asks, or in which direction.
    copies = tf.nest.map_structure(lambda x: x.numpy(), draws)
    close(posterior.log_prob(copies), log_prob, 1e-3)
    again = tf.nest.flatten(posterior.sample(sample_shape, seed=1))
    for part, same in zip(tf.nest.flatten(draws), again, strict=True):
        close(part, same, 1e-6)


def test_density_of_a_shape_with_support_is_that_of_the_flow_times_the_jacobian():
    posterior = tff.flow_posterior(
        {"rate": [], "shift": [2]},
        "real_nvp",
        support={"rate": tfb.Exp(), "shift": None},
        dtype=tf.float64,
        **SMALL,
    )
    randomize(posterior)
    rate, shift = np.array([0.3, 2.0]), np.array([[1.0, -1.0], [0.5, 0.2]])
    x = np.concatenate([np.log(rate)[:, None], shift], axis=1)
    expected = posterior.distribution.log_prob(x) - np.log(rate)
    close(posterior.log_prob({"rate": rate, "shift": shift}), expected)


def test_shapes_come_as_numbers_lists_and_structures():
    for event_shape, expected in [
        (3, tf.TensorShape([3])),
        ([2, 2], tf.TensorShape([2, 2])),
        (tf.TensorShape([4]), tf.TensorShape([4])),
        ([[2], []], [tf.TensorShape([2]), tf.TensorShape([])]),
    ]:
        assert tff.flow_posterior(event_shape, **SMALL).event_shape == expected


@pytest.mark.parametrize("full_rank", [True, False])
def test_starts_at_the_base_and_lists_its_weights(full_rank):
    flow = tff.RealNVP(3, standardize=False, **FLOW)
    posterior = tff.flow_posterior(3, flow, full_rank=full_rank)
    x = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    close(posterior.log_prob(x), tff.standard_normal(3).log_prob(x), 1e-5)
    weights = posterior.trainable_variables
    assert {id(w) for w in weights} == {
        id(w) for w in posterior.distribution.trainable_variables
    }
    assert len(weights) == len(flow.trainable_variables) + 1 + full_rank
    with tf.GradientTape() as tape:
        draws, log_prob = posterior.sample_and_log_prob(5, seed=1)
        loss = tf.reduce_mean(log_prob) + tf.reduce_mean(draws**2)
    assert all(gradient is not None for gradient in tape.gradient(loss, weights))


def test_gradient_of_the_density_of_an_own_draw():
    posterior = randomize(tff.flow_posterior(2, support=tfb.Exp(), **SMALL))
    with tf.GradientTape() as tape:
        draw = posterior.sample(3, seed=1)
        tape.watch(draw)
        log_prob = posterior.log_prob(draw)
    assert tape.gradient(log_prob, draw) is not None


def test_context_reaches_the_flow():
    posterior = randomize(tff.flow_posterior(named(), context_size=2, **SMALL))
    context = np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32)
    draws, log_prob = posterior.sample_and_log_prob(3, seed=1, context=context)
    assert draws["rate"].shape == (3, 4)
    close(posterior.log_prob(draws, context=context), log_prob, 1e-4)
    assert posterior.context_size == 2
    with pytest.raises(ValueError, match="context"):
        posterior.sample(3)


def test_initialize_takes_location_and_scale_from_draws():
    posterior = tff.flow_posterior(2, "real_nvp", support=tfb.Exp(), **SMALL)
    draws = np.exp(np.random.default_rng(0).normal([1.0, -3.0], [0.1, 2.0], (4000, 2)))
    posterior.initialize(draws.astype(np.float32))
    logs = np.log(posterior.sample(4000, seed=1))
    np.testing.assert_allclose(logs.mean(0), [1.0, -3.0], atol=0.1)
    np.testing.assert_allclose(logs.std(0), [0.1, 2.0], rtol=0.1)


def mixture():
    components = tfd.Normal([0.0, 1.0], 1.0)
    return tfd.MixtureSameFamily(tfd.Categorical(probs=[0.5, 0.5]), components)


def squeezed():
    return tff.MultiScale([tff.Squeeze((2, 2, 1))], (2, 2, 1))


@pytest.mark.slow_ids("coroutine", "matrix", "named", "on_simplex", "pinned")
@pytest.mark.parametrize("name", TARGETS)
def test_a_checkpoint_restores_a_fitted_posterior(name, tmp_path):
    target, fitted = built(name)
    other = tff.flow_posterior(target, **SMALL | {"seed": 2})
    path = tf.train.Checkpoint(posterior=fitted).write(str(tmp_path / "posterior"))
    tf.train.Checkpoint(posterior=other).read(path).assert_consumed()
    draws = fitted.sample(5, seed=1)
    np.testing.assert_array_equal(other.log_prob(draws), fitted.log_prob(draws))


def test_a_checkpoint_has_the_weights_of_a_support(tmp_path):
    shifts = [tf.Variable(value) for value in ([1.0, 2.0], [0.0, 0.0])]
    first, second = (tff.flow_posterior(2, support=tfb.Shift(v), **SMALL) for v in shifts)
    path = tf.train.Checkpoint(posterior=first).write(str(tmp_path / "posterior"))
    tf.train.Checkpoint(posterior=second).read(path).assert_consumed()
    np.testing.assert_array_equal(shifts[1], [1.0, 2.0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([tfd.Normal(tf.zeros(3), 1.0)], r"without batch axes.*\(3,\)"),
        ([tfd.JointDistributionSequential([tfd.Bernoulli(0.0)])], "of continuous parts"),
        (
            [
                tfd.JointDistributionSequential(
                    [tfd.Normal(0.0, 1.0), tfd.Normal(tf.zeros([], tf.float64), 1.0)]
                )
            ],
            "one floating-point dtype",
        ),
        ([mixture()], "know their support"),
        ([tfd.JointDistributionNamed({"x": mixture()})], "know their support"),
        (
            [3, tff.IAF(2)],
            r"`flow` on vectors of the target's 3 .*`iaf`.*, 2\]; got \(3,\)",
        ),
        ([4, squeezed()], r"`flow` on vectors of the target's 4 .*which makes \(2, 2, 1\)"),
        ([2, "spline"], r"`flow` to be one of \['iaf'.*got 'spline'"),
    ],
)
def test_refusals(arguments, message):
    with pytest.raises(ValueError, match=message):
        tff.flow_posterior(*arguments)


def test_options_that_nothing_takes_are_refused():
    with pytest.raises(ValueError, match="no `support`"):
        tff.flow_posterior(named(), support=tfb.Exp())
    with pytest.raises(ValueError, match="no options with a built `flow`"):
        tff.flow_posterior(2, tff.IAF(2), num_steps=3)
