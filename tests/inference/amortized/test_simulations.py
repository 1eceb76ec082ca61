"""Simulations from three forms of a model: shapes, seeds, files and refusals."""

import keras
import numpy as np
import pandas
import pytest
import tensorflow as tf
from exact_posteriors import joint
from joblib.externals.loky import get_reusable_executor
from refusals import all_refused
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tfp_flows.inference import fit_amortized_posterior
from tfp_flows.inference.amortized import pairs as pairs_module
from tfp_flows.inference.amortized import simulator as simulator_module
from tfp_flows.inference.amortized.data_form import DataForm
from tfp_flows.inference.amortized.mixed_trials import form_of_trials
from tfp_flows.inference.amortized.pairs import GivenPairs, Pairs, support_of_pairs
from tfp_flows.inference.amortized.simulator import JointSimulator, PriorSimulator
from tfp_flows.inference.support import JointSupport, without_functions

PRIOR = tfd.JointDistributionNamed(
    {"rate": tfd.LogNormal(0.0, 1.0), "effects": tfd.Sample(tfd.Uniform(-1.0, 1.0), 2)}
)
THETA = np.random.default_rng(0).normal(size=(200, 2)).astype(np.float32)
ZEROS = np.zeros([200, 1])
MIXTURE = tfd.MixtureSameFamily(tfd.Categorical([0.0]), tfd.Normal([0.0], 1.0))


def counts(rate, effects, seed):
    rng = np.random.default_rng(seed)
    return {"y": rng.poisson(rate), "z": rng.normal(effects)}


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(simulator_module, "_ROWS", 10)
    monkeypatch.setattr(simulator_module, "_ROWS_ONE_BY_ONE", 2)


def test_joint_distributions_simulate_their_observed_parts():
    found = JointSimulator(joint(), "x")
    pairs = found.pairs(3_000, 0)
    assert pairs.u.shape == pairs.x.shape == (3_000, 3)
    np.testing.assert_allclose(np.std(pairs.x - pairs.u, axis=0), 0.5, atol=0.03)
    log_prob = found.pin(pairs.x[0])({"theta": pairs.u[:2].astype(np.float32)})
    expected = joint().log_prob({"theta": pairs.u[:2], "x": pairs.x[[0, 0]]})
    np.testing.assert_allclose(log_prob, expected, rtol=1e-4)


def test_noise_of_the_same_seed_is_not_that_of_the_parameters():
    def simulator(theta, seed):
        return theta + tf.random.stateless_normal(theta.shape, seed=[seed, 0])

    for prior in (
        tfd.Sample(tfd.Normal(0.0, 1.0), 2),
        tfd.MultivariateNormalDiag([0.0, 0.0]),
    ):
        pairs = PriorSimulator(prior, simulator, True).pairs(1_000, 0)
        noise = pairs.x - pairs.u
        assert abs(np.corrcoef(noise[:, 0], pairs.u[:, 0])[0, 1]) < 0.15


def test_data_of_several_shapes_are_refused():
    def ragged(theta, seed):
        return np.zeros(1 + seed % 3)

    prior = tfd.Sample(tfd.Normal(0.0, 1.0), 1)
    with pytest.raises(ValueError, match="data of one shape"):
        PriorSimulator(prior, ragged, False)
    with pytest.raises(ValueError, match="got nested lists of numbers"):
        support_of_pairs([[0.1], [0.2]], None)


def test_integers_are_pinned_as_integers():
    model = tfd.JointDistributionNamedAutoBatched(
        {"rate": tfd.LogNormal(0.0, 1.0), "y": lambda rate: tfd.Bernoulli(logits=rate)}
    )
    found = JointSimulator(model, "y")
    assert np.isfinite(found.pin(np.array([1.0]))({"rate": tf.constant([0.5, 2.0])})).all()


def test_priors_give_parts_by_name_and_a_seed(small_blocks):
    found = PriorSimulator(PRIOR, counts, True)
    pairs = found.pairs(35, 3)
    assert pairs.u.shape == (35, 3)
    assert pairs.x.shape == (35, 3)
    parts = found.support.bijector.forward(pairs.u.astype(np.float32))
    assert (parts["rate"].numpy() > 0.0).all()
    assert (np.abs(parts["effects"]) < 1.0).all()
    np.testing.assert_array_equal(found.pairs(35, 3).x, pairs.x)
    np.testing.assert_array_equal(found.pairs(20, 3).x, pairs.x[:20])
    assert not np.array_equal(found.pairs(35, 4).x, pairs.x)
    one_by_one = PriorSimulator(PRIOR, counts, False).pairs(5, 3)
    assert one_by_one.x.shape == (5, 3)


