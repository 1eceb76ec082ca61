"""The contract of every autoregressive distribution."""

import copy
import pickle
import re

import distribution_cases
import numpy as np
import pytest
import scipy.stats
import tensorflow as tf
from distribution_cases import built
from random_weights import perturb, values
from slow_cases import representatives
from subject import close, differ

import tfp_flows as tff

CASES = distribution_cases.CASES
DISCRETE = distribution_cases.DISCRETE
CONDITIONAL = [name for name, case in CASES.items() if case.context_size]
# In this distribution most weights have no effect, since the network has no input.
WITH_GRADIENTS = [name for name in CASES if name != "binary_of_one_variable"]


@pytest.mark.parametrize("name", DISCRETE)
@pytest.mark.usefixtures("op_by_op")
def test_probabilities_sum_to_one_and_samples_agree_with_them(name):
    case, distribution = DISCRETE[name], built(name)
    log_prob = distribution.log_prob(case.all_points(), **case.context(()))
    probabilities = np.exp(log_prob)
    close(np.sum(probabilities), 1.0)
    assert np.std(log_prob) > 0.1
    samples = distribution.sample(60_000, seed=1, **case.context(())).numpy()
    assert (np.unique(samples) == np.arange(max(case.num_values))).all()
    cells = case.cells(samples)
    assert _chi_square_p(cells, probabilities) > 1e-5
    assert _chi_square_p(cells, np.roll(probabilities, 1)) < 1e-100


def _chi_square_p(cells, probabilities):
    """P-value of counts of samples; rare cells count as one."""
    counts = np.bincount(cells, minlength=len(probabilities))
    expected = probabilities * len(cells)
    rare = expected < 5.0
    parts = [np.append(part[~rare], part[rare].sum() + 1.0) for part in (counts, expected)]
    return scipy.stats.chisquare(*parts).pvalue


@pytest.mark.parametrize("name", CASES)
@pytest.mark.usefixtures("op_by_op")
def test_log_prob_of_own_samples_which_a_seed_determines(name):
    case, distribution = CASES[name], built(name)
    context = case.context((4,))
    x, log_prob = distribution.sample_and_log_prob(50, seed=2, **context)
    shape = (50, 4) if context else (50,)
    assert (x.shape, log_prob.shape) == ((*shape, *case.event_shape), shape)
    close(distribution.log_prob(x.numpy(), **context), log_prob)
    np.testing.assert_array_equal(distribution.sample(50, seed=2, **context), x)
    assert differ(distribution.sample(50, seed=1, **context), x)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.usefixtures("op_by_op")
def test_each_mask_samples_as_the_loop_over_whole_passes(name):
    case, distribution = CASES[name], built(name)
    ensemble, conditional = distribution._ensemble, distribution._conditional
    noise = conditional.noise([7, *case.event_shape], tf.constant([1, 2]), tf.float64)
    # The standardised context, which the network is given.
    context = [distribution._checked_context(c) for c in case.context((7,)).values()]
    for mask in range(distribution.num_masks):
        x, log_prob = ensemble.draw(noise, tf.constant([mask]), *context)
        network = ensemble.network.member(mask)
        close(x, _looped(network, conditional, noise, *context))
        close(
            distribution.log_prob(x.numpy(), mask_index=mask, **case.context((7,))),
            log_prob,
        )


def _looped(network, conditional, noise, *context):
    """Samples by D whole passes, which are enough for any ordering."""
    x = np.zeros(noise.shape[:2])
    for _ in range(noise.shape[1]):
        outputs = network(tf.concat([x, *context], axis=-1))
        shape = [-1, conditional.num_parameters, noise.shape[1]]
        x = conditional.sample(noise, tf.reshape(outputs, shape)).numpy()
    return x


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", WITH_GRADIENTS)
@pytest.mark.usefixtures("op_by_op")
def test_every_weight_has_a_gradient(name, training):
    case, distribution = CASES[name], built(name)
    weights = distribution.trainable_variables
    assert weights
    with tf.GradientTape() as tape:
        log_prob = distribution.log_prob(
            case.points((7,)), training=training, **case.context((7,))
        )
        loss = tf.reduce_mean(log_prob)
    for gradient in tape.gradient(loss, weights):
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max() > 0.0


@pytest.mark.slow_ids("mixture_masks")
@pytest.mark.parametrize("name", ["mixture_masks", "mixture_context"])
@pytest.mark.usefixtures("op_by_op")
def test_gradient_of_the_density_of_samples_is_that_at_fixed_samples(name):
    case, distribution = CASES[name], built(name)
    context = {k: tf.constant(v) for k, v in case.context((4,)).items()}
    sources = [*distribution.trainable_variables, *context.values()]
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(sources)
        x, log_prob = distribution.sample_and_log_prob(5, seed=2, **context)
        again = distribution.log_prob(x.numpy(), **context)
    expected = tape.gradient(again, sources)
    for a, b in zip(tape.gradient(log_prob, sources), expected, strict=True):
        close(a, b)


@pytest.mark.slow_ids("binary_masks", "mixture_context")
@pytest.mark.parametrize("name", representatives(CASES))
def test_same_answers_eager_graph_and_xla(name):
    case, distribution = CASES[name], built(name)
    x, context = case.points((7,)), case.context((7,))

    def answers():
        drawn = distribution.sample_and_log_prob(3, seed=5, **context)
        return distribution.log_prob(x, **context), *drawn

    eager = answers()
    for jit_compile in (False, True):
        compiled = tf.function(answers, jit_compile=jit_compile, autograph=False)
        for a, b in zip(compiled(), eager, strict=True):
            assert a.shape == b.shape
            close(a, b)


