"""Initial statistics: they use weights of rows, and rows from all parts of a stream."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from random_weights import values
from small_estimator import anew
from subject import all_close

import tfp_flows as tff

RNG = np.random.default_rng(0)
MIX = np.array([[1.0, 0.0, 0.0], [0.8, 0.5, 0.0], [0.1, 0.2, 2.0]])
X = (RNG.normal(size=(300, 3)) @ MIX + [3.0, 0.0, 1.0]).astype(np.float32)
C = RNG.normal(5.0, 2.0, size=(300, 2)).astype(np.float32)
COUNTS = RNG.integers(0, 4, size=300)
IMAGES = RNG.normal(1.0, 2.0, size=(60, 2, 2, 1)).astype(np.float32)


def _conditional():
    return tff.MAF(3, num_steps=1, act_norm=True, context_size=2, seed=0)


def _distribution():
    base = tff.MixtureMADE(3, context_size=2, seed=0)
    return tff.FlowDistribution(base, tff.Standardize(3))


INITIALIZED = {
    "decorrelate": (lambda: tff.Decorrelate(3), X),
    "gaussianize": (lambda: tff.bijectors.Gaussianize(3, 5), X),
    "batch norm": (lambda: tff.BatchNorm(3), X),
    "inverted": (lambda: tff.Invert(tff.FlowChain([tff.ActNorm(3)])), X),
    "part": (lambda: tff.bijectors.Partial([True, False, False], tff.Standardize(2)), X),
    "context": (_conditional, X),
    "defensive": (lambda: tff.Defensive(_distribution()), X),
    "glow": (lambda: tff.Glow((2, 2, 1), 1, 1, hidden_channels=4, seed=0), IMAGES),
}


@pytest.mark.usefixtures("op_by_op")
@pytest.mark.parametrize("name", INITIALIZED)
def test_a_row_of_weight_two_is_two_rows(name):
    make, x = INITIALIZED[name]
    weighted, repeated = make(), make()
    counts, given = COUNTS[: len(x)], {"context": C} if weighted.context_size else {}
    weighted.initialize(x, sample_weight=counts, **given)
    given = {k: np.repeat(v, counts, axis=0) for k, v in given.items()}
    repeated.initialize(np.repeat(x, counts, axis=0), **given)
    all_close(values(weighted), values(repeated), 2e-5)


def test_a_row_without_weight_is_absent_and_few_rows_give_a_regular_factor():
    far = np.concatenate([X[:12], np.full([9, 3], 1e6, np.float32)])
    flows = [tff.Decorrelate(3) for _ in range(2)]
    flows[0].initialize(far, sample_weight=np.repeat([0.3, 0.0], [12, 9]))
    flows[1].initialize(X[:12])
    all_close(values(flows[0]), values(flows[1]), 0.0)
    assert np.isfinite(flows[0].inverse(X)).all()


@pytest.mark.parametrize("weight", [np.ones(3), np.arange(300) - 1.0, np.full(300, np.nan)])
def test_bad_weights_are_refused(weight):
    with pytest.raises(ValueError, match="`sample_weight`"):
        tff.Standardize(3).initialize(X, sample_weight=weight)


def _estimator(**options):
    flow = tff.RealNVP(3, num_steps=1, hidden_units=4, seed=0, **options)
    return tff.DensityEstimator(tff.FlowDistribution(tff.standard_normal(3), flow))


@pytest.mark.usefixtures("op_by_op")
@pytest.mark.parametrize("kind", ["arrays", "dataset"])
def test_fit_hands_weights_to_the_start(kind):
    model, expected = _estimator(context_size=2), _estimator(context_size=2)
    weight = COUNTS.astype(np.float32)
    expected.initialize((np.repeat(X, COUNTS, 0), np.repeat(C, COUNTS, 0)))
    model.compile(keras.optimizers.SGD(0.0))
    if kind == "arrays":
        model.fit((X, C), sample_weight=weight, verbose=0)
    else:
        rows = tf.data.Dataset.from_tensor_slices((X, C, weight)).batch(50)
        model.fit(rows, verbose=0)
    all_close(values(model.distribution), values(expected.distribution), 2e-5)


SORTED = np.sort(RNG.normal(size=(40_000, 3)), axis=0).astype(np.float32)


class Sorted(keras.utils.PyDataset):
    num_batches = 40

    def __getitem__(self, index):
        return SORTED[1000 * index : 1000 * (index + 1)]


def _dataset():
    return tf.data.Dataset.from_tensor_slices(SORTED).batch(1000)


@pytest.mark.filterwarnings("error:Means, scales")
@pytest.mark.parametrize(
    "make", [_dataset, lambda: _dataset().filter(lambda rows: True), Sorted]
)
def test_sorted_streams_are_sampled_all_over(make):
    model = _estimator()
    model.initialize(make())
    z = model.distribution.bijector.bijectors[0].inverse(SORTED).numpy()
    np.testing.assert_allclose(z.mean(axis=0), 0.0, atol=0.05)
    np.testing.assert_allclose(z.std(axis=0)[0], 1.0, atol=0.05)


@pytest.mark.parametrize("make", [lambda: iter(Sorted()), lambda: _dataset().repeat()])
def test_a_sorted_stream_of_which_only_the_first_rows_are_seen_is_told(make):
    with pytest.warns(UserWarning, match="set from the first rows.*shuffle them"):
        _estimator().initialize(make())


def test_a_dataset_that_gives_its_rows_once_is_refused():
    once = iter(np.split(SORTED, 40))
    spec = tf.TensorSpec([None, 3], tf.float32)
    rows = tf.data.Dataset.from_generator(lambda: once, output_signature=spec)
    with pytest.raises(ValueError, match="read again"):
        _estimator().initialize(rows)


def test_statistics_of_a_part_of_a_slow_dataset_are_told(monkeypatch):
    monkeypatch.setattr("tfp_flows.training.row_stream._MOST_SECONDS", -1.0)
    with pytest.warns(UserWarning, match="were read within"):
        _estimator().initialize(_dataset())


class WithoutWeights(tff.Standardize):
    def initialize(self, data, *, context=None):
        super().initialize(data, context=context)


def test_a_step_that_takes_no_weights_is_told():
    chain = tff.FlowChain([WithoutWeights(3), tff.ActNorm(3)])
    with pytest.raises(ValueError, match="WithoutWeights.initialize` to take `sample_w"):
        chain.initialize(X, sample_weight=COUNTS)
    chain.initialize(X)


@pytest.mark.parametrize("trace", [lambda f: f, tf.function])
def test_training_refuses_a_flow_that_is_not_initialized(trace):
    flow = tff.RealNVP(3, num_steps=1, hidden_units=4, act_norm=True, seed=0)
    dist = tff.FlowDistribution(tff.standard_normal(3), flow)
    log_prob = trace(lambda x: dist.log_prob(x, training=True))
    with pytest.raises(ValueError, match=r"`decorrelate`, `act_norm`.*`initialize\(rows"):
        log_prob(X)
    with pytest.warns(UserWarning, match="`decorrelate`, `act_norm`.*`initialize"):
        _take_gradient(dist)
    before = [v.numpy() for v in dist.variables]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # no second warning
        _take_gradient(dist)
        dist.log_prob(X)
    for a, b in zip(dist.variables, before, strict=True):
        np.testing.assert_array_equal(a, b)
    dist.initialize(X)
    assert np.isfinite(log_prob(X)).all()


def _take_gradient(dist):
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(dist.log_prob(X))
    return tape.gradient(loss, dist.trainable_variables)


@pytest.mark.usefixtures("op_by_op")
def test_weights_that_sum_to_one_or_are_huge_train_as_those_of_mean_one():
    weight = (1.0 + COUNTS) / np.mean(1.0 + COUNTS)
    losses = [
        anew(event_size=3).fit(X, sample_weight=unit * weight, shuffle=False, verbose=0)
        for unit in (1.0, 1.0 / len(X), 1e30)
    ]
    losses = [fitted.history["loss"] for fitted in losses]
    np.testing.assert_allclose(losses[1:], losses[:1] * 2, rtol=1e-4)


def test_the_unit_of_weights_does_not_matter():
    usual, tiny = tff.Decorrelate(3), tff.Decorrelate(3)
    usual.initialize(X[:12], sample_weight=1.0 + COUNTS[:12])
    tiny.initialize(X[:12], sample_weight=1e-200 * (1.0 + COUNTS[:12]))
    all_close(values(usual), values(tiny), 1e-6)
