"""Stan models as targets, with BridgeStan's methods written in NumPy, and Stan's own."""

import copy
import pickle

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import tensorflow as tf
from refusals import all_refused

import tfp_flows as tff
from tfp_flows.inference import initial_flow
from tfp_flows.inference.checks.importance import entries_that_vary
from tfp_flows.inference.stan import is_stan_model, shapes_and_order, stan_space

# Unconstrained means and deviations of m[1, 1], m[2, 1], m[1, 2], ..., log(tau) and a.
LOC = np.array([11.0, 21.0, 12.0, 22.0, 13.0, 23.0, -0.5, 1000.0])
SCALE = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.3, 30.0])
MEANS = {"m": [[11.0, 12.0, 13.0], [21.0, 22.0, 23.0]], "a": 1000.0}
DEVIATIONS = {"m": [[0.1, 0.3, 0.5], [0.2, 0.4, 0.6]], "a": 30.0}


class Model:
    """The methods of a `bridgestan.StanModel`: `matrix[2, 3] m; real<lower=0> tau; real a`.

    A cubic term is added to the log-density if `skew` is not 0; points where tau is above
    exp(`limit`) raise Stan's error.
    """

    def __init__(self, skew=0.0, limit=np.inf):
        self.skew, self.limit = skew, limit

    def param_unc_num(self):
        return 8

    def param_names(self):
        entries = [f"m.{i}.{j}" for j in (1, 2, 3) for i in (1, 2)]
        return [*entries, "tau", "a"]

    def param_constrain(self, x):
        if x[6] > self.limit:
            raise RuntimeError("lub_constrain: ub is 0, but must be greater than 0")
        y = np.array(x)
        y[6] = np.exp(min(x[6], 700.0))
        return y

    def param_unconstrain(self, y):
        x = np.array(y)
        x[6] = np.log(y[6])
        return x

    def log_density(self, x, *, propto, jacobian):
        return self.log_density_gradient(x, propto=propto, jacobian=jacobian)[0]

    def log_density_gradient(self, x, *, propto, jacobian):
        assert x.dtype == np.float64
        assert x.flags.c_contiguous
        if x[6] > self.limit:
            raise RuntimeError("normal_lpdf: Scale parameter is inf, but must be finite!")
        z = (x - LOC) / SCALE
        value = -0.5 * z @ z + self.skew * z[0] ** 3
        if not propto:
            value -= np.log(SCALE * np.sqrt(2.0 * np.pi)).sum()
        slope = -z / SCALE
        slope[0] += 3.0 * self.skew * z[0] ** 2 / SCALE[0]
        if not jacobian:
            value, slope[6] = value - x[6], slope[6] - 1.0
        return value, slope

    def log_density_hessian_vector_product(self, x, v, *, propto, jacobian):
        value, _ = self.log_density_gradient(x, propto=propto, jacobian=jacobian)
        product = -v / SCALE**2
        product[0] += 6.0 * self.skew * (x[0] - LOC[0]) / SCALE[0] ** 3 * v[0]
        return value, product


def points(count=5, seed=0):
    return LOC + SCALE * np.random.default_rng(seed).normal(size=(count, 8))


def test_entries_are_found_by_their_names():
    names = ["b.1.1.2", "b.1.1.1", "m.1.1", "m.2.1", "m.1.2", "m.2.2", "a", "t:1", "t:2.1"]
    names += ["c.1.real", "c.1.imag"]
    shapes, order = shapes_and_order(names)
    assert list(shapes) == sorted(shapes)
    ones = {"a": [], "t:1": [], "c.1.real": [], "c.1.imag": []}
    assert shapes == {**ones, "b": [1, 1, 2], "m": [2, 2], "t:2": [1]}
    ordered = [names[position] for position in order]
    matrix = ["m.1.1", "m.1.2", "m.2.1", "m.2.2"]
    in_tuples = ["t:1", "t:2.1"]
    assert ordered == [
        *("a", "b.1.1.1", "b.1.1.2", "c.1.imag", "c.1.real"),
        *matrix,
        *in_tuples,
    ]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_density_gradient_and_curvature_are_those_of_the_model(dtype):
    model = Model(skew=0.1)
    space, x = stan_space(model, dtype), points().astype(dtype).astype(float)
    value, slope = space.density.log_prob_and_gradient(x)
    expected = [model.log_density_gradient(row, propto=False, jacobian=True) for row in x]
    tolerance = {"rtol": 1e-5 if dtype == "float32" else 1e-12}
    np.testing.assert_allclose(value, [v for v, _ in expected], **tolerance)
    np.testing.assert_allclose(slope, [s for _, s in expected], **tolerance)
    steps = 1e-4 * np.diag(SCALE)
    ahead, behind = (
        [model.log_density(x[0] + s * d, propto=False, jacobian=True) for d in steps]
        for s in (1.0, -1.0)
    )
    np.testing.assert_allclose(
        slope[0] * SCALE, np.subtract(ahead, behind) / 2e-4, rtol=1e-4
    )
    gradient, products = space.density.curvature(x[0], np.diag(SCALE))
    np.testing.assert_allclose(gradient, slope[0], **tolerance)
    hessian = np.diag(-1.0 / SCALE**2)
    hessian[0, 0] += 0.6 * (x[0, 0] - LOC[0]) / SCALE[0] ** 3
    np.testing.assert_allclose(products, hessian * SCALE, **tolerance, atol=1e-30)
    assert not space.density.is_for_xla


