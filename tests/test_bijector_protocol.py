"""What base classes make of any bijector: stock methods, distributions, weights."""

import copy
import pickle

import flow_cases
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from random_weights import floating, perturb, values
from slow_cases import representatives
from subject import ALL_CASES, CONDITIONAL, close, differ, subject_of

import tfp_flows as tff

tfb, tfd = tfp.bijectors, tfp.distributions
UNCONDITIONAL = [name for name in ALL_CASES if name not in CONDITIONAL]


@pytest.fixture(params=representatives(ALL_CASES))
def subject(request):
    return subject_of(request.param)


@pytest.fixture(params=representatives(CONDITIONAL))
def conditional(request):
    return subject_of(request.param)


@pytest.mark.parametrize("holder", ["itself", "chain", "invert"])
def test_four_stock_methods_agree(subject, holder):
    bijector, context = {
        "itself": (subject.bijector, subject.context),
        "chain": (tfb.Chain([subject.bijector]), subject.chain_context),
        "invert": (tfb.Invert(tfb.Invert(subject.bijector)), subject.context),
    }[holder]
    close(bijector.forward(subject.z, **context), subject.x)
    close(bijector.inverse(subject.x, **context), subject.z)
    forward = bijector.forward_log_det_jacobian(subject.z, **context)
    close(forward, subject.forward_log_det)
    inverse = bijector.inverse_log_det_jacobian(subject.x, **context)
    close(inverse, subject.inverse_log_det)


def test_stock_distributions_agree(subject):
    axes = tuple(range(1, subject.z.ndim))
    normal = np.sum(-0.5 * subject.z**2 - 0.5 * np.log(2 * np.pi), axis=axes)
    for log_prob in subject.log_probs.values():
        close(log_prob(subject.x), normal + subject.inverse_log_det)


def test_sample_and_log_prob_agrees_with_log_prob(subject):
    ours = subject.flow.sample_and_log_prob(seed=1, **subject.context)
    stock = subject.stock.experimental_sample_and_log_prob(
        7, seed=1, **subject.stock_context
    )
    for y, log_prob in (ours, stock):
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


@pytest.mark.slow_ids("chain_nested", "glow_step")
def test_log_probs_trace_with_a_batch_of_unknown_length_and_by_xla(subject):
    size = subject.case.context_size
    signature = [tf.TensorSpec([None, *subject.x.shape[1:]], tf.float64)]
    signature += [tf.TensorSpec([None, size], tf.float64)] if size else []

    def flow(x, *context):
        return subject.flow.log_prob(x, **dict(zip(["context"], context, strict=False)))

    graph = tf.function(flow, autograph=False, input_signature=signature)
    x, expected = subject.x, subject.flow.log_prob(subject.x, **subject.context)
    contexts = list(subject.context.values())
    close(graph(x, *contexts), expected)
    assert graph(x[:0], *(c[:0] for c in contexts)).shape == [0]
    if contexts:
        first = contexts[0][:1]
        close(graph(x, first), subject.flow.log_prob(x, context=first))
    xla = tf.function(subject.log_probs["stock"], autograph=False, jit_compile=True)
    close(xla(x), expected)


def test_one_context_broadcasts_over_the_batch(conditional):
    context = conditional.context["context"]
    one = conditional.bijector.inverse_and_log_det(conditional.x, context=context[0])
    same = np.broadcast_to(context[0], context.shape)
    all_rows = conditional.bijector.inverse_and_log_det(conditional.x, context=same)
    close(one[0], all_rows[0])
    close(one[1], all_rows[1])


def test_a_context_whose_width_the_graph_does_not_know_is_checked_as_it_runs(conditional):
    x, context = conditional.x, conditional.context["context"]
    inverse = conditional.bijector.inverse_and_log_det
    unknown = tf.TensorSpec([None, None], tf.float64)
    graph = tf.function(lambda c: inverse(x, context=c)[0], input_signature=[unknown])
    close(graph(context), inverse(x, context=context)[0])
    with pytest.raises(tf.errors.InvalidArgumentError, match="not compatible"):
        graph(context[:, :-1])


