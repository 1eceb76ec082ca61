"""Measures rounding errors of flows of 64 steps, with extreme scales and units.

    python -m benchmarks.stability

For flows of equal weights in float32 and float64, it prints the largest errors of the round
trip, in standard deviations of the rows, and of the log-det, in nats. Some minutes.
"""

import functools

import numpy as np
import tensorflow as tf
from absl import app, flags

import tfp_flows

_ROWS = 256
_SIZE = 4
_IMAGE = (4, 4, 2)
_CHANNELS = 8
# Tails, mixings and norms have other noise, since shifts of norms are in the rows' units.
_NOT_OF_NETWORKS = ("tail", "lower_upper", "shift_and_log_scale")
_STEPS = {"num_steps": 64, "hidden_units": (16,), "seed": 0}

FLOWS = {
    "RealNVP": functools.partial(tfp_flows.RealNVP, _SIZE, **_STEPS),
    "MAF": functools.partial(tfp_flows.MAF, _SIZE, **_STEPS),
    "IAF, standardized": functools.partial(
        tfp_flows.IAF, _SIZE, standardize=True, **_STEPS
    ),
    "NeuralSplineFlow": functools.partial(tfp_flows.NeuralSplineFlow, _SIZE, **_STEPS),
    "spline couplings": functools.partial(
        tfp_flows.NeuralSplineFlow, _SIZE, coupling=True, **_STEPS
    ),
    "Glow, 1 level": functools.partial(
        tfp_flows.Glow,
        _IMAGE,
        num_levels=1,
        num_steps=64,
        hidden_channels=_CHANNELS,
        seed=0,
    ),
}
# Name -> standard deviations of the noise added to the weights, and of the rows.
CASES = {
    "drawn, rows of 1e-6": (0.1, 1e-6),
    "drawn, rows of 1e6": (0.1, 1e6),
    "scales at their bounds": (3.0, 1.0),
}


def build(make, spread, rows):
    """Returns a flow initialised by `rows`, with the same weights in each dtype."""
    built = {dtype: make(dtype=dtype) for dtype in ("float64", "float32")}
    exact = built["float64"]
    exact.initialize(rows)
    rng = np.random.default_rng(0)
    for variable in exact.trainable_variables:
        if not any(name in variable.name for name in _NOT_OF_NETWORKS):
            noise = rng.normal(scale=spread, size=variable.shape)
            variable.assign_add(noise / np.sqrt(_fan_in(variable)))
    for narrow, wide in zip(built["float32"].variables, exact.variables, strict=True):
        narrow.assign(tf.cast(wide, narrow.dtype))
        if wide.dtype == tf.float64:  # so that both have exactly the same numbers
            wide.assign(tf.cast(narrow, wide.dtype))
    return built


def errors(make, spread, unit):
    """Returns the largest errors of a flow, `make(dtype)`, for rows of a unit.

    `spread` is the standard deviation of the noise added to weights; `unit` is the standard
    deviation, and the mean, of the rows.

    Returns:
      Errors of the round trip in float32 and in float64, in standard deviations of the
      rows; error of the log-det in float32, in nats; and the largest log-det.
    """
    rows = unit * (1.0 + np.random.default_rng(1).normal(size=(_ROWS, *_shape_of(make))))
    rows = rows.astype(np.float32).astype(np.float64)
    found = {}
    for dtype, flow in build(make, spread, rows).items():
        x = tf.constant(rows, dtype)
        z, log_det = flow.inverse_and_log_det(x)
        back = flow.forward(z)
        found[dtype] = float(tf.reduce_max(tf.abs(back - x))) / unit, log_det.numpy()
    narrow, wide = found["float32"], found["float64"]
    from_log_det = np.abs(narrow[1] - wide[1]).max()
    return narrow[0], wide[0], from_log_det, np.abs(wide[1]).max()


def _fan_in(variable):
    # A `ConvNet` has all its weights in one vector; its widest layer sees 3 x 3 x 8.
    return 9 * _CHANNELS if "kernels" in variable.name else variable.shape[0]


def _shape_of(make):
    return _IMAGE if make.func is tfp_flows.Glow else (_SIZE,)


def table(names, cases=CASES):
    """Yields the lines of the table, for flows of `names`."""
    yield (
        "| flow | weights and rows | round trip, float32 | float64 | log-det, float32 "
        "| largest log-det |"
    )
    yield "|---|---|---|---|---|---|"
    for name in names:
        for case in cases:
            cells = " | ".join(f"{e:.2g}" for e in errors(FLOWS[name], *CASES[case]))
            yield f"| {name} | {case} | {cells} |"


def main(argv):
    """Prints the table."""
    del argv
    tf.config.run_functions_eagerly(True)  # a trace of 64 steps takes longer than one call
    for line in table(flags.FLAGS.flow or FLOWS):
        print(line, flush=True)


if __name__ == "__main__":
    flags.DEFINE_multi_enum("flow", None, list(FLOWS), "Flows; all by default.")
    app.run(main)
