"""`flow_posterior`: structure, support, weights, copies and checkpoints."""

import copy
import functools
import pickle

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from random_weights import randomize
from structures import PINNED
from subject import close

import tfp_flows as tff

tfb, tfd = tfp.bijectors, tfp.distributions
# Without a search for a start; `test_posterior_start` tests that.
FLOW = {"num_steps": 2, "hidden_units": (8,), "seed": 0}
SMALL = FLOW | {"whiten": False}
pytestmark = pytest.mark.usefixtures("op_by_op")


def dependent():
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


def nested():
    inner = tfd.JointDistributionSequential(
        [tfd.Dirichlet([1.0, 2.0]), tfd.Gamma(2.0, 1.0)]
    )
    pair = tfd.JointDistributionNamed({"z": tfd.Normal(0.0, 1.0), "inner": inner})
    return tfd.JointDistributionNamed({"pair": pair, "a": tfd.Uniform(1.0, 2.0)})


def on_simplex():
    return tfd.JointDistributionNamed(
        {
            "shares": tfd.Dirichlet([1.0, 2.0, 3.0]),  # fails if TFP's `Pad` fails
            "noise": lambda shares: tfd.Normal(shares[..., 0], 1.0),
        }
    )


def real_nvp():
    flow = tff.RealNVP(2, num_steps=1, hidden_units=(4,), seed=0)
    return tff.FlowDistribution(tff.standard_normal(2), flow)


TARGETS = {
    "on_simplex": on_simplex,
    "pinned": lambda: PINNED["coroutine"],
    "coroutine": lambda: PINNED["coroutine"].distribution,
    "sequential": lambda: PINNED["sequential"],
    "factor": lambda: tfd.CholeskyLKJ(3, 1.0),  # nine entries, three free numbers
    "dependent": dependent,
    "named": named,
    "nested": nested,
    "vector": lambda: tfd.MultivariateNormalDiag(tf.zeros(3), tf.ones(3)),
    "matrix": lambda: tfd.Sample(tfd.Gamma(2.0, 1.0), [2, 3]),
    "a flow": real_nvp,
}


@functools.cache
def built(name):
    """A target and its posterior of random weights."""
    target = TARGETS[name]()
    return target, randomize(tff.flow_posterior(target, **SMALL))


@pytest.mark.slow_ids("coroutine", "sequential")
@pytest.mark.parametrize("name", TARGETS)
def test_draws_have_structure_and_support_of_the_target(name):
    target, posterior = built(name)
    draws, log_prob = posterior.sample_and_log_prob((2, 3), seed=1)
    tf.nest.assert_same_structure(draws, target.event_shape, check_types=False)
    for part, shape in zip(*map(tf.nest.flatten, (draws, target.event_shape)), strict=True):
        assert part.shape == [2, 3, *shape]
    from_target = getattr(target, "unnormalized_log_prob", target.log_prob)(draws)
    assert from_target.shape == (2, 3)
    assert np.isfinite(from_target).all()
    # Densities of copies come from the inverse direction, not from TFP's cache.
    copies = tf.nest.map_structure(lambda x: x.numpy(), draws)
    close(posterior.log_prob(copies), log_prob, 1e-3)
    assert posterior.log_prob(posterior.sample()).shape == ()


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
    # Outside the support, at its end, and NaN.
    rate = np.array([-1.0, 0.0, 2.0, np.nan])
    found = tf.function(posterior.log_prob)(
        {"rate": rate, "shift": np.tile(shift[1], [4, 1])}
    )
    close(found, [-np.inf, -np.inf, expected[1], np.nan])


@pytest.mark.parametrize(
    ("target", "inside", "outside"),
    [
        (tfd.Dirichlet([1.0, 2.0, 3.0]), [0.2, 0.3, 0.5], [0.2, 0.3, 0.6]),
        (tfd.LKJ(2, 1.0), [[1.0, 0.3], [0.3, 1.0]], [[1.0, 0.9], [0.3, 1.0]]),
    ],
    ids=["shares", "correlations"],
)
def test_numbers_that_break_a_relation_of_the_support_have_no_density(
    target, inside, outside
):
    posterior = tff.flow_posterior(target, "maf", **SMALL)
    found = posterior.log_prob([inside, outside])
    assert np.isfinite(found[0])
    assert found[1] == -np.inf
    draws = target.sample(100, seed=(0, 1))
    assert np.isfinite(posterior.log_prob(draws)).all()


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
    weights = {id(w) for w in posterior.trainable_variables}
    assert weights == {id(w) for w in posterior.distribution.trainable_variables}
    assert len(weights) == len(flow.trainable_variables) + 1 + full_rank


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


def check_copy(posterior, same):
    draws = tf.nest.map_structure(lambda x: x.numpy(), posterior.sample(3, seed=1))
    expected = posterior.log_prob(draws).numpy()
    np.testing.assert_array_equal(same.log_prob(draws), expected)
    tf.nest.assert_same_structure(same.sample(), posterior.sample())
    assert not {id(v) for v in same.variables} & {id(v) for v in posterior.variables}
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(same.log_prob(draws))
    assert all(g is not None for g in tape.gradient(loss, same.trainable_variables))
    for weight in same.trainable_variables:
        weight.assign_add(tf.ones(weight.shape))
    np.testing.assert_array_equal(posterior.log_prob(draws), expected)


@pytest.mark.slow_ids(*TARGETS.keys() - {"dependent"})
@pytest.mark.parametrize("name", TARGETS)
def test_copies_pickles_and_checkpoints_have_the_weights(name, tmp_path):
    target, posterior = built(name)
    check_copy(posterior, copy.deepcopy(posterior))
    if name == "dependent":
        message = r"a support of `flow_posterior`.*Pickle `posterior"
        with pytest.raises(ValueError, match=message):
            pickle.dumps(posterior)
        flow = pickle.loads(pickle.dumps(posterior.distribution))
        check_copy(posterior, tff.inference.FlowPosterior(flow, posterior.support))
    else:
        check_copy(posterior, pickle.loads(pickle.dumps(posterior)))
    other = tff.flow_posterior(target, **SMALL | {"seed": 2})
    path = tf.train.Checkpoint(posterior=posterior).write(str(tmp_path / "posterior"))
    tf.train.Checkpoint(posterior=other).read(path).assert_consumed()
    draws = posterior.sample(5, seed=1)
    np.testing.assert_array_equal(other.log_prob(draws), posterior.log_prob(draws))


def test_a_checkpoint_has_the_weights_of_a_support(tmp_path):
    shifts = [tf.Variable(value) for value in ([1.0, 2.0], [0.0, 0.0])]
    first, second = (tff.flow_posterior(2, support=tfb.Shift(v), **SMALL) for v in shifts)
    path = tf.train.Checkpoint(posterior=first).write(str(tmp_path / "posterior"))
    tf.train.Checkpoint(posterior=second).read(path).assert_consumed()
    np.testing.assert_array_equal(shifts[1], [1.0, 2.0])
