"""The mathematics that every bijector and flow must get right, in float64."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from random_weights import randomize
from subject import ALL_CASES
from subject import CONDITIONAL
from subject import close
from subject import differ
from subject import subject_of

tfb = tfp.bijectors
BATCH_SHAPES = [(), (7,), (2, 3), (0,)]


@pytest.fixture(params=ALL_CASES)
def subject(request):
    return subject_of(request.param)


@pytest.fixture(params=CONDITIONAL)
def conditional(request):
    return subject_of(request.param)


def autodiff_log_det(method, points, context):
    """Log-det of the Jacobian; each row is repeated once for each of its outputs."""
    size = points[0].size
    repeated = tf.repeat(points, size, axis=0)
    context = {name: tf.repeat(value, size, axis=0) for name, value in context.items()}
    with tf.GradientTape() as tape:
        tape.watch(repeated)
        values = method(repeated, **context)[0]
    units = np.tile(np.eye(size), [len(points), 1]).reshape(values.shape)
    rows = tape.gradient(values, repeated, output_gradients=tf.constant(units))
    return np.linalg.slogdet(np.reshape(rows, [-1, size, size]))[1]


@pytest.mark.parametrize("batch_shape", BATCH_SHAPES)
def test_shapes_for_every_batch_rank(subject, batch_shape):
    x, context = subject.case.points(batch_shape), subject.case.context(batch_shape)
    z, inverse_log_det = subject.bijector.inverse_and_log_det(x, **context)
    y, forward_log_det = subject.bijector.forward_and_log_det(z.numpy(), **context)
    assert inverse_log_det.shape == forward_log_det.shape == batch_shape
    assert z.shape == (*batch_shape, *subject.z.shape[1:])
    assert y.shape == x.shape
    assert subject.flow.log_prob(x, **context).shape == batch_shape
    close(y, x)


def test_is_not_the_identity(subject):
    assert subject.z.shape != subject.x.shape or differ(subject.z, subject.x)


def test_round_trips_through_numpy(subject):
    y = subject.forward(subject.z)[0].numpy()
    close(y, subject.x)
    close(subject.inverse(y)[0], subject.z)


def test_inverse_log_det_is_that_of_autodiff(subject):
    truth = autodiff_log_det(
        subject.bijector.inverse_and_log_det, subject.x, subject.context
    )
    close(subject.inverse_log_det, truth)


def test_forward_log_det_is_that_of_autodiff(subject):
    truth = autodiff_log_det(
        subject.bijector.forward_and_log_det, subject.z, subject.context
    )
    close(subject.forward_log_det, truth)


def test_log_dets_of_the_directions_cancel(subject):
    close(subject.forward_log_det, -subject.inverse_log_det)


def test_four_stock_methods_agree(subject):
    b, context = subject.bijector, subject.context
    close(b.forward(subject.z, **context), subject.x)
    close(b.inverse(subject.x, **context), subject.z)
    close(b.forward_log_det_jacobian(subject.z, **context), subject.forward_log_det)
    close(b.inverse_log_det_jacobian(subject.x, **context), subject.inverse_log_det)


def test_stock_chain_agrees(subject):
    chain, context = tfb.Chain([subject.bijector]), subject.chain_context
    close(chain.forward(subject.z, **context), subject.x)
    close(chain.inverse(subject.x, **context), subject.z)
    close(chain.forward_log_det_jacobian(subject.z, **context), subject.forward_log_det)
    close(chain.inverse_log_det_jacobian(subject.x, **context), subject.inverse_log_det)


def test_stock_invert_agrees(subject):
    inverted, context = tfb.Invert(subject.bijector), subject.context
    close(inverted.inverse(subject.z, **context), subject.x)
    close(inverted.forward(subject.x, **context), subject.z)
    close(inverted.inverse_log_det_jacobian(subject.z, **context), subject.forward_log_det)
    close(inverted.forward_log_det_jacobian(subject.x, **context), subject.inverse_log_det)


def test_stock_distributions_agree(subject):
    axes = tuple(range(1, subject.z.ndim))
    normal = np.sum(-0.5 * subject.z**2 - 0.5 * np.log(2 * np.pi), axis=axes)
    for log_prob in subject.log_probs().values():
        close(log_prob(subject.x), normal + subject.inverse_log_det)


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
        first_row = tf.nest.map_structure(lambda c: c[2:3], context)
        close(log_prob(subject.x[2:3], **first_row)[0], together[2])


def test_eager_graph_and_xla_agree(subject):
    def answers(x, z):
        log_prob = subject.log_probs()["stock"](x)
        return [*subject.inverse(x), *subject.forward(z), log_prob]

    x, z = tf.constant(subject.x), tf.constant(subject.z)
    eager = answers(x, z)
    graph = tf.function(answers, autograph=False)(x, z)
    xla = tf.function(answers, autograph=False, jit_compile=True)(x, z)
    for a, b, c in zip(eager, graph, xla, strict=True):
        close(b, a)
        close(c, a)


def test_traces_with_a_batch_of_unknown_length(subject):
    signature = [tf.TensorSpec([None, *subject.x.shape[1:]], tf.float64)]
    if subject.context:
        size = subject.case.context_size
        signature.append(tf.TensorSpec([None, size], tf.float64))

    @tf.function(autograph=False, input_signature=signature)
    def log_prob(x, context=None):
        kwargs = {} if context is None else {"context": context}
        return subject.flow.log_prob(x, **kwargs)

    close(
        log_prob(subject.x, *subject.context.values()),
        subject.flow.log_prob(subject.x, **subject.context),
    )


@pytest.mark.parametrize("name", ALL_CASES)
def test_float32_round_trip(name):
    case = ALL_CASES[name]
    b = randomize(case.build("float32"))
    x, context = case.points((7,)).astype(np.float32), case.context((7,))
    context = {k: v.astype(np.float32) for k, v in context.items()}
    z, log_det = b.inverse_and_log_det(x, **context)
    assert z.dtype == log_det.dtype == tf.float32
    y = b.forward_and_log_det(z.numpy(), **context)[0]
    close(y, x, 1e-4)


def test_context_matters(conditional):
    other = {"context": conditional.context["context"] + 1.0}
    z, log_det = conditional.bijector.inverse_and_log_det(conditional.x, **other)
    assert differ(z, conditional.z)
    x = conditional.bijector.forward_and_log_det(conditional.z, **other)[0]
    assert differ(x, conditional.x)
    base = conditional.flow.log_prob(conditional.x, **conditional.context)
    assert differ(conditional.flow.log_prob(conditional.x, **other), base)


def test_one_context_broadcasts_over_the_batch(conditional):
    context = conditional.context["context"]
    one = conditional.bijector.inverse_and_log_det(conditional.x, context=context[0])
    same = np.broadcast_to(context[0], context.shape)
    all_rows = conditional.bijector.inverse_and_log_det(conditional.x, context=same)
    close(one[0], all_rows[0])
    close(one[1], all_rows[1])


@pytest.mark.parametrize("method", ["flow", "stock", "stock of chain", "inverse"])
def test_missing_context_is_refused(conditional, method):
    call = {
        "flow": conditional.flow.log_prob,
        "stock": conditional.stock.log_prob,
        "stock of chain": conditional.stock_of_chain.log_prob,
        "inverse": conditional.bijector.inverse,
    }[method]
    with pytest.raises(ValueError, match=r"`context` of shape .*got None"):
        call(conditional.x)


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


@pytest.mark.parametrize("name", [n for n in ALL_CASES if n not in CONDITIONAL])
def test_unwanted_context_is_refused(name):
    subject, context = subject_of(name), np.zeros([7, 2])
    with pytest.raises(ValueError, match=r"no `context`.*\(7, 2\)"):
        subject.flow.log_prob(subject.x, context=context)
    with pytest.raises(ValueError, match=r"no `context`.*\(7, 2\)"):
        subject.stock.log_prob(subject.x, bijector_kwargs={"context": context})
