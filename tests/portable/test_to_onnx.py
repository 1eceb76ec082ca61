"""`export_onnx`: files that give TensorFlow's numbers by onnxruntime alone."""

import functools
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from portable_cases import DISTRIBUTIONS, assert_close, built, from_flow, maf, rows_of

import tfp_flows as tff

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")

# ONNX has no inverse of the error function.
REFUSED = {"tail"}


def run(path, **inputs):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, inputs)[0]


FAST = {"maf_context", "iaf_context", "spline_one_variable", "defensive_context"}
FAST |= {"categorical_random_context"}


@pytest.mark.slow_ids(*(DISTRIBUTIONS.keys() - FAST))
@pytest.mark.parametrize("name", sorted(DISTRIBUTIONS.keys() - REFUSED))
def test_densities_and_samples_are_those_of_tensorflow(name, tmp_path):
    distribution, (x, context) = built(name), rows_of(name)
    paths = tff.export_onnx(distribution, tmp_path / "exported")
    got = run(paths[0], x=x, **context)
    assert_close(got, distribution.log_prob(x, **context))
    x[0], context_of_two = np.nan, {key: rows[:2] for key, rows in context.items()}
    with_nan = run(paths[0], x=x[:2], **context_of_two)  # and another number of rows
    expected = distribution.log_prob(x[:2], **context_of_two)
    np.testing.assert_array_equal(np.isnan(with_nan), np.isnan(expected))
    if not hasattr(distribution, "bijector"):
        assert len(paths) == 1
        return
    flow = distribution.bijector
    noise = np.random.default_rng(1).normal(size=x.shape).astype("float32")
    noise[1] *= 10.0
    given = context if flow.context_size else {}
    assert_close(run(paths[1], noise=noise, **given), flow.forward(noise, **given))


def test_float64_to_its_digits(tmp_path):
    distribution = built("maf_context", "float64")
    x, context = rows_of("maf_context", dtype="float64")
    paths = tff.export_onnx(distribution, tmp_path)
    assert_close(run(paths[0], x=x, **context), distribution.log_prob(x, **context), 1e-12)


def test_noise_of_the_base_gives_samples(tmp_path):
    distribution = built("iaf_context")
    context = np.tile(rows_of("iaf_context")[1]["context"][:1], [2000, 1])
    _, path = tff.export_onnx(distribution, tmp_path)
    noise = np.random.default_rng(0).normal(size=[2000, 2]).astype("float32")
    x = run(path, noise=noise, context=context)
    latent = distribution.bijector.inverse(x, context=context)
    assert_close(latent, noise, 1e-4)


def test_rows_may_be_one_or_none(tmp_path):
    distribution, (x, _) = built("nice"), rows_of("nice")
    density, sample = tff.export_onnx(distribution, tmp_path)
    expected = distribution.log_prob(x)
    assert_close(run(density, x=x[:1]), expected[:1])
    assert run(density, x=x[:0]).shape == (0,)
    assert run(sample, noise=x[:1]).shape == (1, 3)


WITHOUT_TENSORFLOW = """
import sys
import numpy as np
import onnxruntime
session = onnxruntime.InferenceSession("log_prob.onnx")
np.save("log_prob.npy", session.run(None, dict(np.load("rows.npz")))[0])
assert not {"tensorflow", "keras", "tfp_flows", "onnx"} & set(sys.modules)
"""


def test_files_run_where_tensorflow_is_not_imported(tmp_path):
    distribution, (x, context) = built("maf_context"), rows_of("maf_context")
    tff.export_onnx(distribution, tmp_path)
    np.savez(tmp_path / "rows.npz", x=x, **context)
    command = [sys.executable, "-c", WITHOUT_TENSORFLOW]
    subprocess.run(command, cwd=tmp_path, env={**os.environ}, check=True)
    assert_close(np.load(tmp_path / "log_prob.npy"), distribution.log_prob(x, **context))


