"""What holds of every bijector's and flow's weights: listed, trained, current, saved."""

import copy
import pickle

import flow_cases
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from random_weights import floating
from random_weights import perturb
from random_weights import values
from slow_cases import representatives
from subject import ALL_CASES
from subject import close
from subject import differ
from subject import subject_of

import tfp_flows as tff

tfb, tfd = tfp.bijectors, tfp.distributions


@pytest.fixture(params=representatives(ALL_CASES))
def subject(request):
    return subject_of(request.param)


@pytest.fixture(params=representatives(ALL_CASES))
def weighted(request):
    subject = subject_of(request.param)
    if not floating(subject.bijector):
        pytest.skip("It has no weights.")
    with subject.weights_restored():
        yield subject


def identities(variables):
    return sorted(id(variable) for variable in variables)


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
    assert len(set(identities(b.variables))) == len(b.variables)
    for holder in holders:
        # A chain of conditional steps adds the statistics of contexts.
        added = set(identities(holder.variables)) - set(identities(b.variables))
        assert len(added) in (0, 3 if b.context_size else 0)
        assert len(holder.variables) == len(b.variables) + len(added)
        assert identities(holder.trainable_variables) == identities(b.trainable_variables)


def test_density_estimator_has_the_same_variables(subject):
    model = tff.DensityEstimator(subject.flow)
    assert identities(w.value for w in model.weights) == identities(
        subject.bijector.variables
    )
    assert identities(w.value for w in model.trainable_weights) == identities(
        subject.bijector.trainable_variables
    )


def test_log_prob_has_a_gradient_for_every_weight(weighted):
    weights = weighted.flow.trainable_variables
    for log_prob in weighted.log_probs.values():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(log_prob(weighted.x))
        for gradient, weight in zip(tape.gradient(loss, weights), weights, strict=True):
            assert gradient is not None, weight.name
            assert np.any(gradient != 0), weight.name


def test_sample_and_log_prob_has_a_gradient_for_every_weight(weighted):
    weights = weighted.flow.trainable_variables
    with tf.GradientTape() as tape:
        y, log_prob = weighted.flow.sample_and_log_prob(8, seed=1, **weighted.context)
        loss = tf.reduce_sum(tf.sin(y)) + tf.reduce_sum(log_prob)
    for gradient, weight in zip(tape.gradient(loss, weights), weights, strict=True):
        assert gradient is not None, weight.name
        assert np.any(gradient != 0), weight.name


def test_held_tensor_is_answered_for_the_weights_of_now(weighted):
    x = tf.constant(weighted.x)
    before = {name: log_prob(x) for name, log_prob in weighted.log_probs.items()}
    perturb(weighted.bijector)
    for name, log_prob in weighted.log_probs.items():
        now = log_prob(x)
        close(now, log_prob(tf.identity(x)))
        assert differ(now, before[name]), name


def test_inverse_of_a_held_output_uses_the_weights_of_now(weighted):
    z = tf.constant(weighted.z)
    y = weighted.bijector.forward(z, **weighted.context)
    perturb(weighted.bijector)
    now = weighted.bijector.inverse(y, **weighted.context)
    close(now, weighted.bijector.inverse(y.numpy(), **weighted.context))
    assert differ(now, z)


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


def check_gradient_with_respect_to_own_sample(subject, transform):
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
        assert value is not None
        assert np.isfinite(value).all()
        assert np.any(value != 0)


def test_gradient_of_log_prob_with_respect_to_own_sample(subject):
    check_gradient_with_respect_to_own_sample(subject, transform=lambda f: f)


@pytest.mark.parametrize("name", representatives(flow_cases.CASES))
def test_gradient_with_respect_to_own_sample_in_a_function(name):
    check_gradient_with_respect_to_own_sample(subject_of(name), transform=tf.function)


@pytest.mark.usefixtures("op_by_op")
def test_evaluation_changes_no_variable(subject):
    before = values(subject.bijector)
    subject.flow.log_prob(subject.x + 0.01, **subject.context)
    subject.stock.log_prob(subject.x + 0.01, **subject.stock_context)
    subject.flow.sample(5, seed=1, **subject.context)
    subject.flow.sample_and_log_prob(5, seed=1, **subject.context)
    for now, then in zip(values(subject.bijector), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_copy_shares_weights(subject):
    b = subject.bijector
    assert identities(b.copy().variables) == identities(b.variables)


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, lambda b: pickle.loads(pickle.dumps(b))]
)
@pytest.mark.usefixtures("op_by_op")
def test_deepcopy_and_pickle_have_own_weights_of_equal_values(weighted, duplicate):
    b = weighted.bijector
    twin = duplicate(b)
    assert not set(identities(twin.variables)) & set(identities(b.variables))
    assert len(twin.trainable_variables) == len(b.trainable_variables)
    original = weighted.inverse(weighted.x)
    answers = twin.inverse_and_log_det(weighted.x, **weighted.context)
    np.testing.assert_array_equal(answers[0], original[0])
    np.testing.assert_array_equal(answers[1], original[1])
    perturb(twin)
    changed = twin.inverse_and_log_det(weighted.x, **weighted.context)[0]
    assert differ(changed, weighted.z)
    np.testing.assert_array_equal(weighted.inverse(weighted.x)[0], original[0])
