"""`to_jax`: the numbers of TensorFlow, by functions of JAX that load without TensorFlow."""

import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from portable_cases import (
    DISTRIBUTIONS,
    FLOWS,
    assert_close,
    built,
    from_flow,
    maf,
    rows_of,
)
from random_weights import randomize
from scipy import stats
from tensorflow_probability import distributions as tfd

import tfp_flows as tff
from tfp_flows.tables.distribution import TableDistribution
from tfp_flows.tables.numbers.number_maps import NumberSpec

jax = pytest.importorskip("jax")

import tfp_flows_jax  # noqa: E402

jnp = jax.numpy
# Older versions have it among their experiments.
enable_x64 = (jax if hasattr(jax, "enable_x64") else jax.experimental).enable_x64
ROOT = Path(__file__).parents[2]
# Whose density needs a loop of unknown length, so that JAX has no gradient.
WITHOUT_GRADIENT = {"mixture_cdf"}
# JAX compiles gradients for longer than all else takes.
FAST = {"maf_context", "categorical_random_context"}


def gradients(distribution, x, context, weights):
    """Log-densities, and the gradient of their weighted sum, by TensorFlow."""
    sources = [tf.constant(x), *map(tf.constant, context.values())]
    with tf.GradientTape() as tape:
        tape.watch(sources)
        given = dict(zip(context, sources[1:], strict=True))
        log_prob = distribution.log_prob(sources[0], **given)
        total = tf.reduce_sum(log_prob * weights)
    variables = distribution.trainable_variables
    options = {"unconnected_gradients": "zero"}
    return log_prob, tape.gradient(total, [*sources, *variables], **options)


@pytest.mark.slow_ids(*(DISTRIBUTIONS.keys() - FAST))
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_densities_and_their_gradients_are_those_of_tensorflow(name):
    distribution = built(name)
    x, context = rows_of(name)
    weights = np.linspace(-1.0, 1.0, len(x)).astype("float32")
    exported = tff.to_jax(distribution)
    expected, bars = gradients(distribution, x, context, weights)
    got = exported.log_prob(exported.params, x, *context.values())
    assert_close(got, expected)

    def total(params, *rows):
        return exported.log_prob(params, *rows) @ weights

    given = exported.params, x, *context.values()
    if name in WITHOUT_GRADIENT:
        with pytest.raises(ValueError, match="Reverse-mode"):
            jax.grad(total)(*given)
        return
    by_params, *by_rows = jax.grad(total, range(len(given)))(*given)
    by_params = [by_params[key] for key in exported.params]  # JAX sorts them
    for bar, other in zip([*by_rows, *by_params], bars, strict=True):
        other = tf.convert_to_tensor(other).numpy()
        assert_close(bar, other, 1e-4 * max(1.0, np.abs(other).max()))


def by_tensorflow(xp, attributes, shape, key, counter, algorithm):
    """TensorFlow's random bits."""
    words = (tf.constant(np.asarray(word), tf.uint64) for word in (key, counter))
    dtype = tf.as_dtype(attributes["dtype"])
    bits = tf.raw_ops.StatelessRandomUniformFullIntV2
    drawn = bits(shape=shape, key=next(words), counter=next(words), alg=1, dtype=dtype)
    return jnp.asarray(drawn.numpy())


DRAWN = [*FLOWS, "circular", "over_logistic", "defensive_context", "mixture_of_flows"]


@pytest.fixture
def equal_bits(monkeypatch):
    """A seed from which JAX, whatever its key, draws TensorFlow's random bits."""
    seed = np.array([3, -5], np.int32)
    monkeypatch.setattr(jax.random, "bits", lambda *_: jnp.asarray(seed.view(np.uint32)))
    bits = "StatelessRandomUniformFullIntV2"
    monkeypatch.setitem(tfp_flows_jax.OPERATIONS, bits, by_tensorflow)
    return seed


@pytest.mark.slow_ids(*({*DRAWN} - {"iaf_context"}))
@pytest.mark.parametrize("name", DRAWN)
def test_from_equal_random_bits_draws_are_those_of_tensorflow(name, equal_bits):
    distribution = built(name)
    context = {key: rows[:2] for key, rows in rows_of(name)[1].items()}
    exported = tff.to_jax(distribution)
    # The exported draws of a mixture are those that XLA computes.
    sample = tf.function(distribution.sample, jit_compile=name == "mixture_of_flows")
    expected = sample(4, seed=equal_bits, **context)
    with enable_x64(True), jax.disable_jit():  # keys of 64 bits, and arrays to look at
        got = exported.sample(exported.params, None, 4, *context.values())
    assert_close(got, expected)


