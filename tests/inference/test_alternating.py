"""Local and global steps in turn: what the kernels are told of each other's moves."""

import functools

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import tfp_flows as tff

tfd = tfp.distributions
NORMAL = tfd.MultivariateNormalDiag([1.0, -2.0], [1.0, 0.2])
WIDE = tfd.MultivariateNormalDiag([0.5, -1.8], [1.5, 0.5])

LOCAL = {
    "langevin": lambda f: tfp.mcmc.MetropolisAdjustedLangevinAlgorithm(f, 0.02),
    "random_walk": tfp.mcmc.RandomWalkMetropolis,
    "hamiltonian": lambda f: tfp.mcmc.HamiltonianMonteCarlo(f, 0.1, 3),
    "stored": lambda f: tfp.mcmc.HamiltonianMonteCarlo(
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


def alternating(name, **counts):
    proposals = tff.inference.independent_proposals(NORMAL.log_prob, WIDE)
    return tff.inference.AlternatingKernel(
        LOCAL[name](NORMAL.log_prob), proposals, **counts
    )


def sample(kernel, start, num_draws, seed=(1, 2)):
    @functools.partial(tf.function, autograph=False)
    def run():
        return tfp.mcmc.sample_chain(
            num_draws,
            start,
            kernel=kernel,
            num_burnin_steps=100,
            trace_fn=lambda _, results: results,
            seed=seed,
        )

    return run()


@pytest.mark.slow_ids("hamiltonian", "langevin", "random_walk", "slice")
@pytest.mark.parametrize("name", sorted(LOCAL.keys() - {"stored"}))
def test_any_local_kernel_leaves_the_target_as_it_is(name):
    draws, results = sample(alternating(name), WIDE.sample([4, 10], seed=3), 300)
    rows = draws.numpy().reshape(-1, 2)
    np.testing.assert_allclose(rows.mean(axis=0), [1.0, -2.0], atol=0.06)
    np.testing.assert_allclose(rows.std(axis=0), [1.0, 0.2], rtol=0.08)
    # The results belong to the state that was drawn.
    known = results.global_results.accepted_results.target_log_prob
    np.testing.assert_allclose(known, NORMAL.log_prob(draws), rtol=1e-4, atol=1e-4)
    assert results.global_acceptance.shape == (300, 4, 10)
    assert np.isnan(results.local_acceptance).all() == (name == "slice")


def test_local_results_are_those_of_the_state_that_a_global_step_left():
    kernel = alternating("hamiltonian")
    start = WIDE.sample(50, seed=3)
    state, results = kernel.one_step(start, kernel.bootstrap_results(start), seed=(1, 2))
    moved = results.global_results.is_accepted.numpy()
    assert 0 < moved.sum() < 50
    state, results = kernel.one_step(state, results, seed=(3, 4))
    # A local step that kept its state reports the log-density of that state.
    local = results.inner_results
    stays = ~local.is_accepted.numpy() & ~results.global_results.is_accepted.numpy()
    assert stays.sum() > 0
    found = local.accepted_results.target_log_prob.numpy()[stays]
    np.testing.assert_allclose(found, NORMAL.log_prob(state).numpy()[stays], rtol=1e-5)


def test_adaptation_around_both_or_around_the_local_kernel_finds_its_step_size():
    start = WIDE.sample(40, seed=3)
    inside, results = sample(alternating("adapted"), start, 20)
    step_size = results.inner_results.new_step_size.numpy()
    assert np.ptp(step_size) == 0.0  # since it has ended
    assert step_size[-1] < 0.3
    around = tfp.mcmc.DualAveragingStepSizeAdaptation(alternating("stored"), 80)
    _, results = sample(around, start, 20)
    assert np.ptp(results.new_step_size) == 0.0
    used = results.inner_results.inner_results.accepted_results.step_size.numpy()
    np.testing.assert_allclose(used[-1], results.new_step_size[-1])
    assert 0.5 < results.inner_results.local_acceptance.numpy().mean() < 0.98


def test_stock_wrappers_that_would_change_one_target_alone_refuse_both_kernels():
    with pytest.raises(ValueError, match="target_log_prob_fn"):
        tfp.mcmc.TransformedTransitionKernel(
            alternating("hamiltonian"), tfp.bijectors.Scale(2.0)
        )


def test_proposals_alone_are_exact_for_any_batch_of_chains():
    kernel = tff.inference.independent_proposals(NORMAL.log_prob, WIDE)
    for shape in ((), (300,), (2, 50)):
        draws, results = sample(kernel, tf.zeros([*shape, 2]), 4000 // max(1, sum(shape)))
        assert results.is_accepted.shape == draws.shape[:-1]
        if shape:
            rows = draws.numpy().reshape(-1, 2)
            np.testing.assert_allclose(rows.mean(axis=0), [1.0, -2.0], atol=0.15)
    assert kernel.is_calibrated


def test_a_perfect_proposal_is_always_accepted():
    kernel = tff.inference.independent_proposals(lambda x: NORMAL.log_prob(x) + 3.0, NORMAL)
    _, results = sample(kernel, tf.zeros([10, 2]), 20)
    assert results.is_accepted.numpy().all()
