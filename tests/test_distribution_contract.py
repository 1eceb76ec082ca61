"""What holds of every autoregressive distribution."""

import functools

import distribution_cases
import numpy as np
import pytest
import tensorflow as tf
from distribution_cases import built
from slow_cases import representatives
from subject import close
from subject import differ

import tfp_flows as tff

CASES = distribution_cases.CASES
DISCRETE = distribution_cases.DISCRETE
CONDITIONAL = [name for name, case in CASES.items() if case.context_size]


@pytest.mark.parametrize("name", DISCRETE)
@pytest.mark.usefixtures("op_by_op")
def test_probabilities_sum_to_one(name):
    case = DISCRETE[name]
    log_prob = built(name).log_prob(case.all_points(), **case.context(()))
    close(np.sum(np.exp(log_prob)), 1.0)
    assert np.std(log_prob) > 0.1


@pytest.mark.parametrize("name", DISCRETE)
@pytest.mark.usefixtures("op_by_op")
def test_samples_agree_with_probabilities(name):
    case, distribution = DISCRETE[name], built(name)
    probabilities = np.exp(distribution.log_prob(case.all_points(), **case.context(())))
    samples = distribution.sample(60_000, seed=1, **case.context(())).numpy()
    assert (np.unique(samples) == np.arange(max(case.num_values))).all()
    cells = case.cells(samples)
    assert _chi_square_z(cells, probabilities) < 4.0
    wrong = np.roll(probabilities, 1)
    assert _chi_square_z(cells, wrong) > 100.0


def _chi_square_z(cells, probabilities, least=5.0):
    """Standard scores of the chi-square statistic; rare cells count as one."""
    counts = np.bincount(cells, minlength=len(probabilities))
    expected = probabilities * len(cells)
    rare = expected < least
    counts = np.append(counts[~rare], counts[rare].sum())
    expected = np.append(expected[~rare], expected[rare].sum() + 1e-9)
    freedom = len(counts) - 1
    statistic = np.sum((counts - expected) ** 2 / np.maximum(expected, 1.0))
    return (statistic - freedom) / np.sqrt(2.0 * freedom)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.usefixtures("op_by_op")
def test_log_prob_of_own_samples(name):
    case, distribution = CASES[name], built(name)
    context = case.context((4,))
    x, log_prob = distribution.sample_and_log_prob(5, seed=2, **context)
    shape = (5, 4) if context else (5,)
    assert (x.shape, log_prob.shape) == ((*shape, case.event_size), shape)
    close(distribution.log_prob(x.numpy(), **context), log_prob)
    np.testing.assert_array_equal(distribution.sample(5, seed=2, **context), x)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.usefixtures("op_by_op")
def test_each_mask_samples_as_the_loop_over_whole_passes(name):
    case, distribution = CASES[name], built(name)
    ensemble, conditional = distribution._ensemble, distribution._conditional
    noise = conditional.noise([7, case.event_size], tf.constant([1, 2]), tf.float64)
    # What the network sees of it.
    context = [distribution._checked_context(c) for c in case.context((7,)).values()]
    for mask in range(distribution.num_masks):
        x, log_prob = ensemble.draw(noise, tf.constant([mask]), *context)
        network = ensemble._member(mask)
        close(x, _looped(network, conditional, noise, *context))
        close(
            distribution.log_prob(x.numpy(), mask_index=mask, **case.context((7,))),
            log_prob,
        )


def _looped(network, conditional, noise, *context):
    """Samples by D whole passes, in whatever order: after D, nothing changes any more."""
    x = np.zeros(noise.shape[:2])
    for _ in range(noise.shape[1]):
        outputs = network(tf.concat([x, *context], axis=-1))
        shape = [-1, conditional.num_parameters, noise.shape[1]]
        x = conditional.sample(noise, tf.reshape(outputs, shape)).numpy()
    return x


@pytest.mark.slow_ids("binary_masks")
@pytest.mark.parametrize("name", representatives(CASES))
def test_same_answers_eager_graph_and_xla(name):
    case, distribution = CASES[name], built(name)
    x, context = case.points((7,)), case.context((7,))

    def log_prob():
        return distribution.log_prob(x, **context)

    def draw():
        return distribution.sample_and_log_prob(3, seed=5, **context)

    eager = log_prob(), *draw()
    for jit_compile in (False, True):
        compiled = functools.partial(tf.function, jit_compile=jit_compile, autograph=False)
        for a, b in zip((compiled(log_prob)(), *compiled(draw)()), eager, strict=True):
            assert a.shape == b.shape
            close(a, b)


@pytest.mark.parametrize("batch_shape", [(), (2, 3)])
@pytest.mark.parametrize("name", representatives(CASES))
@pytest.mark.usefixtures("op_by_op")
def test_any_batch_axes_and_rows_are_independent(name, batch_shape):
    case, distribution = CASES[name], built(name)
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
def test_one_dtype_from_end_to_end(name, dtype):
    case = CASES[name]
    distribution = case.build(dtype)
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


def test_unwanted_context_and_other_shapes_are_refused():
    distribution = built("binary")
    with pytest.raises(ValueError, match="no `context`"):
        distribution.sample(2, context=np.zeros((1, 2)))
    with pytest.raises(ValueError, match=r"`x` of shape \[\.\.\., 8\]"):
        distribution.log_prob(np.zeros((3, 7)))


@pytest.mark.parametrize("num_masks", [1, 2])
def test_what_is_traced_does_not_grow_with_the_variables(num_masks):
    def count(event_size):
        made = tff.BinaryMADE(event_size, hidden_units=(64,), num_masks=num_masks, seed=1)
        draw = made._ensemble._compiled_draw.get_concrete_function()
        # Bodies of loops are functions of their own.
        graph = draw.graph.as_graph_def()
        return len(graph.node) + sum(len(f.node_def) for f in graph.library.function)

    # More than one block of variables each, eight at most.
    assert count(2000) <= 1.05 * count(200) <= 4.0 * count(20)
