"""Markov chains that check a posterior: which of their draws count."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from tfp_flows.distributions.flow_distribution import FlowDistribution
from tfp_flows.inference.checks.chains import CheckChains
from tfp_flows.inference.modes import Gaussian
from tfp_flows.inference.support import JointSupport
from tfp_flows.inference.target import UnconstrainedDensity

tfb, tfd = tfp.bijectors, tfp.distributions
NUM_FAR, NUM_CHAINS = 3, 8


def test_draws_on_the_way_from_far_out_do_not_count():
    """Steps of unit scale along a slope of 1 do not arrive from 1e30 scales away."""
    laplace = tfd.Independent(tfd.Laplace(np.zeros(2), 1.0), 1)
    support = JointSupport.from_shape(2, None, tf.float64)
    density = UnconstrainedDensity(laplace.log_prob, support)
    runner = CheckChains(density, FlowDistribution(laplace, tfb.Identity()))
    starts = np.zeros([NUM_CHAINS, 2])
    starts[:NUM_FAR] = 1e30
    proposals = np.zeros([50, NUM_CHAINS, 2])
    # Ratios are all 0: each proposal is taken, but for those of the first chain.
    ratios = np.zeros(proposals.shape[:2])
    ratios[:, 0] = -np.inf
    standard = Gaussian(np.zeros(2), np.eye(2))
    chains = runner.run(starts, standard, proposals, ratios, 0, NUM_FAR)
    assert (np.abs(chains.draws[0, :NUM_FAR]) > 1e3).all()
    np.testing.assert_array_equal(chains.jumps, np.arange(NUM_CHAINS) > 0)
    expected = np.ones(proposals.shape[:2], bool)
    expected[0, 1:NUM_FAR] = False
    np.testing.assert_array_equal(chains.is_settled, expected)
