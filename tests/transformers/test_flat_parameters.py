"""Parameters that come in a row, `[..., P * D]`, are refused."""

import pytest
import tensorflow as tf

import tfp_flows as tff


class FlatAffine(tff.Affine):
    """A transformer that takes its parameters in a row."""

    def forward_and_log_det(self, x, parameters):
        shift, log_scale = tf.split(parameters, 2, axis=-1)
        return x * tf.exp(log_scale) + shift, log_scale

    inverse_and_log_det = forward_and_log_det


@pytest.mark.parametrize("rows", [1, 2, 5])
@pytest.mark.parametrize("size", [1, 2, 4])
def test_parameters_in_a_row_never_come_out_as_another_shape(rows, size):
    network = tff.MaskedMLP(2, (4,), tff.natural_ordering(size))
    masked = tff.MaskedAutoregressive(size, tff.Conditioner(network, size), FlatAffine())
    flow = tff.RealNVP(2 * size, transformer=FlatAffine(), num_steps=1)
    for step, width in ((masked, size), (flow, 2 * size)):
        with pytest.raises(ValueError):  # noqa: PT011  TensorFlow's or ours
            tf.function(step.inverse)(tf.zeros([rows, width]))
    with pytest.raises(ValueError, match=r"shape \[\.\.\., 2, D\] for `Affine`; got"):
        tff.Affine().forward_and_log_det(tf.zeros([3]), tf.zeros([3, 6]))
