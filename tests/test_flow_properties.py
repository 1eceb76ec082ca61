"""The maths of flows that hypothesis draws: any sizes, masks, orderings, depths, dtypes.

The contracts try the cases of tables; here every example is one that nobody wrote down.
`make test` draws a few, `make test-slow` many.
"""

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from derivatives import op_by_op, with_derivatives
from drawn_flows import drawn_flows
from property_settings import examples
from transformer_cases import CASES as TRANSFORMERS

# Angles come back modulo a turn: those have a test of their own (`test_spline_properties`).
OF_THE_LINE = tuple(name for name in TRANSFORMERS if name != "circular_spline")
# Their derivatives are formulas, and they are as exact in float32 as its numbers are.
SIMPLE = ("affine", "shift", "gated", "spline", "affine_softplus", "cubic_rational")
EPS = {"float32": 1.2e-7, "float64": 2.3e-16}


def answers(flow, method, points, context):
    """Value, log-det and Jacobian of each point, with batch axes merged for the last."""
    bijector = flow.build("float64")
    value, log_det = getattr(bijector, method)(points, **context)
    rows = points.reshape(-1, flow.size)
    context = {name: c.reshape(len(rows), -1) for name, c in context.items()}
    found = with_derivatives(getattr(bijector, method), rows, context, [])
    # Inverses that are searched for end at a tolerance, which later steps may stretch.
    np.testing.assert_allclose(found["value"], np.reshape(value, rows.shape), atol=1e-7)
    assert log_det.shape == flow.batch_shape
    jacobian = found["jacobian"].numpy()
    if not (np.isfinite(value).all() and np.isfinite(jacobian).all()):
        # Scales without a bound can be infinite; whatever else is drawn is finite.
        assert not all(TRANSFORMERS[name].bounded for _, _, name, _ in flow.steps)
        hypothesis.reject()
    return value.numpy(), log_det.numpy(), jacobian


def check_maths(flow):
    x, context = flow.rows()
    with op_by_op():
        z, log_det, jacobian = answers(flow, "inverse_and_log_det", x, context)
        back, minus_log_det, from_forward = answers(flow, "forward_and_log_det", z, context)
        _check_first_row_alone(flow, x, context, z, log_det)
    singular = np.linalg.svd(jacobian, compute_uv=False)
    # What the error of a rounding is worth, there and back.
    rounding = 1e4 * EPS["float64"] * (singular[:, :1] / singular[:, -1:])
    rounding = rounding * (1.0 + np.abs(x).max() + np.abs(z).max())
    hypothesis.assume(rounding.max() < 1e-3)  # else float64 does not tell
    assert (np.abs(back - x).reshape(-1, flow.size) <= rounding).all()
    bound = rounding[:, 0].reshape(flow.batch_shape)
    for found, expected in (
        (log_det, np.log(singular).sum(-1).reshape(flow.batch_shape)),
        (minus_log_det, -log_det),
    ):
        assert (np.abs(found - expected) <= bound * (1.0 + np.abs(expected))).all()
    product = jacobian @ from_forward - np.eye(flow.size)
    assert (np.abs(product) <= 10.0 * rounding[..., None]).all()


def _check_first_row_alone(flow, x, context, z, log_det):
    """No row depends on others: the first one alone is answered alike."""
    if not flow.batch_shape:
        return
    first = (slice(0, 1),) * len(flow.batch_shape)
    alone = flow.build("float64").inverse_and_log_det(
        x[first], **{name: c[first] for name, c in context.items()}
    )
    for part, whole in zip(alone, (z, log_det), strict=True):
        np.testing.assert_allclose(part, whole[first], rtol=1e-9, atol=1e-9)


def check_precision(flow):
    """In float32 it is the map that it is in float64, to what its numbers tell."""
    x, context = flow.rows()
    x = x.astype(np.float32)
    context = {name: c.astype(np.float32) for name, c in context.items()}
    in_float64 = {name: c.astype(np.float64) for name, c in context.items()}
    with op_by_op():
        wide, log_det, jacobian = answers(
            flow, "inverse_and_log_det", x.astype(np.float64), in_float64
        )
        narrow, its_log_det = flow.build("float32").inverse_and_log_det(x, **context)
    assert narrow.dtype == its_log_det.dtype == tf.float32
    singular = np.linalg.svd(jacobian, compute_uv=False)
    spread = (singular[:, 0] / singular[:, -1]).reshape(flow.batch_shape)
    bound = 1e3 * EPS["float32"] * spread * (1.0 + np.abs(wide).max() + np.abs(x).max())
    hypothesis.assume(bound.max() < 0.1)
    assert (np.abs(narrow - wide).max(-1) <= bound).all()
    assert (np.abs(its_log_det - log_det) <= bound * (1.0 + np.abs(log_det))).all()


# What is checked of which examples, and how many of them in each half of the tests.
CHECKS = {
    "bijections": (check_maths, drawn_flows(OF_THE_LINE), 8, 300),
    "precision": (check_precision, drawn_flows(SIMPLE), 8, 150),
}


@pytest.mark.parametrize("half", ["few", pytest.param("many", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", CHECKS)
def test_drawn_examples(name, half):
    check, strategy, few, many = CHECKS[name]
    examples(few if half == "few" else many)(hypothesis.given(strategy)(check))()