def splines():
    """Conditional splines of a table, with a code, random weights and recalibration."""
    numbers = [NumberSpec("line"), NumberSpec("log")]
    rows = TableDistribution(
        [3],
        numbers,
        num_members=2,
        num_bins=4,
        hidden_units=(4,),
        seed=0,
        recalibration=[0.3, 0.3],  # draws are accepted or drawn again
    )
    return randomize(rows, stddev=0.3)


def test_conditional_splines_draw():
    exported = tff.to_jax(splines())
    with enable_x64(True):
        drawn = jax.eval_shape(
            lambda key: exported.sample(exported.params, key, 5), jax.random.key(0)
        )
    assert drawn.shape == (5, 3)


@pytest.mark.slow
def test_draws_of_conditional_splines_are_those_of_tensorflow(equal_bits):
    rows = splines()
    exported = tff.to_jax(rows)
    expected = tf.function(rows.sample, jit_compile=True)(40, seed=equal_bits)
    with enable_x64(True), jax.disable_jit():
        got = exported.sample(exported.params, None, 40)
        log_prob = exported.log_prob(exported.params, expected.numpy())
    # Networks are in float32, whose rounding counts most in the tails.
    assert_close(got, expected, 1e-4)
    assert_close(log_prob, rows.log_prob(expected), 1e-3)


@pytest.mark.slow_ids("over_student_t")
@pytest.mark.parametrize("name", ["maf_context", "over_student_t"])
def test_draws_are_the_flow_of_draws_of_its_base(name):
    distribution = built(name)
    exported = tff.to_jax(distribution)
    context = {key: rows[:2] for key, rows in rows_of(name)[1].items()}
    draw = jax.jit(exported.sample, static_argnums=2)
    x = draw(exported.params, jax.random.key(1), 2000, *context.values())
    latent = distribution.bijector.inverse(np.asarray(x), **context).numpy()
    base = [stats.t(4).cdf, stats.t(5).cdf, stats.t(6).cdf]
    for i in range(x.shape[-1]):
        cdf = base[i] if name == "over_student_t" else "norm"
        for z in latent[..., i].reshape(2000, -1).T:
            assert stats.kstest(z, cdf).pvalue > 1e-3
    again = draw(exported.params, jax.random.key(2), 2000, *context.values())
    assert not (x == again).any()


@pytest.mark.slow
def test_rows_are_those_of_any_batch_axes_and_of_vmap():
    distribution, (x, context) = built("maf_context"), rows_of("maf_context")
    exported, context = tff.to_jax(distribution), context["context"]
    params = exported.params
    expected = exported.log_prob(params, x, context)
    assert_close(exported.log_prob(params, x[0], context[0]), expected[0])
    one_by_one = jax.vmap(exported.log_prob, in_axes=(None, 0, 0))(params, x, context)
    assert_close(one_by_one, expected)
    crossed = exported.log_prob(params, x[:, None], context)
    assert crossed.shape == (7, 7)
    assert_close(jnp.diagonal(crossed), expected)
    assert exported.log_prob(params, x[:0], context[:0]).shape == (0,)
    assert exported.sample(params, jax.random.key(0), 3, context[0]).shape == (3, 2)


def test_float64_to_its_digits():
    distribution = built("maf_context", "float64")
    x, context = rows_of("maf_context", dtype="float64")
    exported = tff.to_jax(distribution)
    with pytest.raises(ValueError, match="jax_enable_x64"):
        exported.params  # noqa: B018
    with enable_x64(True):
        got = exported.log_prob(exported.params, x, context["context"])
        assert_close(got, distribution.log_prob(x, **context), 1e-12)


WITHOUT_TENSORFLOW = """
import pickle, sys
import numpy as np
import tfp_flows_jax
flow = tfp_flows_jax.load("flow.npz")
given = np.load("rows.npz")
np.save("log_prob.npy", flow.log_prob(flow.params, given["x"], given["context"]))
assert flow.context_size == 2 and flow.event_shape == (2,)
assert not {"tensorflow", "keras", "tfp_flows"} & set(sys.modules)
"""


