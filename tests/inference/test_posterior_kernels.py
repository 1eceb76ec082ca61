"""`neutra_kernel` and `flow_proposal_kernel` against exact moments, in every structure."""

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


def coroutine(dtype=tf.float32):
    def model():
        rate = yield tfd.Gamma(tf.constant(4.0, dtype), 2.0, name="rate")
        yield tfd.Sample(tfd.Normal(0.0 * rate, 1.0), 2, name="noise")

    return tfd.JointDistributionCoroutineAutoBatched(model)


def sequential():
    return tfd.JointDistributionSequential(
        [tfd.Gamma(4.0, 2.0), lambda r: tfd.Sample(tfd.Normal(0.0 * r, 1.0), 2)]
    )


def named():
    noise = tfd.Sample(tfd.Normal(0.0, 1.0), 2)
    return tfd.JointDistributionNamed({"noise": noise, "rate": tfd.Gamma(4.0, 2.0)})


TARGETS = {"coroutine": coroutine, "sequential": sequential, "named": named}


@functools.cache
def built(name):
    """A target and a posterior of random weights, that is far from it."""
    target = TARGETS[name]()
    return target, randomize(tff.flow_posterior(target, "real_nvp", **TINY), stddev=0.3)


def hamiltonian(log_prob):
    return tfp.mcmc.HamiltonianMonteCarlo(log_prob, 0.3, num_leapfrog_steps=4)


def sample(kernel, start, *, num_draws=150, jit_compile=False, trace=None):
    @functools.partial(tf.function, jit_compile=jit_compile, autograph=False)
    def run(seed):
        return tfp.mcmc.sample_chain(
            num_draws,
            start,
            kernel=kernel,
            num_burnin_steps=60,
            trace_fn=trace or (lambda _, results: results.inner_results),
            seed=seed,
        )

    return run(tf.constant([1, 2]))


def check_moments(rate, noise):
    assert rate.mean() == pytest.approx(2.0, abs=0.06)
    assert rate.std() == pytest.approx(1.0, abs=0.07)
    np.testing.assert_allclose(noise.mean(axis=(0, 1)), 0.0, atol=0.06)
    np.testing.assert_allclose(noise.std(axis=(0, 1)), 1.0, atol=0.06)


@pytest.mark.slow_ids(
    "coroutine-neutra-False",
    "coroutine-proposals-False",
    "coroutine-proposals-True",
    "sequential-proposals-True",
)
@pytest.mark.parametrize(
    ("name", "kernel", "precondition"),
    [
        *(("coroutine", kernel, flag) for kernel in KERNELS for flag in (True, False)),
        ("sequential", "proposals", True),
        ("named", "proposals", True),
    ],
)
def test_chains_reach_the_target_whatever_the_flow(name, kernel, precondition):
    target, posterior = built(name)
    kernel = KERNELS[kernel](
        target.log_prob, posterior, make_kernel=hamiltonian, precondition=precondition
    )
    start = posterior.sample(100, seed=3)
    draws, _ = sample(kernel, start)
    tf.nest.assert_same_structure(draws, start)
    parts = dict(zip(*map(tf.nest.flatten, (_names(name), draws)), strict=True))
    check_moments(parts["rate"].numpy(), parts["noise"].numpy())


def _names(name):
    # Dictionaries are flattened in the order of their sorted keys.
    return {"named": ["noise", "rate"]}.get(name, ["rate", "noise"])


@pytest.mark.slow
def test_adaptive_nuts_with_xla_in_float64():
    target = coroutine(tf.float64)
    posterior = randomize(tff.flow_posterior(target, "real_nvp", **TINY), stddev=0.3)
    make_kernel = functools.partial(tff.inference.adaptive_nuts, num_adaptation_steps=50)
    kernel = tff.neutra_kernel(target.log_prob, posterior, make_kernel=make_kernel)
    draws, results = sample(kernel, posterior.sample(60, seed=3), jit_compile=True)
    assert draws.rate.dtype == tf.float64
    check_moments(draws.rate.numpy(), draws.noise.numpy())
    step_sizes = results.new_step_size.numpy()
    assert np.ptp(step_sizes) == 0.0
    assert step_sizes[0] > 0.2  # where it began at 0.1
    assert results.inner_results.leapfrogs_taken.shape == (150, 60)


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
    # Acceptance of an independence sampler, by quadrature-free Monte Carlo.
    x, y = target.sample(20000, seed=1), 5.0 * np.random.default_rng(0).normal(size=20000)
    wide = tfd.Normal(0.0, 5.0)
    log_weights = [target.log_prob(v) - wide.log_prob(v) for v in (x, np.float32(y))]
    expected = np.exp(np.minimum(log_weights[1] - log_weights[0], 0.0)).mean()
    assert np.mean(results.global_acceptance) == pytest.approx(expected, abs=0.02)
    assert 0.5 < np.mean(results.local_acceptance) <= 1.0


def test_several_steps_of_each_and_seeds_that_reproduce():
    target, posterior = two_modes()
    kernel = tff.flow_proposal_kernel(
        target.log_prob,
        posterior,
        make_kernel=lambda f: tfp.mcmc.SimpleStepSizeAdaptation(hamiltonian(f), 50),
        num_local_steps=2,
        num_global_steps=3,
    )
    start = posterior.sample(6, seed=3)
    first, results = sample(kernel, start, num_draws=5)
    again, _ = sample(kernel, start, num_draws=5)
    np.testing.assert_array_equal(first, again)
    assert np.ptp(first) > 1.0
    assert results.inner_results.step[-1].numpy() == 2 * 65  # local ones, all counted
    assert results.global_acceptance.shape == (5, 6)


def test_where_the_target_is_not_finite_no_chain_goes():
    target, posterior = two_modes()

    def log_prob(x):
        return tf.where(x > 0.0, np.nan, target.log_prob(x))

    kernel = tff.flow_proposal_kernel(log_prob, posterior, make_kernel=hamiltonian)
    draws, results = sample(kernel, tf.fill([10], -4.0), num_draws=100)
    assert draws.numpy().max() <= 0.0
    assert draws.numpy().std() == pytest.approx(0.5, abs=0.1)
    assert np.isfinite(results.global_acceptance).all()