@pytest.mark.parametrize("name", representatives(CASES))
@pytest.mark.usefixtures("op_by_op")
def test_any_batch_axes_and_rows_are_independent(name):
    case, distribution = CASES[name], built(name)
    for batch_shape in ((), (2, 3)):
        x, context = case.points(batch_shape), case.context(batch_shape)
        log_prob = distribution.log_prob(x, **context)
        assert log_prob.shape == batch_shape
        for index in np.ndindex(*batch_shape):
            one = {k: v[index] for k, v in context.items()}
            close(distribution.log_prob(x[index], **one), log_prob[index])


@pytest.mark.slow_ids("mixture_context-dtype0")
@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
@pytest.mark.parametrize("name", representatives(CASES))
@pytest.mark.usefixtures("op_by_op")
def test_one_dtype_and_one_seed_from_end_to_end(name, dtype):
    case = CASES[name]
    distribution, same = (case.build(dtype) for _ in range(2))
    for a, b in zip(values(distribution), values(same), strict=True):
        np.testing.assert_array_equal(a, b)
    assert all(w.dtype == dtype for w in distribution.trainable_variables)
    context = {k: v.astype(dtype.as_numpy_dtype) for k, v in case.context(()).items()}
    x, log_prob = distribution.sample_and_log_prob(2, seed=1, **context)
    assert x.dtype == log_prob.dtype == distribution.dtype == dtype


@pytest.mark.parametrize("name", representatives(CONDITIONAL))
@pytest.mark.usefixtures("op_by_op")
def test_context_matters_and_must_fit(name):
    case, distribution = CASES[name], built(name)
    x = case.points((5,))
    first, second = (distribution.log_prob(x, **case.context((5,), s)) for s in (0, 1))
    assert differ(first, second)
    with pytest.raises(ValueError, match=r"`context` of shape \[\.\.\., 2\].*got None"):
        distribution.log_prob(x)
    with pytest.raises(ValueError, match=r"`context` of shape \[\.\.\., 2\].*got \(5, 3\)"):
        distribution.sample(context=np.zeros((5, 3)))
    with pytest.raises(TypeError, match="kontext"):
        distribution.log_prob(x, kontext=x)


@pytest.mark.slow
@pytest.mark.parametrize("num_masks", [1, 2])
def test_what_is_traced_does_not_grow_with_the_variables(num_masks):
    def count(event_size):
        made = tff.BinaryMADE(event_size, hidden_units=(64,), num_masks=num_masks, seed=1)
        draw = made._ensemble._compiled_draw.get_concrete_function()
        # The bodies of loops are separate functions.
        graph = draw.graph.as_graph_def()
        return len(graph.node) + sum(len(f.node_def) for f in graph.library.function)

    # 200 and 2000 variables take several blocks, at most eight.
    assert count(2000) <= 1.05 * count(200) <= 8.0 * count(20)


@pytest.mark.parametrize("name", representatives(CASES))
@pytest.mark.usefixtures("op_by_op")
def test_copies_have_weights_of_their_own_and_evaluation_changes_none(name):
    case, distribution = CASES[name], built(name)
    before = values(distribution)
    x, context = case.points((7,)), case.context((7,))
    original = distribution.log_prob(x, **context)
    assert distribution.copy().log_prob(x, **context).numpy() == pytest.approx(original)
    for other in (copy.deepcopy(distribution), pickle.loads(pickle.dumps(distribution))):
        close(other.log_prob(x, **context), original)
        perturb(other)
        other.sample_and_log_prob(2, seed=1, **case.context(()))
        if name in WITH_GRADIENTS:
            assert differ(other.log_prob(x, **context), original)
    close(distribution.log_prob(x, **context), original)
    for now, then in zip(values(distribution), before, strict=True):
        np.testing.assert_array_equal(now, then)


WITH_DROPOUT = ["binary_random", "mixture_of_one", "categorical_in_blocks"]


@pytest.mark.parametrize("name", WITH_DROPOUT)
def test_dropout_is_for_training_alone(name):
    case, distribution = CASES[name], copy.deepcopy(built(name))
    x = case.points((5,))
    for training in (False, True):
        first, second = (distribution.log_prob(x, training=training) for _ in range(2))
        assert differ(first, second) == training


@pytest.mark.parametrize("name", [n for n in CASES if "masks" in n])
def test_training_goes_through_the_cycle(name):
    case, distribution = CASES[name], copy.deepcopy(built(name))
    x, context = case.points((5,)), case.context((5,))
    seen = [distribution.log_prob(x, training=True, **context) for _ in range(4)]
    count = distribution.num_masks
    each = [distribution.log_prob(x, mask_index=i, **context) for i in range(count)]
    start = int(built(name)._ensemble._num_steps)
    for step, log_prob in enumerate(seen):
        close(log_prob, each[(start + step) % count])
    assert differ(each[0], each[1])
    mean = np.log(np.mean(np.exp(each), axis=0))
    close(distribution.log_prob(x, **context), mean)
    for wrong in (9, 0.5, [0, 1]):
        words = rf"`mask_index` from 0 to {count - 1}; got {re.escape(str(wrong))}"
        with pytest.raises(ValueError, match=words):
            distribution.log_prob(x, mask_index=wrong, **context)
