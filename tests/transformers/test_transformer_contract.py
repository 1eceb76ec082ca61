"""The contract of every transformer."""

import dataclasses
import functools
import inspect
import pickle

import numpy as np
import pytest
import tensorflow as tf
from subject import close
from transformer_cases import CASES

import tfp_flows as tff
from tfp_flows.core.serialization import deserialize, serialize

as_graph = functools.partial(tf.function, autograph=False)
MODES = {"eager": lambda f: f, "graph": as_graph, "xla": as_graph(jit_compile=True)}
# XLA compiles the same graph; the graph by itself, and float64, are slow tests.
_SLOW = [("float32", "graph"), ("float64", "xla"), ("float64", "graph")]
in_modes = pytest.mark.parametrize(
    ("dtype", "mode"),
    [
        pytest.param(dtype, mode, marks=[pytest.mark.slow] * ((dtype, mode) in _SLOW))
        for dtype in ("float32", "float64")
        for mode in MODES
    ],
)
METHODS = ["forward_and_log_det", "inverse_and_log_det"]
TOLERANCE = {"float32": 2e-5, "float64": 1e-10}


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def points(case, shape, dtype="float64", seed=0):
    """`x`, `[*shape]`, and parameters, `[..., P, D]`, with the values `case.far`."""
    rng = np.random.default_rng(seed)
    *batch, size = shape
    shape_of_parameters = (*batch, case.build().num_parameters, size)
    parameters = rng.normal(scale=case.spread, size=shape_of_parameters)
    if size > len(case.far):
        parameters[..., -1, : len(case.far)] = case.far
    x = np.clip(rng.normal(size=shape), -case.reach, case.reach)
    return tf.constant(x, dtype), tf.constant(parameters, dtype)


def plain(case, x, parameters):
    return case.plain(x, *tf.unstack(parameters, axis=-2))


def derivatives_of_two_orders(function, x, parameters):
    """Values, and first and second derivatives of a combination of both results."""
    with tf.GradientTape() as outer:
        outer.watch([x, parameters])
        with tf.GradientTape() as inner:
            inner.watch([x, parameters])
            y, log_det = function(x, parameters)
            loss = tf.reduce_sum(tf.sin(y) + 2.0 * log_det)
        first = inner.gradient(loss, [x, parameters])
        total = tf.add_n([tf.reduce_sum(g**2) for g in first])
    return (
        y,
        log_det,
        *first,
        *outer.gradient(total, [x, parameters], unconnected_gradients="zero"),
    )


# XLA takes long to compile these.
_COMPLEX = ("affine_*-xla", "c*_*-xla", "mixture*-xla", "s*-xla", "tail-*-xla")


@pytest.mark.slow_ids(*_COMPLEX)
@in_modes
def test_is_its_formula_with_derivatives_of_two_orders(case, dtype, mode):
    x, parameters = points(case, (9,), dtype)
    method = case.build().forward_and_log_det
    got = MODES[mode](lambda *args: derivatives_of_two_orders(method, *args))(x, parameters)
    expected = derivatives_of_two_orders(lambda *args: plain(case, *args), x, parameters)
    for ours, true in zip(got, expected, strict=True):
        # The tolerance is relative to the largest entry, since large terms cancel.
        close(ours, true, TOLERANCE[dtype] * max(1.0, np.abs(true).max()))


@pytest.mark.slow_ids(*_COMPLEX)
@in_modes
def test_inverse_undoes_it_with_the_gradient_that_the_implicit_function_has(
    case, dtype, mode
):
    case = dataclasses.replace(case, far=())
    x, parameters = points(case, (4, 9), dtype)
    transformer = case.build()
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([x, parameters])
        y, log_det = transformer.forward_and_log_det(x, parameters)
    slope, by_parameters = tape.gradient(y, [x, parameters])
    if dtype == "float64":
        close(log_det, tf.math.log(slope))

    def inverse(y, parameters):
        with tf.GradientTape() as tape:
            tape.watch([y, parameters])
            results = transformer.inverse_and_log_det(y, parameters)
        return *results, *tape.gradient(results[0], [y, parameters])

    back, minus_log_det, by_y, by_p = MODES[mode](inverse)(y, parameters)
    close(back, x, TOLERANCE[dtype])
    close(minus_log_det, -log_det, TOLERANCE[dtype])
    close(by_y, 1.0 / slope, TOLERANCE[dtype])
    close(by_p, -by_parameters / slope[..., None, :], TOLERANCE[dtype])


def test_second_derivative_of_the_inverse(case):
    """If y = T(x), then x'' = -T'' / T'^3."""
    x, parameters = points(dataclasses.replace(case, far=()), (4, 9))
    transformer = case.build()

    def two_derivatives(method, value):
        with tf.GradientTape() as outer:
            outer.watch(value)
            with tf.GradientTape() as inner:
                inner.watch(value)
                result = method(value, parameters)[0]
            first = inner.gradient(result, value)
        second = outer.gradient(first, value, unconnected_gradients="zero")
        return result, first, second

    y, slope, bend = two_derivatives(transformer.forward_and_log_det, x)
    second = two_derivatives(transformer.inverse_and_log_det, y)[2]
    close(second, -bend / slope**3, 1e-8)