def test_missing_misshapen_and_misspelt_contexts_are_refused(conditional):
    x, context = conditional.x, conditional.context["context"]
    flow, stock = conditional.flow, conditional.stock
    stock_of_chain = conditional.log_probs["stock of chain"].func
    methods = flow.log_prob, stock.log_prob, stock_of_chain, conditional.bijector.inverse
    for method in methods:
        with pytest.raises(ValueError, match=r"`context` of shape .*got None"):
            method(x)
    width = context.shape[1]
    message = rf"`context` of shape \[\.\.\., {width}\].*\(7, {width + 1}\)"
    with pytest.raises(ValueError, match=message):
        flow.log_prob(x, context=np.zeros([7, width + 1]))
    for method in (flow.log_prob, flow.prob, conditional.bijector.inverse):
        with pytest.raises(ValueError, match=r"`name`.*; got a ndarray\. A .*`context="):
            method(x, np.asarray(context))
    for call in (
        lambda: flow.log_prob(x, contxt=context),
        lambda: stock.log_prob(x, bijector_kwargs={"contxt": context}),
        lambda: flow.sample(2, contxt=context),
    ):
        with pytest.raises(TypeError, match="contxt"):
            call()


@pytest.mark.parametrize("name", representatives(UNCONDITIONAL))
def test_unwanted_context_is_refused(name):
    subject, context = subject_of(name), np.zeros([7, 2])
    with pytest.raises(ValueError, match=r"no `context`.*\(7, 2\)"):
        subject.flow.log_prob(subject.x, context=context)
    with pytest.raises(ValueError, match=r"no `context`.*\(7, 2\)"):
        subject.stock.log_prob(subject.x, bijector_kwargs={"context": context})


@pytest.fixture(params=representatives(ALL_CASES))
def weighted(request):
    subject = subject_of(request.param)
    if not floating(subject.bijector):
        pytest.skip("It has no weights.")
    with subject.weights_restored():
        yield subject


def identities(variables):
    return {id(variable) for variable in variables}


@pytest.mark.parametrize("name", representatives(ALL_CASES))
def test_every_holder_lists_the_same_variables_at_once(name):
    b = ALL_CASES[name].build("float64")
    event_shape = b.inverse_event_shape(ALL_CASES[name].event_shape)
    base = tff.standard_normal(event_shape, dtype=tf.float64)
    holders = [
        tfb.Chain([b]),
        tfb.Invert(b),
        tff.FlowChain([b]),
        tff.Invert(b),
        tfd.TransformedDistribution(base, b),
        tff.FlowDistribution(base, b),
        tff.FlowDistribution(base, tfb.Chain([tfb.Invert(tfb.Invert(b))])),
    ]
    assert all(isinstance(variable, tf.Variable) for variable in b.variables)
    assert len(identities(b.variables)) == len(b.variables)
    for holder in holders:
        # A chain of conditional steps adds the statistics of contexts.
        added = identities(holder.variables) - identities(b.variables)
        assert len(added) in (0, 3 if b.context_size else 0)
        assert len(holder.variables) == len(b.variables) + len(added)
        assert identities(holder.trainable_variables) == identities(b.trainable_variables)


@pytest.mark.usefixtures("op_by_op")
def test_log_prob_has_a_gradient_for_every_weight(weighted):
    weights = weighted.flow.trainable_variables
    for log_prob in weighted.log_probs.values():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(log_prob(weighted.x))
        for gradient, weight in zip(tape.gradient(loss, weights), weights, strict=True):
            assert gradient is not None, weight.name
            assert np.any(gradient != 0), weight.name