def test_models_are_taken(tmp_path):
    distribution, (x, _) = built("nice"), rows_of("nice")
    paths = tff.export_onnx(tff.DensityEstimator(distribution), tmp_path)
    assert_close(run(paths[0], x=x), distribution.log_prob(x))


def test_bijectors_of_tfp_are_taken(tmp_path):
    normal = tfp.distributions.MultivariateNormalDiag([1.0, 2.0], [3.0, 4.0])
    paths = tff.export_onnx(normal, tmp_path)
    x = np.eye(2, dtype=np.float32)
    assert_close(run(paths[0], x=x), normal.log_prob(x))
    assert_close(run(paths[1], noise=x), [[4.0, 2.0], [1.0, 6.0]])


def in_bfloat16(dtype):
    return from_flow(functools.partial(maf, network_dtype="mixed_bfloat16"))(dtype)


def image(dtype):
    glow = tff.Glow((4, 4, 1), num_levels=1, num_steps=1, hidden_channels=2)
    return from_flow(lambda dtype: glow, glow.inverse_event_shape([4, 4, 1]))(dtype)


def sinh_tails(dtype):
    # Only float64 is refused, whatever the test asks for.
    return from_flow(lambda dtype: tff.HeavyTails(3, kind="sinh", dtype=dtype))("float64")


def batched(dtype):
    base = tfp.distributions.MultivariateNormalDiag(np.zeros([2, 3], dtype))
    return tff.FlowDistribution(base, tff.NICE(3))


@pytest.mark.parametrize(
    ("distribution", "folder", "words"),
    [
        (image, "exported", "nodes of ONNX; got SpaceToDepth ("),
        (DISTRIBUTIONS["tail"], "exported", "nodes of ONNX; got Ndtri ("),
        (lambda dtype: maf(dtype), "exported", "`distribution`, one with `log_prob`"),
        (DISTRIBUTIONS["nice"], None, "`folder`, the path of a folder"),
        (in_bfloat16, "exported", "onnxruntime has no kernels for bfloat16"),
        (sinh_tails, "exported", "in float32, since onnxruntime has no Asinh of float64"),
        (batched, "exported", "without batch axes; got (2,)"),
    ],
)
def test_refused(distribution, folder, words, tmp_path):
    folder = folder and tmp_path / folder
    with pytest.raises(ValueError, match="Expected .*" + re.escape(words)):
        tff.export_onnx(distribution("float32"), folder)
    assert folder is None or not folder.exists()


def logistic(dtype):
    scaled = tff.bijectors.TFPBijector(tfp.bijectors.Scale(np.array(2.0, dtype)), 1)
    return tff.FlowDistribution(tff.standard_logistic(1, dtype=dtype), scaled)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_softplus_does_not_overflow(dtype, tmp_path):
    distribution = logistic(dtype)
    x = np.array([[-2000.0], [-3.0], [0.0], [3.0], [2000.0]], dtype)
    path, *_ = tff.export_onnx(distribution, tmp_path)
    assert_close(run(path, x=x), distribution.log_prob(x))


class ZeroTimesInfinity(tff.FlowBijector):
    """The identity, with a log-det by `multiply_no_nan`."""

    def __init__(self):
        super().__init__(event_ndims=1, event_shape=[2])

    def _inverse_and_log_det(self, x, context, training):
        product = tf.math.multiply_no_nan(tf.math.log(tf.abs(x)), [1.0, 0.0])
        return x, tf.reduce_sum(product, axis=-1)

    _forward_and_log_det = _inverse_and_log_det


def test_zero_times_infinity_is_zero_where_tensorflow_says_so(tmp_path):
    distribution = tff.FlowDistribution(tff.standard_normal(2), ZeroTimesInfinity())
    x = np.float32([[1.0, 0.0], [2.0, 3.0]])
    path, *_ = tff.export_onnx(distribution, tmp_path)
    assert_close(run(path, x=x), distribution.log_prob(x))
    pure = tff.to_jax(distribution)
    assert_close(np.asarray(pure.log_prob(pure.params, x)), distribution.log_prob(x))