def test_starts_as_the_identity_or_where_its_paper_does(case):
    x, parameters = points(case, (5, 9))
    y, log_det = case.build().forward_and_log_det(x, tf.zeros_like(parameters))
    with tf.GradientTape() as tape:
        tape.watch(x)
        start = case.start(x)
    close(y, start)
    close(log_det, tf.math.log(tape.gradient(start, x)))


@pytest.mark.slow_ids("*-forward_and_log_det", "affine_*", "c*", "m*", "s[hi]*")
@pytest.mark.parametrize("method", METHODS)
def test_one_variable_of_any_number_of_rows(case, method):
    x, parameters = points(case, (9,))
    method = getattr(case.build(), method)
    shapes = [None], [len(parameters), None]
    signature = [tf.TensorSpec(shape, tf.float64) for shape in shapes]
    from_rows = as_graph(method, input_signature=signature)
    for a, b in zip(from_rows(x, parameters), method(x, parameters), strict=True):
        close(a, b)


@pytest.mark.parametrize("method", METHODS)
def test_batch_axes_broadcast(case, method):
    """Broadcast inputs act as repeated ones; their gradients are sums."""
    x, _ = points(case, (5, 1, 3))
    _, parameters = points(case, (4, 3))
    results = []
    for more in ((0.0, 0.0), (np.zeros([4, 1]), np.zeros([5, 1, 1, 1]))):
        with tf.GradientTape() as tape:
            tape.watch([x, parameters])
            y, log_det = getattr(case.build(), method)(x + more[0], parameters + more[1])
            loss = tf.sin(y) + log_det
        results.append([y, loss, *tape.gradient(loss, [x, parameters])])
    for ours, repeated in zip(*results, strict=True):
        close(ours, repeated)


@pytest.mark.slow_ids("*float64*", "*affine_*")
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_what_is_finite_has_finite_gradients(case, dtype, method):
    """All extremes are entries of one vector, since transformers act elementwise."""
    # A quarter of the largest float, since factors of a gradient may be larger.
    size, largest = case.build().num_parameters, tf.as_dtype(dtype).max / 4.0
    extremes = [-largest, -1e30, -1e-30, 1e-30, 1e30, largest]
    columns = [[value, *[0.3] * size] for value in extremes]
    for i in range(size):
        columns += [[0.7, *[0.3] * i, v, *[0.3] * (size - 1 - i)] for v in extremes]
    columns += [[a, *[b] * size] for a in (-1e30, 1e30) for b in (-1e30, 1e30)]
    x, *parameters = tf.constant(np.transpose(columns), dtype)
    parameters = tf.stack(parameters)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([x, parameters])
        results = getattr(case.build(), method)(x, parameters)
    finite = np.isfinite(results).all(axis=0)
    assert finite[np.abs(results[1]) < 1.0].all()
    if case.bounded:
        assert finite[(np.abs(columns) < largest).all(axis=1)].all()
    for result in results:
        gradients = tape.gradient(result, [x, parameters], unconnected_gradients="zero")
        for gradient in gradients:
            assert np.isfinite(np.asarray(gradient)[..., finite]).all()


def test_is_what_its_configuration_and_its_pickle_say(case):
    transformer = case.build()
    x, parameters = points(case, (5, 9))
    expected = transformer.forward_and_log_det(x, parameters)
    names = inspect.signature(type(transformer)).parameters
    assert list(transformer.get_config()) == list(names)
    for copy in (
        type(transformer)(**transformer.get_config()),
        deserialize(serialize(transformer)),
        pickle.loads(pickle.dumps(transformer)),
    ):
        for a, b in zip(copy.forward_and_log_det(x, parameters), expected, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("leading", [(), (None,), (None, 2)])
def test_outputs_of_a_network_are_parameters_one_after_another(leading):
    outputs = np.random.default_rng(0).normal(size=[*(n or 5 for n in leading), 6])
    signature = [tf.TensorSpec([*leading, 6], tf.float64)]
    split = as_graph(lambda o: tff.Affine().parameters_of(o, 3), signature)
    expected = np.stack([outputs[..., :3], outputs[..., 3:]], axis=-2)
    np.testing.assert_array_equal(split(outputs), expected)


@pytest.mark.parametrize("method", METHODS)
def test_another_number_of_parameters_is_refused(case, method):
    transformer = case.build()
    count, name = transformer.num_parameters, type(transformer).__name__
    for parameters in (tf.zeros([5, count + 1, 3]), tf.zeros([count + 1, 3])):
        words = rf"`parameters` of shape \[\.\.\., {count}, D\] for `{name}`; got "
        with pytest.raises(ValueError, match=words):
            getattr(transformer, method)(tf.zeros([5, 3]), parameters)


def test_outputs_of_another_width_are_refused():
    with pytest.raises(ValueError, match=r"shape \[\.\.\., 6\], 2 for each of 3.*\(5, 3\)"):
        tff.Affine().parameters_of(tf.zeros([5, 3]), 3)
