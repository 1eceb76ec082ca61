"""The mathematics that every bijector and flow must get right, in float64."""

import json

import numpy as np
import pytest
import tensorflow as tf
from slow_cases import representatives
from subject import ALL_CASES, CONDITIONAL, close, differ, subject_of

from tfp_flows.core.serialization import deserialize, serialize

BATCH_SHAPES = [(), (2, 3), (0,)]


@pytest.fixture(params=ALL_CASES)
def subject(request):
    return subject_of(request.param)


@pytest.fixture(params=representatives(ALL_CASES))
def representative(request):
    return subject_of(request.param)


@pytest.fixture(params=CONDITIONAL)
def conditional(request):
    return subject_of(request.param)


@pytest.mark.usefixtures("op_by_op")
def test_round_trips_through_numpy_and_is_not_the_identity(subject):
    close(subject.y, subject.x)
    close(subject.inverse(subject.y)[0], subject.z)
    assert subject.z.shape != subject.x.shape or differ(subject.z, subject.x)


def test_log_dets_are_those_of_autodiff(subject):
    inverse, forward = subject.answers
    close(subject.inverse_log_det, np.linalg.slogdet(inverse["jacobian"])[1])
    close(subject.forward_log_det, np.linalg.slogdet(forward["jacobian"])[1])
    close(subject.forward_log_det, -subject.inverse_log_det)


def test_every_weight_has_a_gradient_in_both_directions(subject):
    weights = subject.bijector.trainable_variables
    for answers in subject.answers:
        for gradient, weight in zip(answers["gradients"], weights, strict=True):
            assert gradient is not None, weight.name
            assert np.isfinite(gradient).all(), weight.name
            assert np.any(gradient != 0), weight.name


@pytest.mark.usefixtures("op_by_op")
def test_rows_are_independent(subject):
    context = {name: value[2:3] for name, value in subject.context.items()}
    inverse = subject.derivatives_of_inverse(subject.x[2:3], **context)
    forward = subject.derivatives_of_forward(subject.z[2:3], **context)
    for one, together in zip((inverse, forward), subject.answers, strict=True):
        for key in ("value", "log_det", "jacobian"):
            close(one[key][0], together[key][2])


@pytest.mark.slow_ids("chain_nested", "glow_step")
def test_eager_graph_and_xla_agree(representative):
    subject = representative

    @tf.function(autograph=False)
    def by_graph():
        inverse = subject.derivatives_of_inverse(subject.x)
        return inverse, subject.derivatives_of_forward(subject.z)

    @tf.function(autograph=False, jit_compile=True)
    def by_xla(x, z):
        return *subject.inverse(x), *subject.forward(z)

    for eager, graph in zip(subject.answers, by_graph(), strict=True):
        for a, b in zip(tf.nest.flatten(eager), tf.nest.flatten(graph), strict=True):
            close(b, a)
    eager = [answers[key] for answers in subject.answers for key in ("value", "log_det")]
    for a, b in zip(eager, by_xla(subject.x, subject.z), strict=True):
        close(b, a)


@pytest.mark.parametrize("batch_shape", BATCH_SHAPES)
def test_shapes_for_every_batch_rank(representative, batch_shape):
    subject = representative
    x, context = subject.case.points(batch_shape), subject.case.context(batch_shape)
    z, inverse_log_det = subject.bijector.inverse_and_log_det(x, **context)
    y, forward_log_det = subject.bijector.forward_and_log_det(z.numpy(), **context)
    assert inverse_log_det.shape == forward_log_det.shape == batch_shape
    assert z.shape == (*batch_shape, *subject.z.shape[1:])
    assert y.shape == x.shape
    close(y, x)


@pytest.mark.usefixtures("op_by_op")
def test_context_matters(conditional):
    other = {"context": conditional.context["context"] + 1.0}
    bijector = conditional.bijector
    assert differ(bijector.inverse(conditional.x, **other), conditional.z)
    assert differ(bijector.forward(conditional.z, **other), conditional.x)


@pytest.mark.usefixtures("op_by_op")
def test_plain_data_rebuilds_the_bijector(subject):
    b = subject.bijector
    rebuilt = deserialize(json.loads(json.dumps(serialize(b))))
    assert type(rebuilt) is type(b)
    for new, old in zip(rebuilt.variables, b.variables, strict=True):
        for attribute in ("shape", "dtype", "trainable"):
            assert getattr(new, attribute) == getattr(old, attribute)
        new.assign(old)
    inverse, forward = subject.answers
    for method, point, expected in (
        (rebuilt.inverse_and_log_det, subject.x, inverse),
        (rebuilt.forward_and_log_det, subject.z, forward),
    ):
        value, log_det = method(point, **subject.context)
        close(value, expected["value"])
        close(log_det, expected["log_det"])
