"""What base classes make of any bijector: stock methods, distributions, refusals."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from random_weights import randomize
from slow_cases import representatives
from subject import ALL_CASES
from subject import CONDITIONAL
from subject import close
from subject import differ
from subject import subject_of

tfb = tfp.bijectors


@pytest.fixture(params=representatives(ALL_CASES))
def subject(request):
    return subject_of(request.param)


@pytest.fixture(params=representatives(CONDITIONAL))
def conditional(request):
    return subject_of(request.param)


@pytest.fixture(params=representatives([n for n in ALL_CASES if n not in CONDITIONAL]))
def unconditional(request):
    return subject_of(request.param)


def check_stock_methods(subject, bijector, context):
    close(bijector.forward(subject.z, **context), subject.x)
    close(bijector.inverse(subject.x, **context), subject.z)
    forward = bijector.forward_log_det_jacobian(subject.z, **context)
    close(forward, subject.forward_log_det)
    inverse = bijector.inverse_log_det_jacobian(subject.x, **context)
    close(inverse, subject.inverse_log_det)


def test_four_stock_methods_agree(subject):
    check_stock_methods(subject, subject.bijector, subject.context)


def test_stock_chain_agrees(subject):
    check_stock_methods(subject, tfb.Chain([subject.bijector]), subject.chain_context)


def test_stock_invert_agrees(subject):
    twice = tfb.Invert(tfb.Invert(subject.bijector))
    check_stock_methods(subject, twice, subject.context)
    once = tfb.Invert(subject.bijector)
    close(once.forward(subject.x, **subject.context), subject.z)


def test_stock_distributions_agree(subject):
    axes = tuple(range(1, subject.z.ndim))
    normal = np.sum(-0.5 * subject.z**2 - 0.5 * np.log(2 * np.pi), axis=axes)
    for log_prob in subject.log_probs.values():
        close(log_prob(subject.x), normal + subject.inverse_log_det)


@pytest.mark.parametrize("batch_shape", [(), (2, 3), (0,)])
def test_log_prob_for_every_batch_rank(subject, batch_shape):
    x, context = subject.case.points(batch_shape), subject.case.context(batch_shape)
    assert subject.flow.log_prob(x, **context).shape == batch_shape


def test_sample_and_log_prob_agrees_with_log_prob(subject):
    y, log_prob = subject.flow.sample_and_log_prob(seed=1, **subject.context)
    close(subject.flow.log_prob(y.numpy(), **subject.context), log_prob)


def test_stock_sample_and_log_prob_agrees_with_log_prob(subject):
    y, log_prob = subject.stock.experimental_sample_and_log_prob(
        7, seed=1, **subject.stock_context
    )
    close(subject.flow.log_prob(y.numpy(), **subject.context), log_prob)


def test_larger_event_ndims_sum_the_log_det(subject):
    b = subject.bijector
    forward = b.forward_log_det_jacobian(
        subject.z, event_ndims=b.forward_min_event_ndims + 1, **subject.context
    )
    inverse = b.inverse_log_det_jacobian(
        subject.x, event_ndims=b.inverse_min_event_ndims + 1, **subject.context
    )
    close(forward, np.sum(subject.forward_log_det))
    close(inverse, np.sum(subject.inverse_log_det))


def test_rows_are_independent(subject):
    for log_prob, context in (
        (subject.flow.log_prob, subject.context),
        (subject.stock.log_prob, subject.stock_context),
    ):
        together = log_prob(subject.x, **context)
        one_row = tf.nest.map_structure(lambda c: c[2:3], context)
        close(log_prob(subject.x[2:3], **one_row)[0], together[2])


def test_log_probs_trace_with_a_batch_of_unknown_length_and_by_xla(subject):
    size = subject.case.context_size
    signature = [tf.TensorSpec([None, *subject.x.shape[1:]], tf.float64)]
    signature += [tf.TensorSpec([None, size], tf.float64)] if size else []

    def flow(x, *context):
        return subject.flow.log_prob(x, **dict(zip(["context"], context, strict=False)))

    graph = tf.function(flow, autograph=False, input_signature=signature)
    x, expected = subject.x, subject.flow.log_prob(subject.x, **subject.context)
    close(graph(x, *subject.context.values()), expected)
    xla = tf.function(subject.log_probs["stock"], autograph=False, jit_compile=True)
    close(xla(x), expected)


@pytest.mark.parametrize("name", representatives(ALL_CASES))
def test_float32_round_trip(name):
    case = ALL_CASES[name]
    b = randomize(case.build("float32"))
    x, context = case.points((7,)).astype(np.float32), case.context((7,))
    context = {k: v.astype(np.float32) for k, v in context.items()}
    z, log_det = b.inverse_and_log_det(x, **context)
    assert z.dtype == log_det.dtype == tf.float32
    y = b.forward_and_log_det(z.numpy(), **context)[0]
    close(y, x, 1e-3)  # drawn weights may stretch a direction ten thousand times


def test_context_matters(conditional):
    base = conditional.log_probs["flow"](conditional.x)
    other = conditional.context["context"] + 1.0
    assert differ(conditional.flow.log_prob(conditional.x, context=other), base)


def test_one_context_broadcasts_over_the_batch(conditional):
    context = conditional.context["context"]
    one = conditional.bijector.inverse_and_log_det(conditional.x, context=context[0])
    same = np.broadcast_to(context[0], context.shape)
    all_rows = conditional.bijector.inverse_and_log_det(conditional.x, context=same)
    close(one[0], all_rows[0])
    close(one[1], all_rows[1])


def test_missing_context_is_refused(conditional):
    for method in (
        conditional.flow.log_prob,
        conditional.stock.log_prob,
        conditional.log_probs["stock of chain"].func,
        conditional.bijector.inverse,
    ):
        with pytest.raises(ValueError, match=r"`context` of shape .*got None"):
            method(conditional.x)


def test_context_of_another_width_is_refused(conditional):
    width = conditional.case.context_size
    wrong = np.zeros([7, width + 1])
    message = rf"`context` of shape \[\.\.\., {width}\].*\(7, {width + 1}\)"
    with pytest.raises(ValueError, match=message):
        conditional.flow.log_prob(conditional.x, context=wrong)


def test_misspelt_context_is_refused(conditional):
    context = conditional.context["context"]
    with pytest.raises(TypeError, match="contxt"):
        conditional.flow.log_prob(conditional.x, contxt=context)
    with pytest.raises(TypeError, match="contxt"):
        conditional.stock.log_prob(conditional.x, bijector_kwargs={"contxt": context})
    with pytest.raises(TypeError, match="contxt"):
        conditional.flow.sample(2, contxt=context)


def test_unwanted_context_is_refused(unconditional):
    x, context = unconditional.x, np.zeros([7, 2])
    with pytest.raises(ValueError, match=r"no `context`.*\(7, 2\)"):
        unconditional.flow.log_prob(x, context=context)
    with pytest.raises(ValueError, match=r"no `context`.*\(7, 2\)"):
        unconditional.stock.log_prob(x, bijector_kwargs={"context": context})
