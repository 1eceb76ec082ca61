import numpy as np
import pytest

import tfp_flows as tff


def test_nice_on_mnist_has_the_bits_that_others_quote_of_it():
    # 1980.50 nats on data scaled to [0, 1] are quoted as 4.36 bits per dimension; 5371.78
    # nats on CIFAR-10 scaled to [-1, 1], as 4.48.
    mnist = tff.bits_per_dimension(1980.50, 28 * 28, bins_per_unit=256)
    cifar = tff.bits_per_dimension(5371.78, 32 * 32 * 3, bins_per_unit=128)
    assert round(mnist.bits, 2) == 4.36
    assert round(cifar.bits, 2) == 4.48


def test_mean_and_error_are_those_of_the_rows_in_bits():
    rows = np.random.default_rng(0).normal(3.0, 2.0, size=400)
    result = tff.bits_per_dimension(rows, 10, bins_per_unit=32)
    bits = 5.0 - rows / (10 * np.log(2.0))
    assert result.bits == pytest.approx(bits.mean())
    assert result.two_standard_errors == pytest.approx(2 * bits.std(ddof=1) / 20)


def test_result_holds_all_that_its_bits_come_from():
    result = tff.bits_per_dimension([1.0, 2.0], 5, bins_per_unit=256)
    nats = result.event_size * np.log(2.0)
    again = np.log2(result.bins_per_unit) - result.log_density / nats
    assert result.bits == pytest.approx(again)
    assert result.num_rows == 2
    assert "bits per dimension" in str(result)
