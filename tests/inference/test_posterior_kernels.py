"""Markov chains with local and global steps through a flow, against exact moments."""

import functools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from random_weights import randomize

import tfp_flows as tff

tfd = tfp.distributions
TINY = {"num_steps": 1, "hidden_units": (4,), "seed": 0, "whiten": False}
KERNELS = {"neutra": tff.neutra_kernel, "proposals": tff.flow_proposal_kernel}
NORMAL = tfd.MultivariateNormalDiag([1.0, -2.0], [1.0, 0.2])
WIDE = tfd.MultivariateNormalDiag([0.5, -1.8], [1.5, 0.5])


def gamma_and_noise(dtype=tf.float32):
    def model():
        rate = yield tfd.Gamma(tf.constant(4.0, dtype), 2.0, name="rate")
        yield tfd.Sample(tfd.Normal(0.0 * rate, 1.0), 2, name="noise")

    return tfd.JointDistributionCoroutineAutoBatched(model)


@functools.cache
def built(dtype=tf.float32):
    """A target and a posterior of random weights, which is far from it."""
    target = gamma_and_noise(dtype)
    return target, randomize(tff.flow_posterior(target, "real_nvp", **TINY), stddev=0.3)


def hamiltonian(log_prob):
    return tfp.mcmc.HamiltonianMonteCarlo(log_prob, 0.3, num_leapfrog_steps=4)


def sample(kernel, start, *, num_draws=150, burn_in=60, jit_compile=False):
    @functools.partial(tf.function, jit_compile=jit_compile, autograph=False)
    def run(seed):
        return tfp.mcmc.sample_chain(
            num_draws,
            start,
            kernel=kernel,
            num_burnin_steps=burn_in,
            trace_fn=lambda _, results: results,
            seed=seed,
        )

    draws, results = run(tf.constant([1, 2]))
    again, _ = run(tf.constant([1, 2]))
    tf.nest.map_structure(np.testing.assert_array_equal, draws, again)
    return draws, results


def check_moments(rate, noise):
    assert np.mean(rate) == pytest.approx(2.0, abs=0.06)
    assert np.std(rate) == pytest.approx(1.0, abs=0.07)
    np.testing.assert_allclose(np.mean(noise, axis=(0, 1)), 0.0, atol=0.06)
    np.testing.assert_allclose(np.std(noise, axis=(0, 1)), 1.0, atol=0.06)


@pytest.mark.slow_ids("*-False", "proposals-True")
@pytest.mark.parametrize("precondition", [True, False])
@pytest.mark.parametrize("kernel", KERNELS)
def test_chains_reach_the_target_whatever_the_flow(kernel, precondition):
    target, posterior = built()
    kernel = KERNELS[kernel](
        target.log_prob, posterior, make_kernel=hamiltonian, precondition=precondition
    )
    start = posterior.sample(100, seed=3)
    draws, _ = sample(kernel, start)
    tf.nest.assert_same_structure(draws, start)
    check_moments(draws.rate, draws.noise)


@pytest.mark.slow
def test_adaptive_nuts_with_xla_in_float64():
    target, posterior = built(tf.float64)
    make_kernel = functools.partial(tff.inference.adaptive_nuts, num_adaptation_steps=50)
    kernel = tff.neutra_kernel(target.log_prob, posterior, make_kernel=make_kernel)
    draws, results = sample(kernel, posterior.sample(60, seed=3), jit_compile=True)
    assert draws.rate.dtype == tf.float64
    check_moments(draws.rate, draws.noise)
    adapted = results.inner_results
    step_sizes = adapted.new_step_size.numpy()
    assert np.ptp(step_sizes) == 0.0
    assert step_sizes[0] > 0.2  # it began at 0.1
    assert adapted.inner_results.leapfrogs_taken.shape == (150, 60)


def two_modes():
    """A target whose modes are 16 deviations apart, and a posterior that covers both."""
    modes = tfd.Normal([-4.0, 4.0], 0.5)
    target = tfd.MixtureSameFamily(tfd.Categorical(probs=[0.3, 0.7]), modes)
    wide = tfd.MultivariateNormalDiag([0.0], [5.0])
    flow = tff.FlowDistribution(wide, tff.FlowChain([tff.ActNorm(1)]))
    return target, tff.inference.FlowPosterior(flow, tfp.bijectors.Reshape([], [1]))


@pytest.mark.slow
@pytest.mark.parametrize("precondition", [True, False])
def test_global_proposals_mix_modes_that_local_chains_do_not(precondition):
    target, posterior = two_modes()
    start = tf.fill([400], -4.0)
    options = {"make_kernel": hamiltonian, "precondition": precondition}
    local = tff.neutra_kernel(target.log_prob, posterior, **options)
    draws, _ = sample(local, start)
    assert draws.numpy().max() < 0.0
    kernel = tff.flow_proposal_kernel(target.log_prob, posterior, **options)
    draws, results = sample(kernel, start, jit_compile=precondition)
    assert np.mean(draws > 0.0) == pytest.approx(0.7, abs=0.03)
    assert draws[draws > 0.0].numpy().std() == pytest.approx(0.5, abs=0.02)
    # Acceptance of an independence sampler, by Monte Carlo.
    x, y = target.sample(20000, seed=1), 5.0 * np.random.default_rng(0).normal(size=20000)
    wide = tfd.Normal(0.0, 5.0)
    log_weights = [target.log_prob(v) - wide.log_prob(v) for v in (x, np.float32(y))]
    expected = np.exp(np.minimum(log_weights[1] - log_weights[0], 0.0)).mean()
    results = results.inner_results
    assert np.mean(results.global_acceptance) == pytest.approx(expected, abs=0.02)
    assert 0.5 < np.mean(results.local_acceptance) <= 1.0