def test_a_saved_file_runs_where_tensorflow_is_not_imported(tmp_path):
    distribution, (x, context) = built("iaf_context"), rows_of("iaf_context")
    tff.to_jax(distribution).save(tmp_path / "flow.npz")
    np.savez(tmp_path / "rows.npz", x=x, **context)
    environment = {"PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", WITHOUT_TENSORFLOW]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    got = np.load(tmp_path / "log_prob.npy")
    assert_close(got, distribution.log_prob(x, **context))


def test_what_is_loaded_or_unpickled_gives_equal_numbers(tmp_path):
    exported, (x, _) = tff.to_jax(built("nice")), rows_of("nice")
    exported.save(tmp_path / "flow.npz")
    for other in (
        tfp_flows_jax.load(tmp_path / "flow.npz"),
        pickle.loads(pickle.dumps(exported)),
    ):
        got = other.log_prob(other.params, x)
        np.testing.assert_array_equal(got, exported.log_prob(exported.params, x))


def test_models_and_what_holds_a_distribution_are_taken():
    distribution = built("nice")
    model = tff.DensityEstimator(distribution)
    x = rows_of("nice")[0]
    exported = tff.to_jax(model)
    assert_close(exported.log_prob(exported.params, x), distribution.log_prob(x))


def test_operations_that_jax_lacks_are_named():
    glow = tff.Glow((4, 4, 1), num_levels=1, num_steps=1, hidden_channels=2)
    image = tff.FlowDistribution(
        tff.standard_normal(glow.inverse_event_shape([4, 4, 1])), glow
    )
    with pytest.raises(ValueError, match=r"available in JAX; got Conv2D \(.*glow"):
        tff.to_jax(image)
    ensemble = tff.to_jax(built("binary_masks"))
    with pytest.raises(ValueError, match="JAX can compute; got .*TensorListStack"):
        ensemble.sample(ensemble.params, jax.random.key(0), 1)


MAF = from_flow(maf)("float32")
JOINT = tfd.JointDistributionNamed({"a": tfd.Normal(0.0, 1.0)})


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda e: e.log_prob({}, np.zeros(3)), "`params` ['lower_upper'"),
        (lambda e: e.log_prob(e.params, np.zeros(2)), "`x` of shape [..., 3]; got (2,)"),
        (
            lambda e: e.log_prob(e.params, np.zeros(3), np.zeros(2)),
            "no `context`; got (2,)",
        ),
        (lambda e: e.sample(e.params, jax.random.key(0), 2.0), "`num_samples`, a Python"),
        (lambda e: e.save("flow.keras"), "`path` that ends in .npz; got flow.keras"),
        (lambda e: tff.to_jax(MAF.bijector), "`distribution`"),
        (lambda e: tff.to_jax(JOINT), "one tensor of known `event_shape`; got {'a'"),
    ],
)
def test_refused_arguments(call, words):
    exported = tff.to_jax(MAF)
    words = words.replace("'lower_upper'", "'" + sorted(exported.params)[0] + "'")
    with pytest.raises(ValueError, match="Expected .*" + re.escape(words)):
        call(exported)


def test_files_of_something_else_are_refused(tmp_path):
    exported, path = tff.to_jax(MAF), tmp_path / "flow.npz"
    np.savez(path, x=np.zeros(2))
    with pytest.raises(ValueError, match="a file that `save` has written"):
        tfp_flows_jax.load(path)
    exported.save(path)
    entries = dict(np.load(path))
    text = str(entries["description"])
    for old, new, words in (
        ('"format": 1', '"format": 9', "format 1 or earlier; got 9"),
        ('"MatMul"', '"ReadFile"', r"that this version knows; got \['ReadFile'\]"),
    ):
        np.savez(path, **{**entries, "description": np.array(text.replace(old, new))})
        with pytest.raises(ValueError, match=words):
            tfp_flows_jax.load(path)
    np.savez(path, **{**entries, "params/x": np.array([print], object)})
    with pytest.raises(ValueError, match="allow_pickle=False"):
        tfp_flows_jax.load(path)