def test_held_tensors_are_answered_for_the_weights_of_now(weighted):
    x, z = tf.constant(weighted.x), tf.constant(weighted.z)
    y = weighted.bijector.forward(z, **weighted.context)
    drawn = weighted.stock.sample(7, seed=1, **weighted.stock_context)
    shape = () if weighted.context else 7
    own, _ = weighted.flow.sample_and_log_prob(shape, seed=1, **weighted.context)
    log_probs = weighted.log_probs.values()
    calls = [(log_prob, held) for log_prob in log_probs for held in (x, drawn, own)]
    before = [log_prob(held) for log_prob, held in calls]
    perturb(weighted.bijector)
    for (log_prob, held), first in zip(calls, before, strict=True):
        now = log_prob(held)
        close(now, log_prob(held.numpy()))
        assert differ(now, first)
    now = weighted.bijector.inverse(y, **weighted.context)
    close(now, weighted.bijector.inverse(y.numpy(), **weighted.context))
    assert differ(now, z)


@pytest.mark.slow_ids("chain_nested", "glow_step", "multi_scale_context")
def test_assignment_inside_a_function_is_seen_by_the_next_call(weighted):
    log_probs = dict(weighted.log_probs)
    # Stock `tfb.Chain` itself caches within a function; `FlowDistribution` undoes that.
    del log_probs["stock of chain"]

    @tf.function(autograph=False)
    def before_and_after(x):
        before = {name: log_prob(x) for name, log_prob in log_probs.items()}
        perturb(weighted.bijector)
        return before, {name: log_prob(x) for name, log_prob in log_probs.items()}

    x = tf.constant(weighted.x)
    before, after = before_and_after(x)
    for name, log_prob in log_probs.items():
        close(after[name], log_prob(tf.identity(x)))
        assert differ(after[name], before[name]), name


@pytest.mark.slow_ids("*graph")
@pytest.mark.parametrize("transform", [lambda f: f, tf.function], ids=["eager", "graph"])
@pytest.mark.parametrize("name", representatives(flow_cases.CASES))
def test_gradient_of_log_prob_with_respect_to_own_sample(name, transform):
    subject = subject_of(name)
    for distribution, shape, kwargs in (
        (subject.flow, () if subject.context else 7, subject.context),
        (subject.stock, 7, subject.stock_context),
    ):

        def gradient(distribution=distribution, shape=shape, kwargs=kwargs):
            with tf.GradientTape() as tape:
                y = distribution.sample(shape, seed=1, **kwargs)
                tape.watch(y)
                log_prob = distribution.log_prob(y, **kwargs)
            return tape.gradient(log_prob, y)

        value = transform(gradient)()
        assert np.isfinite(value).all()
        assert np.any(value != 0)


@pytest.mark.usefixtures("op_by_op")
def test_evaluation_changes_no_variable(subject):
    before = values(subject.bijector)
    subject.flow.log_prob(subject.x + 0.01, **subject.context)
    subject.stock.log_prob(subject.x + 0.01, **subject.stock_context)
    subject.flow.sample(5, seed=1, **subject.context)
    subject.flow.sample_and_log_prob(5, seed=1, **subject.context)
    for now, then in zip(values(subject.bijector), before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda b: pickle.loads(pickle.dumps(b))]
)
@pytest.mark.usefixtures("op_by_op")
def test_copy_shares_weights_and_deepcopy_and_pickle_have_their_own(weighted, duplicate):
    b = weighted.bijector
    assert identities(b.copy().variables) == identities(b.variables)
    twin = duplicate(b)
    assert not identities(twin.variables) & identities(b.variables)
    assert len(twin.trainable_variables) == len(b.trainable_variables)
    original = weighted.inverse(weighted.x)
    answers = twin.inverse_and_log_det(weighted.x, **weighted.context)
    np.testing.assert_array_equal(answers[0], original[0])
    np.testing.assert_array_equal(answers[1], original[1])
    perturb(twin)
    changed = twin.inverse_and_log_det(weighted.x, **weighted.context)[0]
    assert differ(changed, weighted.z)
    np.testing.assert_array_equal(weighted.inverse(weighted.x)[0], original[0])