def test_processes_give_the_same_simulations_and_import_no_tensorflow(small_blocks):
    get_reusable_executor().shutdown()  # processes of other tests

    def simulator(rate, effects, seed):
        import sys

        import numpy as np

        draws = np.random.default_rng(seed).normal(effects, rate)
        return {"draws": draws, "tensorflow": float("tensorflow" in sys.modules)}

    expected = PriorSimulator(PRIOR, simulator, False).pairs(25, 3)
    found = PriorSimulator(PRIOR, simulator, False, num_processes=2).pairs(25, 3)
    np.testing.assert_array_equal(found.x[:, :-1], expected.x[:, :-1])
    assert not np.any(found.x[:, -1])


def test_a_simulator_may_write_into_one_array():
    room = np.zeros(1)

    def simulator(theta):
        room[:] = theta
        return room

    found = PriorSimulator(tfd.Sample(tfd.Normal(0.0, 1.0), 1), simulator, False)
    pairs = found.pairs(5, 0)
    np.testing.assert_array_equal(pairs.x, pairs.u)


def test_supports_that_depend_on_other_parts_are_not_saved():
    prior = tfd.JointDistributionNamed(
        {"a": tfd.LogNormal(0.0, 1.0), "b": lambda a: tfd.Uniform(0.0, a)}
    )
    support = PriorSimulator(prior, lambda a, b: a, True).support
    with pytest.raises(ValueError, match="whose supports do not depend on other parts"):
        without_functions(support.bijector)