def test_errors_of_stan_are_points_outside_the_support():
    space, x = stan_space(Model(limit=0.0), "float64"), points()
    x[:, 6] = [-1.0, 1.0, -2.0, 800.0, np.nan]
    value, slope = space.density.log_prob_and_gradient(x)
    assert list(np.isneginf(value)) == [False, True, False, True, False]
    assert np.isnan(value[4])
    assert not slope[[1, 3]].any()
    assert np.isfinite(slope[[0, 2]]).all()


def test_entries_vary_without_regard_to_draws_where_stan_raises_an_error():
    rows = np.array([[np.nan, np.nan, np.nan], [0.0, 1.0, 2.0], [1.0, 1.0, 2.0]])
    assert list(entries_that_vary(rows)) == [True, False, False]


def test_other_errors_are_raised():
    model = Model()
    model.log_density_gradient = lambda x, **_: x + "1"
    with pytest.raises(tf.errors.OpError, match="UFuncTypeError|_UFuncNoLoopError"):
        stan_space(model, "float32").density.log_prob(points())


@pytest.mark.parametrize("batch", [(), (3,), (2, 3)])
def test_parts_have_stans_names_and_shapes(batch):
    support = stan_space(Model(), "float64").support.bijector
    x = np.broadcast_to(points(1)[0], [*batch, 8])
    parts = support.forward(tf.constant(x))
    assert {name: part.shape for name, part in parts.items()} == {
        "m": [*batch, 2, 3],
        "tau": batch,
        "a": batch,
    }
    np.testing.assert_array_equal(parts["tau"], np.exp(x[..., 6]))
    np.testing.assert_array_equal(parts["m"][..., 1, 0], x[..., 1])
    np.testing.assert_array_equal(parts["m"][..., 0, 2], x[..., 4])
    back = support.inverse({name: tf.identity(part) for name, part in parts.items()})
    np.testing.assert_allclose(back, x)
    assert back.shape == x.shape
    log_det = support.forward_log_det_jacobian(tf.constant(x), event_ndims=1)
    np.testing.assert_allclose(log_det, x[..., 6], atol=1e-10)
    in_graph = tf.function(support.forward)(tf.constant(x))
    assert in_graph["m"].shape == [*batch, 2, 3]


@pytest.fixture(scope="module")
def fitted():
    # Broad proposals of the checks go beyond the limit.
    model = Model(limit=LOC[6] + 5.0 * SCALE[6])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(initial_flow, "_MOST_PAIRS", 1)  # fewer couplings to trace
        return tff.fit_posterior(model, seed=0, max_gradients=30_000, verbose=0)


def check_moments(draws, means, deviations):
    for name, mean in means.items():
        found = draws[name].numpy()
        error = 4.5 * np.asarray(deviations[name]) / np.sqrt(len(found))
        assert (np.abs(found.mean(axis=0) - mean) < error).all()
        np.testing.assert_allclose(found.std(axis=0), deviations[name], rtol=0.05)


def test_posterior_has_the_models_moments_and_evidence(fitted):
    assert fitted.report.verdict == "reliable"
    assert abs(fitted.report.log_evidence) < 0.02
    for draws in (fitted.sample(4000, seed=1), fitted.resample(4000, seed=1)):
        assert draws["m"].shape == [4000, 2, 3]
        assert draws["m"].dtype == tf.float64  # as Stan's
        check_moments(draws, MEANS, DEVIATIONS)
        log_tau = {"tau": tf.math.log(draws["tau"])}
        check_moments(log_tau, {"tau": LOC[6]}, {"tau": SCALE[6]})


