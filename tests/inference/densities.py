"""Densities on the unconstrained space, for tests of what searches and checks them."""

import tensorflow as tf

from tfp_flows.inference.support import JointSupport
from tfp_flows.inference.target import UnconstrainedDensity


def density(log_prob, size=2, dtype=tf.float64, support=None):
    """An `UnconstrainedDensity` from a function of points, `[N, size]`."""
    return UnconstrainedDensity(log_prob, JointSupport.from_shape(size, support, dtype))
