"""`lower_normal_quantile` beside SciPy's, and noise of the smallest tails."""

import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from tfp_flows.distributions import draws
from tfp_flows.distributions.draws import lower_normal_quantile


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 2e-6), ("float64", 1e-13)])
def test_quantile_is_exact_down_to_the_smallest_tails(dtype, tolerance, jit_compile):
    p = np.concatenate([[0.5 * 2.0**-32, 0.5], np.geomspace(1e-10, 0.5, 10_001)[:-1]])
    p = p.astype(dtype)
    compiled = tf.function(lower_normal_quantile, jit_compile=jit_compile)
    expected = scipy.special.ndtri(p.astype(np.float64))
    np.testing.assert_allclose(
        compiled(tf.constant(p)), expected, rtol=tolerance, atol=1e-9
    )


@pytest.mark.parametrize("jit_compile", [False, True])
def test_noise_of_the_rarest_bits_is_finite(jit_compile, monkeypatch):
    bits = np.array([0, 1, 2**31 - 1, -(2**31), -1], np.int32)
    monkeypatch.setattr(draws, "_bits", lambda shape, seed: tf.constant(bits))
    draw = tf.function(
        lambda: draws.normal([5], (0, 0), tf.float32), jit_compile=jit_compile
    )
    np.testing.assert_allclose(draw(), [6.337958, 6.16643, 0.0, -6.337958, 0.0], atol=1e-5)