def test_intervals_are_linear_but_near_their_ends():
    low, high = np.float32([0.0, -2.0]), np.float32([1.0, 4.0])
    prior = tfd.JointDistributionNamed(
        {"a": tfd.Independent(tfd.Uniform(low, high), 1), "b": tfd.Uniform(2.0, 3.0)}
    )
    support = PriorSimulator(prior, lambda a, b: a, True).support
    u = np.linspace(-0.3, 1.3, 17, dtype=np.float32)[:, None] * np.ones(3, np.float32)
    far = np.float32([[-1e30] * 3, [-50.0] * 3, [50.0] * 3, [1e30] * 3])
    parts = support.bijector.forward(u)
    inside = slice(5, 12)
    np.testing.assert_allclose(
        (parts["a"] - low)[inside] / (high - low), u[inside, :2], atol=0.002
    )
    np.testing.assert_allclose(parts["b"][inside] - 2.0, u[inside, 2], atol=0.002)
    for points in (u, far):
        x = tf.constant(points)
        with tf.GradientTape() as tape:
            tape.watch(x)
            parts = support.bijector.forward(x)
            log_det = support.bijector.forward_log_det_jacobian(x, event_ndims=1)
        assert np.isfinite(prior.log_prob(parts)).all()
        assert np.isfinite(tape.gradient(log_det, x)).all()
    back = support.bijector.inverse(support.bijector.forward(u))
    np.testing.assert_allclose(back, u, atol=1e-3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_no_rounding_reaches_the_ends_of_intervals(dtype):
    low = dtype([0.0, -1.0, -1.0, 2.0, 1000.0, -1e-3, 1e-30, -3.0])
    high = dtype([3.0, 0.0, 0.5, 3.0, 1001.0, 1e-3, 1e10, 1e6])
    prior = tfd.Independent(tfd.Uniform(low, high), 1)
    bijector = JointSupport.from_distribution(prior).softly_clipped().bijector
    far = dtype([-50.0, -0.4, 1.39, 50.0])[:, None] * np.ones_like(low)
    draws = bijector.forward(far).numpy()
    assert ((low < draws) & (draws < high)).all()
    # New tensors, since TFP remembers of which numbers its results are.
    assert np.isfinite(bijector.inverse(draws.copy())).all()
    assert np.isfinite(prior.log_prob(draws)).all()


ENDS = {
    "unit": (tfd.Beta(2.0, 0.2), 1.0),
    "interval": (tfd.Uniform(-1e3, 1.0), 1.0),
    "positive": (tfd.LogNormal(0.0, 1.0), 0.0),
    "simplex": (tfd.Dirichlet([0.1, 0.1, 0.1]), [0.0, 0.3, 0.7]),
}


@pytest.mark.parametrize(("prior", "end"), ENDS.values(), ids=ENDS)
def test_draws_that_are_rounded_to_an_end_are_kept_inside(prior, end):
    support = JointSupport.from_distribution(prior).softly_clipped()
    inside = np.array(support.one_draw())
    u = support.unconstrained(np.concatenate([inside, [end]]).astype(np.float32))
    np.testing.assert_allclose(u[0], 0.0, atol=1e-4)
    assert np.isfinite(u).all()
    moved = support.bijector.forward(u.astype(np.float32))[1]
    np.testing.assert_allclose(moved, end, atol=1e-6, rtol=1e-3)
    outside = np.float32(end) + np.float32([[-2e3], [2e3]]) * np.ones_like(inside)
    assert not np.isfinite(support.unconstrained(outside)).all()


def test_no_more_is_simulated_than_is_asked_for(small_blocks, tmp_path):
    calls = []

    def simulator(theta):
        calls.append(len(theta))
        return theta

    prior = tfd.Independent(tfd.Normal(tf.zeros(2), 1.0), 1)
    found = PriorSimulator(prior, simulator, True)
    path = tmp_path / "simulations.npz"
    few = found.pairs(7, 0, path)
    more = found.pairs(14, 0, path)
    # The shape, the marks, whether these repeat, and blocks.
    assert calls == [2, 2, 2, 7, 2, 7]
    np.testing.assert_array_equal(more.x[:7], few.x)
    assert len(np.unique(more.x[:, 0])) == 14


def test_files_keep_simulations(small_blocks, tmp_path):
    calls = []

    def simulator(theta, seed):
        calls.append(len(theta))
        if len(calls) == 4:
            raise KeyboardInterrupt
        return np.random.default_rng(seed).normal(theta)

    prior, path = tfd.Normal(tf.zeros(2), 1.0), tmp_path / "simulations.npz"
    prior = tfd.Independent(prior, 1)
    expected = PriorSimulator(
        prior, lambda theta, seed: np.random.default_rng(seed).normal(theta), True
    ).pairs(40, 0)
    with pytest.raises(KeyboardInterrupt):
        PriorSimulator(prior, simulator, True).pairs(40, 0, path)
    calls.extend([0] * 10)
    found = PriorSimulator(prior, simulator, True).pairs(40, 0, path)
    np.testing.assert_array_equal(found.x, expected.x)
    np.testing.assert_array_equal(found.u, expected.u)
    assert calls[-4:] == [2, 10, 10, 10]  # marks, and the blocks that the file lacked
    more = PriorSimulator(prior, simulator, True).pairs(50, 0, path)
    np.testing.assert_array_equal(more.x[:40], found.x)
    with pytest.raises(ValueError, match="other simulations"):
        PriorSimulator(prior, simulator, True).pairs(40, 1, path)


def test_files_of_simulations_get_a_folder_and_are_checked(small_blocks, tmp_path):
    found, path = PriorSimulator(PRIOR, counts, True), tmp_path / "new" / "x.npz"
    found.pairs(5, 0, path)
    assert path.exists()
    path.write_text("text")
    with pytest.raises(ValueError, match="`backup` that keeps simulations; got .*x.npz"):
        found.pairs(5, 0, path)


def test_a_part_of_the_prior_may_be_named_seed():
    prior = tfd.JointDistributionNamed({"seed": tfd.Uniform(0.0, 1.0)})
    pairs = PriorSimulator(prior, lambda seed: seed, True).pairs(9, 0)
    assert len(set(pairs.x[:, 0])) == 9
    assert (np.abs(pairs.x - 0.5) <= 0.5).all()


def test_missing_numbers_of_pandas_and_failed_simulations_are_nan():
    few = {
        "a": pandas.array([1, None], "Int64"),
        "b": pandas.Series([None, 2.5], dtype="Float32"),
    }
    rows = DataForm.from_batch(few, True).simulated_rows(few, 2)
    np.testing.assert_array_equal(rows, [[1.0, np.nan], [np.nan, 2.5]])
    assert DataForm.from_batch(few, True).to_rows(few).shape == (2, 2)
    with pytest.raises(ValueError, match="finite `x`; got 2 numbers"):
        DataForm.from_batch(few).to_rows(few)

    def simulator(theta):  # which fails at one of its first draws
        return theta[0] if theta[0] > 0.0 else None

    prior = tfd.Sample(tfd.Normal(0.0, 1.0), 1)
    pairs = PriorSimulator(prior, simulator, False).pairs(20, 0)
    np.testing.assert_array_equal(np.isnan(pairs.x), pairs.u <= 0.0)
    assert np.isnan(
        PriorSimulator(prior, simulator, False).draw(2, 0)[1].astype(float)
    ).any()
    with pytest.raises(ValueError, match="data of numbers; got others: .* 'a'"):
        DataForm.from_batch(np.array(["a", None], object))


def test_a_series_has_parts_if_its_cells_have_texts_for_names():
    prior, series = tfd.Normal(0.0, 1.0), pandas.Series
    plain = PriorSimulator(prior, lambda theta: series(theta), True)
    one_by_one = PriorSimulator(prior, lambda theta: series([theta, 1.0]), False)
    named = PriorSimulator(prior, lambda theta: series({"a": theta}), False)
    shapes = [each.form.shapes for each in (plain, one_by_one, named)]
    assert shapes == [{None: ()}, {None: (2,)}, {"a": ()}]
    pairs = plain.pairs(5, 0)
    np.testing.assert_allclose(pairs.x, pairs.u)


def test_masked_numbers_are_missing():
    x = np.ma.masked_greater(np.arange(4).reshape(2, 2), 2)
    rows = DataForm.from_batch(x, True).simulated_rows(x, 2)
    np.testing.assert_array_equal(rows, [[0.0, 1.0], [2.0, np.nan]])
    with pytest.raises(ValueError, match="data without masked cells"):
        form_of_trials(x)
    with pytest.raises(ValueError, match="`data` of numbers"):
        DataForm.from_batch(x, True).simulated_rows(
            np.ma.masked_equal(x.astype(str), "0"), 2
        )


def test_no_observation_is_a_batch():
    form = DataForm.from_batch({"a": np.zeros([7, 2, 3])})
    assert form.to_rows({"a": np.zeros([4, 0, 2, 3])}).shape == (4, 0, 6)


def test_summaries_are_checked_before_the_simulations():
    def simulator(theta):
        assert len(theta) == 2  # those that tell the shape of the data
        return theta

    normal = tfd.Sample(tfd.Normal(0.0, 1.0), 2)
    two = keras.Input((2,))
    for summary, words in (
        ("sets", "set"),
        ("image", "2 or 3 axes"),
        (len, "a Keras layer"),
        (keras.layers.Reshape((2, 1)), r"\[N, 2, 1\]"),
        (keras.layers.GRU(3), r"N observations, \[N, 2\], .* call fails"),
        (keras.Model(two, [two, two]), "list"),
        (keras.layers.Lambda(lambda x: x), "`get_config`"),
        (keras.layers.Dense(3, dtype="float64"), "float32.*got float64"),
    ):
        with pytest.raises(ValueError, match=rf"(?s)(?=.*`summary`).*{words}"):
            fit_amortized_posterior(normal, simulator=simulator, summary=summary)


def test_missing_cells_are_kept_if_they_are_allowed(monkeypatch):
    monkeypatch.setattr(pairs_module, "LEAST_SIMULATIONS", 2)
    pairs = Pairs(np.zeros([4, 1]), np.array([[1.0], [np.nan], [np.inf], [2.0]]))
    assert len(pairs.usable(False).u) == 2
    assert len(pairs.usable(True).u) == 3


def test_pairs_have_the_support_that_is_given():
    theta = {"a": np.ones([5], np.float32), "b": np.ones([5, 2], np.float32)}
    support = support_of_pairs(theta, {"a": tfb.Exp(), "b": None})
    u = support.bijector.inverse(theta)
    np.testing.assert_allclose(u, [[0.0, 1.0, 1.0]] * 5, atol=1e-6)


def test_pairs_may_be_frames_of_pandas():
    theta = pandas.DataFrame({"a": [0.1, 0.2], "b": [0.3, 0.4]}).convert_dtypes()
    x = pandas.DataFrame(np.eye(2))  # without names, which is one array
    form = DataForm.from_batch(x)
    given = GivenPairs(theta, x, support_of_pairs(theta, None), form).pairs()
    np.testing.assert_array_equal(given.u, theta.to_numpy(float))
    np.testing.assert_array_equal(given.x, x)
    np.testing.assert_array_equal(form.to_rows(x.iloc[1]), [0.0, 1.0])


@pytest.mark.parametrize("dtypes", [(np.float16,) * 2, (np.float32, np.float64)])
def test_pairs_have_one_dtype(dtypes):
    theta = {k: np.full([2], 0.5, dtype) for k, dtype in zip("ab", dtypes, strict=True)}
    form = DataForm.from_batch(ZEROS)
    unit = {name: tfd.Uniform(0.0, 1.0) for name in theta}
    for support in (
        support_of_pairs(theta, None),
        JointSupport.from_distribution(tfd.JointDistributionNamed(unit)),
    ):
        u = GivenPairs(theta, np.zeros([2, 1]), support, form).pairs().u
        found = support.bijector.forward(tf.constant(u, support.dtype))
        np.testing.assert_allclose(found["a"], theta["a"])
        np.testing.assert_allclose(found["b"], theta["b"])
        assert support.dtype in (tf.float32, tf.float64)


@pytest.mark.parametrize("names", [(), ("a",)])
def test_observations_have_the_form_of_the_simulations(names):
    x = np.zeros([7, 2, 3]) if not names else {"a": np.zeros([7, 2, 3])}
    form = DataForm.from_batch(x)
    given = np.ones([5, 4, 2, 3])
    rows = form.to_rows({"a": given} if names else given)
    assert rows.shape == (5, 4, 6)
    for wrong in (np.ones([3, 2]), np.full([2, 3], np.nan), {"b": given}, "x"):
        with pytest.raises(ValueError, match="Expected"):
            form.to_rows(wrong)


def drawn(simulator=lambda theta: theta, **options):
    normal = tfd.Sample(tfd.Normal(0.0, 1.0), 2)
    return fit_amortized_posterior(normal, simulator=simulator, **options)


def observed_x(**options):
    return fit_amortized_posterior(joint(), observed="x", **options)


def given(theta=THETA, x=ZEROS, **options):
    return fit_amortized_posterior((theta, x), **options)


def noise(theta):
    return np.random.default_rng().normal(theta)


def other_parts(theta):
    return {"x" if theta[0] < 1.0 else "y": theta}


ABOVE_X = tfd.JointDistributionNamed(
    {"x": tfd.Uniform(0.0, 1.0), "theta": lambda x: tfd.Uniform(x, x + 1.0)}
)
BAD_CALLS = [
    (lambda: fit_amortized_posterior(3.0), "a joint distribution with"),
    (lambda: fit_amortized_posterior(joint()), "`observed`, names"),
    (lambda: fit_amortized_posterior((joint(), len)), "got a function | `simulator=`"),
    (lambda: fit_amortized_posterior(joint(), observed="y"), "some but not all"),
    (
        lambda: fit_amortized_posterior(ABOVE_X, observed="x"),
        "parameters whose support does not depend on data",
    ),
    (lambda: observed_x(simulator=len), "`observed` or `simulator`"),
    (lambda: drawn(lambda theta: theta[0, :1]), "2 data for 2 parameters"),
    (lambda: drawn(lambda theta: np.array(["a", "b"])), "data of numbers"),
    (
        lambda: fit_amortized_posterior(tfd.Poisson(3.0), simulator=len),
        "`model` of continuous parts",
    ),
    (
        lambda: fit_amortized_posterior(tfd.Normal([0.0, 1.0], 1.0), simulator=len),
        "`model` without batch axes",
    ),
    (
        lambda: fit_amortized_posterior(MIXTURE, simulator=len),
        "continuous `model` | which is discrete or has a part that is, or a mixture.",
    ),
    (lambda: given(simulator=len), "pairs alone"),
    (lambda: given(x=ZEROS[1:]), "`data` of shape [200, 1]"),
    (lambda: given(THETA.astype(int)), "floating-point"),
    (lambda: given(np.ma.masked_less(THETA, 0.0)), "`theta` without masked entries"),
    (lambda: given(x=ZEROS + np.nan), "finite simulations"),
    (lambda: given(max_minutes=0.0), "`max_minutes`"),
    (lambda: given(summary="text"), "`summary`"),
    (lambda: drawn(num_processes=2), "`vectorized=False` with"),
    (lambda: observed_x(vectorized=False), "`simulator` with vectorized=False"),
    (lambda: observed_x(num_processes=2), "`simulator` with `num_processes`"),
    (lambda: drawn(backup="simulations.npz", seed=None), "`seed` with `backup`"),
    (lambda: drawn(backup=5), "`backup`, the path"),
    (lambda: drawn(noise, backup="simulations.npz"), "`simulator` that repeats"),
    (lambda: drawn(lambda theta: [[1.0], [1.0, 2.0]]), "data of one shape"),
    (
        lambda: drawn(lambda theta: theta if len(theta) == 2 else theta + 1j),
        "`data` of numbers; got complex",
    ),
    (
        lambda: drawn(other_parts, vectorized=False),
        "the parts ['x']; got the parts ['y']",
    ),
    (lambda: drawn(backup="simulations.csv"), "`backup` | .npz"),
]
test_bad_call_is_refused_in_words = all_refused(BAD_CALLS)
