"""Transformers of the former protocol, whose parameters came in a row: all are refused."""

import pytest
import tensorflow as tf

import tfp_flows as tff


class Former:
    """A transformer of the former protocol."""

    num_parameters = 2
    forward_and_log_det = inverse_and_log_det = lambda self, x, parameters: None


class FlatAffine(tff.Affine):
    """One that is a `Transformer` and still takes the numbers in a row."""

    def forward_and_log_det(self, x, parameters):
        shift, log_scale = tf.split(parameters, 2, axis=-1)
        return x * tf.exp(log_scale) + shift, log_scale

    inverse_and_log_det = forward_and_log_det


class Without(tff.Shift):
    num_parameters = None


STEPS = {
    "flow": lambda t: tff.RealNVP(4, transformer=t),
    "coupling": lambda t: tff.Coupling([True, False], lambda x, context: x, t),
    "masked": lambda t: tff.MaskedAutoregressive(2, lambda x, context: x, t),
    "inverse": lambda t: tff.InverseAutoregressive(2, lambda x, context: x, t),
    "channels": lambda t: tff.ChannelAffine(2, transformer=t, event_ndims=1),
}


@pytest.mark.parametrize("step", STEPS)
def test_former_transformers_are_refused_with_what_has_changed(step):
    message = (
        r"tfp_flows.Transformer.*`Former` a sub.*now of shape \[\.\.\., P, D\].*P \* D"
    )
    with pytest.raises(ValueError, match=message):
        STEPS[step](Former())
    with pytest.raises(ValueError, match="`num_parameters`.*None"):
        STEPS[step](Without())


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
