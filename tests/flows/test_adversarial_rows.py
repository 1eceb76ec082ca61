"""Rows made to break arithmetic: the ends of float32, denormals, NaN, huge beside tiny.

Float64 says what is true. Where that is well within float32, so is the answer; no answer
is NaN but that of a row with NaN. Flows that do not standardise
are tried up to 1e15, and may answer NaN where the density is below float32; Glow up to 10.

`make test` tries a few thousand rows on a flow of each kind, `make test-slow` a million on
all of them.
"""

import functools

import numpy as np
import pytest
from cases import normal, open_unit
from derivatives import op_by_op
from flow_cases import CASES
from random_weights import randomize

import tfp_flows as tff

FLOAT = np.finfo(np.float32)
EXTREMES = [0.0, FLOAT.tiny, FLOAT.smallest_subnormal, 1e-30, 1e-7, 0.5, 1.0, 3.0, 10.0]
EXTREMES += [88.0, 89.0, 1e3, 1e6, 1e10, 1e15, 1.8e19, 1e25, 1e30, 1e34, 1e37, 1e38]
EXTREMES = np.float32([*EXTREMES, FLOAT.max])
EXTREMES = np.append(EXTREMES, np.nextafter(EXTREMES[[7, -1]], np.float32(0.0)))
EXTREMES = np.concatenate([EXTREMES, -EXTREMES])
# And those of the open interval from 0 to 1.
IN_UNIT = EXTREMES[(EXTREMES > 0.0) & (EXTREMES < 1.0)]
IN_UNIT = np.append(IN_UNIT, np.nextafter(np.float32(1.0), 0.0, dtype=np.float32))
# One of each kind of step, end, norm, mixing and context.
FEW = ("nice_context", "real_nvp_recompute", "maf_context", "iaf_context")
FEW += ("spline_coupling", "spline", "glow_step", "real_nvp_image")
# Beyond, float32 itself is at its end.
MOST = 1e37


def adversarial(rng, shape, data=normal, most=FLOAT.max):
    """Extremes and plain numbers side by side, and some rows of either alone."""
    extremes = {normal: EXTREMES, open_unit: IN_UNIT}[data]
    extremes = extremes[np.abs(extremes) <= most]
    share = rng.choice([0.0, 0.1, 0.5, 1.0], size=(shape[0],) + (1,) * (len(shape) - 1))
    is_extreme = rng.random(shape) < share
    plain = data(rng, shape).astype(np.float32)
    return np.where(is_extreme, rng.choice(extremes, size=shape), plain)


@functools.lru_cache(maxsize=1)
def flows(name):
    """The flow of a case in both dtypes, of equal weights, with a normal base."""
    case = CASES[name]
    built = {}
    for dtype in ("float32", "float64"):
        bijector = randomize(case.build(dtype), seed=1)
        latent_shape = bijector.inverse_event_shape(case.event_shape)
        base = tff.standard_normal(latent_shape, dtype=dtype)
        built[dtype] = tff.FlowDistribution(base, bijector)
    return built


def answers(flow, x, context):
    """Value and log-det of each direction, and the log-density, all `[N, ...]`."""
    context = {k: c.astype(flow.dtype.as_numpy_dtype) for k, c in context.items()}
    x = x.astype(flow.dtype.as_numpy_dtype)
    z = x.reshape(-1, *flow.distribution.event_shape)  # as latents
    found = {
        "log_prob": [flow.log_prob(x, **context)],
        "inverse": flow.bijector.inverse_and_log_det(x, **context),
        "forward": flow.bijector.forward_and_log_det(z, **context),
    }
    return {key: [part.numpy() for part in parts] for key, parts in found.items()}


def standardizes(flow):
    kinds = (tff.Standardize, tff.Decorrelate)
    return any(isinstance(part, kinds) for part in flow.submodules)


def by_row(array):
    return array.reshape(len(array), -1)


def check(name, num_rows, seed=0):
    case, rng = CASES[name], np.random.default_rng(seed)
    most = FLOAT.max if standardizes(flows(name)["float32"]) else 1e15
    if "glow" in name:
        most = 10.0  # where its scales, which have no bound, are within float32
    x = adversarial(rng, (num_rows, *case.event_shape), case.data, most)
    context = {}
    if case.context_size:
        shape = num_rows, case.context_size
        context = {"context": adversarial(rng, shape, most=most)}
    is_nan = np.arange(num_rows) % 97 == 5
    by_row(x)[is_nan, 0] = np.nan
    with op_by_op():
        found, true = (answers(flows(name)[t], x, context) for t in flows(name))
    for key, parts in found.items():
        exact = [by_row(part) for part in true[key]]
        within = np.all([(np.abs(part) < MOST).all(1) for part in exact], axis=0)
        for part in parts:
            wrong = within & ~np.isfinite(by_row(part)).all(1)
            assert not wrong.any(), (key, x[wrong][:3], part[wrong][:3])
        assert within[~is_nan].mean() > 0.2  # else nothing was tried
    (log_prob,) = found["log_prob"]
    assert np.isnan(log_prob[is_nan]).all()
    wrong = np.isnan(log_prob) & ~is_nan
    if not standardizes(flows(name)["float32"]):
        wrong &= true["log_prob"][0] > -MOST
    assert not wrong.any(), (x[wrong][:3], true["log_prob"][0][wrong][:3])


@pytest.mark.parametrize("name", FEW)
def test_a_few_rows(name):
    check(name, 500)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_million_rows(name):
    for seed in range(1, 6):
        check(name, 1 + 1_000_000 // (5 * len(CASES)), seed)