def test_density_of_posterior_is_that_of_constrained_parameters(fitted):
    x = points()
    parts = {"m": x[:, [[0, 2, 4], [1, 3, 5]]], "tau": np.exp(x[:, 6]), "a": x[:, 7]}
    parts = {name: tf.constant(part, tf.float64) for name, part in parts.items()}
    exact = scipy.stats.norm(LOC, SCALE).logpdf(x).sum(axis=1) - x[:, 6]
    np.testing.assert_allclose(fitted.log_prob(parts), exact, atol=0.1)


def test_posterior_is_copied_but_pickled_only_without_the_model(fitted):
    one, other = (p.sample(2, seed=3)["m"] for p in (fitted, copy.deepcopy(fitted)))
    np.testing.assert_array_equal(one, other)
    with pytest.raises(ValueError, match="Pickle `posterior.distribution`"):
        pickle.dumps(fitted)
    flow = pickle.loads(pickle.dumps(fitted.distribution))
    support = stan_space(Model(), "float64").support.bijector
    again = tff.inference.FlowPosterior(flow, support)
    np.testing.assert_array_equal(again.sample(2, seed=3)["m"], one)


def test_arviz_has_stans_names(fitted):
    pytest.importorskip("arviz")
    data = tff.to_arviz(fitted, num_draws=10)["posterior"]
    assert {name: data[name].shape for name in data.data_vars} == {
        "m": (1, 10, 2, 3),
        "tau": (1, 10),
        "a": (1, 10),
    }


def test_other_targets_are_no_stan_models():
    normal = tff.standard_normal(2)
    assert is_stan_model(Model())
    assert not any(map(is_stan_model, (normal, 2, {"a": []}, normal.log_prob)))


class Empty(Model):
    def param_unc_num(self):
        return 0

    def param_names(self):
        return [""]


test_bad_call_is_refused_in_words = all_refused(
    [
        (lambda: tff.fit_posterior(Model(), support={}), "no `support` | Stan"),
        (
            lambda: tff.fit_posterior(Model(), target_log_prob_fn=np.sum),
            "no `target_log_prob_fn` | Stan",
        ),
        (lambda: tff.fit_posterior(Model(), dtype="float16"), "float32 or float64"),
        (lambda: tff.fit_posterior(Empty()), "a variable"),
        (lambda: tff.fit_posterior(Model(limit=-np.inf)), "finite at one of"),
    ]
)


PROGRAM = """
data { int N; vector[N] y; }
parameters {
  matrix[2, 3] m;
  simplex[3] s;
  real<lower=0> mu;
}
model {
  for (i in 1:2) for (j in 1:3) m[i, j] ~ normal(10 * i + j, 0.1 * j);
  s ~ dirichlet([2, 3, 5]');
  mu ~ exponential(1);
  y ~ normal(mu, 1);
}
"""


@pytest.mark.slow
def test_models_of_bridgestan_are_fitted(tmp_path):
    bridgestan = pytest.importorskip("bridgestan")
    path = tmp_path / "program.stan"
    path.write_text(PROGRAM)
    try:
        library = bridgestan.compile_model(path)
    except (OSError, RuntimeError, ValueError) as error:
        pytest.skip(f"BridgeStan cannot compile here: {error}")
    y = np.array([2.0, 3.5, 2.5, 4.0])
    model = bridgestan.StanModel(library, {"N": 4, "y": y.tolist()})
    posterior = tff.fit_posterior(model, seed=0, verbose=0)
    assert posterior.report.verdict != "not reliable"
    means = {"m": [[11.0, 12.0, 13.0], [21.0, 22.0, 23.0]], "s": [0.2, 0.3, 0.5]}
    shares = np.array(means["s"])
    deviations = {"m": [[0.1, 0.2, 0.3]] * 2, "s": np.sqrt(shares * (1.0 - shares) / 11.0)}
    draws = posterior.resample(4000, seed=1)
    check_moments(draws, means, deviations)
    np.testing.assert_allclose(tf.reduce_sum(draws["s"], axis=-1), 1.0, rtol=1e-12)
    again = {name: tf.constant(part.numpy()) for name, part in draws.items()}
    own = posterior.distribution.log_prob(posterior.support.inverse(again))
    # The Jacobians of a Dirichlet's K - 1 shares and of an exponential.
    log_det = tf.reduce_sum(tf.math.log(again["s"]), axis=-1) + tf.math.log(again["mu"])
    np.testing.assert_allclose(posterior.log_prob(again), own - log_det, atol=1e-8)
    # By quadrature over mu, since the other parts are their priors.
    mu = np.linspace(1e-6, 12.0, 100_001)
    likelihood = scipy.stats.norm(mu[:, None], 1.0).pdf(y).prod(axis=1) * np.exp(-mu)
    evidence = np.log(scipy.integrate.trapezoid(likelihood, mu))
    assert abs(posterior.report.log_evidence - evidence) < 0.02