@pytest.mark.slow
def test_several_steps_of_each_go_nowhere_where_the_target_is_not_finite():
    target, posterior = two_modes()
    kernel = tff.flow_proposal_kernel(
        lambda x: tf.where(x > 0.0, np.nan, target.log_prob(x)),
        posterior,
        make_kernel=lambda f: tfp.mcmc.SimpleStepSizeAdaptation(hamiltonian(f), 50),
        num_local_steps=2,
        num_global_steps=3,
    )
    draws, results = sample(kernel, tf.fill([20], -4.0), num_draws=100)
    assert np.max(draws) <= 0.0
    assert np.std(draws) == pytest.approx(0.5, abs=0.1)
    results = results.inner_results
    assert results.inner_results.step[-1].numpy() == 2 * 160  # every local step counts
    assert results.global_acceptance.shape == (100, 20)
    assert np.isfinite(results.global_acceptance).all()


LOCAL = {
    "langevin": lambda f: tfp.mcmc.MetropolisAdjustedLangevinAlgorithm(f, 0.02),
    "hamiltonian": lambda f: tfp.mcmc.HamiltonianMonteCarlo(
        f, 0.1, 3, store_parameters_in_results=True
    ),
    "slice": lambda f: tfp.mcmc.SliceSampler(f, 0.5, 4),
    "adapted": lambda f: tfp.mcmc.DualAveragingStepSizeAdaptation(
        tfp.mcmc.TransformedTransitionKernel(
            tfp.mcmc.HamiltonianMonteCarlo(f, 1.0, 3), tfp.bijectors.Scale(3.0)
        ),
        60,
    ),
}


def alternating(name):
    proposals = tff.inference.independent_proposals(NORMAL.log_prob, WIDE)
    return tff.inference.AlternatingKernel(LOCAL[name](NORMAL.log_prob), proposals)


@pytest.mark.slow
@pytest.mark.parametrize("name", LOCAL)
def test_any_local_kernel_leaves_the_target_as_it_is(name):
    start = WIDE.sample([4, 10], seed=3)
    draws, results = sample(alternating(name), start, num_draws=300, burn_in=100)
    rows = draws.numpy().reshape(-1, 2)
    np.testing.assert_allclose(rows.mean(axis=0), [1.0, -2.0], atol=0.06)
    np.testing.assert_allclose(rows.std(axis=0), [1.0, 0.2], rtol=0.08)
    # The results are those of the returned state.
    known = results.global_results.accepted_results.target_log_prob
    np.testing.assert_allclose(known, NORMAL.log_prob(draws), rtol=1e-4, atol=1e-4)
    assert results.global_acceptance.shape == (300, 4, 10)
    assert np.isnan(results.local_acceptance).all() == (name == "slice")
    if name == "adapted":
        step_size = results.inner_results.new_step_size.numpy()
        assert np.ptp(step_size) == 0.0  # adaptation has ended
        assert step_size[-1] < 0.3


def test_both_kernels_step_in_float64_in_a_graph():
    normal = tfd.MultivariateNormalDiag(tf.zeros(2, tf.float64))
    kernel = tff.inference.AlternatingKernel(
        tfp.mcmc.RandomWalkMetropolis(normal.log_prob),
        tff.inference.independent_proposals(normal.log_prob, normal),
    )

    @tf.function
    def step(state):
        return kernel.one_step(state, kernel.bootstrap_results(state), seed=(1, 2))

    state, results = step(tf.zeros([3, 2], tf.float64))
    assert state.dtype == tf.float64
    np.testing.assert_array_equal(results.global_acceptance, np.ones(3))


def test_local_results_are_those_of_the_state_that_a_global_step_left():
    kernel = alternating("hamiltonian")
    start = WIDE.sample(400, seed=3)
    state, results = kernel.one_step(start, kernel.bootstrap_results(start), seed=(1, 2))
    assert 0 < results.global_results.is_accepted.numpy().sum() < 400
    state, results = kernel.one_step(state, results, seed=(3, 4))
    # A local step that kept its state reports the log-density of that state.
    local = results.inner_results
    stays = ~local.is_accepted.numpy() & ~results.global_results.is_accepted.numpy()
    assert stays.sum() > 0
    found = local.accepted_results.target_log_prob.numpy()[stays]
    np.testing.assert_allclose(found, NORMAL.log_prob(state).numpy()[stays], rtol=1e-5)


def test_stock_wrappers_that_would_change_one_target_alone_refuse_both_kernels():
    kernel = alternating("hamiltonian")
    with pytest.raises(ValueError, match="target_log_prob_fn"):
        tfp.mcmc.TransformedTransitionKernel(kernel, tfp.bijectors.Scale(2.0))


@pytest.mark.parametrize("shape", [(), (300,)])
def test_proposals_alone_are_exact_for_any_batch_of_chains(shape):
    kernel = tff.inference.independent_proposals(NORMAL.log_prob, WIDE)
    draws, results = sample(kernel, tf.zeros([*shape, 2]), num_draws=30, burn_in=30)
    assert kernel.is_calibrated
    assert results.is_accepted.shape == draws.shape[:-1]
    if shape:
        rows = draws.numpy().reshape(-1, 2)
        np.testing.assert_allclose(rows.mean(axis=0), [1.0, -2.0], atol=0.1)
        np.testing.assert_allclose(rows.std(axis=0), [1.0, 0.2], rtol=0.1)
