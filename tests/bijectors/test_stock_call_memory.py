import concurrent.futures
import sys
import time

import numpy as np
import tensorflow_probability as tfp
from random_weights import randomize

import tfp_flows as tff

tfd = tfp.distributions


def _pause_between_lines(frame, event, arg):
    """A tracing function: other threads run between any two lines of the memory."""
    if not frame.f_code.co_filename.endswith("stock_call_memory.py"):
        return None
    if event == "line":
        time.sleep(1e-4)
    return _pause_between_lines


def test_stock_densities_of_many_threads_are_those_of_one():
    flow = tff.RealNVP(2, num_steps=1, hidden_units=(4,), seed=0)
    randomize(flow)
    base = tfd.MultivariateNormalDiag(np.zeros(2, np.float32))
    stock = tfd.TransformedDistribution(base, flow)
    points = np.random.default_rng(0).normal(size=(8, 4, 2)).astype(np.float32)
    expected = [stock.log_prob(x).numpy() for x in points]

    def log_prob(x):
        sys.settrace(_pause_between_lines)
        try:
            return stock.log_prob(x).numpy()
        finally:
            sys.settrace(None)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        densities = list(pool.map(log_prob, points))
    np.testing.assert_allclose(densities, expected, rtol=1e-6)
