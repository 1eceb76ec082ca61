"""A numerical check of the inverse and the log-dets of a bijector."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import warnings

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow.types.experimental import TensorLike

from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.bijectors.invert import Invert
from tfp_flows.bijectors.multi_scale import MultiScale
from tfp_flows.bijectors.partial import Partial
from tfp_flows.core.arguments import check_instance, require
from tfp_flows.core.compiled import graph_function
from tfp_flows.core.composite import Composite, context_for
from tfp_flows.core.flow_bijector import FlowBijector
from tfp_flows.core.inputs import as_tensor
from tfp_flows.core.rows import take_rows


def check_bijector(
    bijector: tfp.bijectors.Bijector, x: TensorLike, context: TensorLike | None = None
) -> BijectorReport:
    """Checks that a bijector inverts, and that its log-dets and density are right.

    Steps that are still the identity, as most are before training, would pass with any
    formulas; those that are a shift or a rotation would pass without a log-det. They are
    checked with random weights, and their own weights are restored bit for bit. If a step
    is the identity even then, `passed` is None. If an error is found,
    the report names the steps, at any depth of chains, `Invert` and `MultiScale`.

    The ends may have different shapes. If the data have more entries than the latent
    (`tfb.SoftmaxCentered`, `tfb.FillTriangular`), the density is that of the non-constant
    entries. On a simplex it is the density of all entries but the last, or the density per
    area; TFP's bijectors use both. The report then has no integral.

    >>> import numpy as np
    >>> import tfp_flows
    >>> flow = tfp_flows.RealNVP(2, num_steps=2, hidden_units=(4,), seed=0)
    >>> report = tfp_flows.check_bijector(flow, np.random.normal(size=(32, 2)))
    >>> report.passed, report.is_identity, report.wrong_steps
    (True, True, ())

    Args:
      bijector: a `tfp.bijectors.Bijector` of one tensor at each end.
      x: points at the data end, `[N, *event]`; a few dozen are enough.
      context: `[N, context_size]`, if the bijector is conditional. The density given its
        first row is integrated.

    Returns:
      A `BijectorReport`.

    Raises:
      ValueError: if `x` has no batch axis or no rows; if an end has several tensors; or if
        the data have more entries than the latent, and these depend on each other, but not
        as on a simplex.
    """
    words = "a `tfp.bijectors.Bijector`"
    check_instance("bijector", bijector, tfp.bijectors.Bijector, words)
    ends = bijector.forward_min_event_ndims, bijector.inverse_min_event_ndims
    is_one = not any(map(tf.nest.is_nested, ends))
    got = f"`{bijector.name}`, whose events have {ends[0]} and {ends[1]} axes"
    hint = " Chain it with one that joins them, such as `tfb.Invert(tfb.Split(...))`."
    require(is_one, "a `bijector` of one tensor at each end", got, hint)
    flow = bijector if isinstance(bijector, FlowBijector) else FlowChain([bijector])
    x = as_tensor(x, "x", flow.dtype or None)
    x = x if x.dtype.is_floating else tf.cast(x, tf.float32)
    ndims = flow.inverse_min_event_ndims
    words = f"`x` of shape [N, *event] with {ndims} event axes and N > 0"
    require(x.shape.rank == ndims + 1 and x.shape[0], words, x.shape)
    context = None if context is None else as_tensor(context, "context", flow.dtype or None)
    tolerance = 1e-9 if x.dtype == tf.float64 else 1e-3
    identities = _identities(flow, x, context, tolerance, or_isometries=True)
    with warnings.catch_warnings(), _random_weights(identities, flow):
        warnings.filterwarnings("ignore", "A gradient is taken")  # no training
        errors, z = _errors(flow, x, context)
        event_shape = tuple(x.shape[1:].as_list())
        report = BijectorReport(
            num_points=x.shape[0],
            event_shape=event_shape,
            dtype=x.dtype.name,
            **errors,
            integral=_integral(flow, z, event_shape, context),
            tolerance=tolerance,
            identities=tuple(step.name for step in identities),
            is_identity=flow in identities,
            unchecked=tuple(s.name for s in _identities(flow, x, context, tolerance)),
        )
        if report.passed is False:
            wrong = tuple(_wrong_steps(flow, x, context, tolerance))
            report = dataclasses.replace(report, wrong_steps=wrong)
    return report


def _errors(flow, x, context):
    """The errors of a `BijectorReport` by name, and the latents."""
    z, inverse_log_det = flow.inverse_and_log_det(x, context=context)
    y, forward_log_det = flow.forward_and_log_det(z, context=context)
    z_again, _ = flow.inverse_and_log_det(y, context=context)
    true_inverse, true_forward = _true_log_dets(flow, x, z, forward_log_det, context)
    errors = {
        "data_round_trip": _error(y, x),
        "latent_round_trip": _error(z_again, z),
        "inverse_log_det": _error(inverse_log_det, true_inverse),
        "forward_log_det": _error(forward_log_det, true_forward),
    }
    return errors, z


def _identities(flow, y, context, tolerance, or_isometries=False):
    """Returns the steps with weights, or with unset state, that are the identity.

    With `or_isometries`, steps without parts may also be a shift or a rotation.
    """
    x, log_det = flow.inverse_and_log_det(y, context=context)
    has_state = flow.trainable_variables or not flow.is_initialized
    if has_state and _is_identity(y, x, log_det, tolerance):
        return [flow]
    parts = list(_parts(flow, y, context))
    if or_isometries and has_state and not parts:
        before, after = _distances_from_first(y), _distances_from_first(x)
        return [flow] if _is_identity(before, after, log_det, tolerance) else []
    return [
        step
        for _, part, value, part_context in parts
        for step in _identities(part, value, part_context, tolerance, or_isometries)
    ]


def _is_identity(x, z, log_det, tolerance):
    same = x.shape == z.shape and _error(z, x) <= tolerance
    return bool(same and _error(log_det, np.zeros_like(log_det)) <= tolerance)


def _distances_from_first(rows):
    """Distances that a shift and a rotation keep, `[N]`."""
    rows = np.reshape(rows, [len(rows), -1])
    return np.linalg.norm(rows - rows[0], axis=1)


@contextlib.contextmanager
def _random_weights(steps, flow):
    """Gives the weights of `steps` random values, and restores their own at the end."""
    rng = np.random.default_rng(0)
    parts = [part for step in steps for part in (step, *step.submodules)]
    unset = {v.ref() for part in parts if _is_unset(part) for v in part.variables}
    variables = {v.ref(): v for step in steps for v in step.variables}
    before = {ref: variable.numpy() for ref, variable in variables.items()}
    try:
        for ref, variable in variables.items():
            if variable.dtype.is_floating and (variable.trainable or ref in unset):
                # Scaled so that sums over any number of inputs have similar size.
                noise = rng.uniform(-0.5, 0.5, variable.shape)
                noise /= max(noise.size, 1) ** 0.25
                variable.assign_add(tf.cast(noise, variable.dtype))
            elif variable.dtype.is_bool and ref in unset:
                variable.assign(True)  # as if it were initialized
        yield
    finally:
        for ref, variable in variables.items():
            variable.assign(before[ref])
        for module in (flow, *flow.submodules):
            if isinstance(module, FlowBijector):
                module._recheck_state()


def _is_unset(part):
    is_step = isinstance(part, FlowBijector) and not isinstance(part, Composite)
    return is_step and not part.is_initialized


def _wrong_steps(flow, y, context, tolerance, path=""):
    """Returns place and name of each bijector that fails the checks by itself."""
    if not tf.nest.is_nested(y):
        y, context = _finite_rows(y, context)
        if not len(y):
            return []
    wrong = [
        name
        for place, part, value, part_context in _parts(flow, y, context)
        for name in _wrong_steps(part, value, part_context, tolerance, path + place)
    ]
    ends = flow.forward_min_event_ndims, flow.inverse_min_event_ndims
    if wrong or any(map(tf.nest.is_nested, ends)):
        return wrong
    try:
        errors, _ = _errors(flow, y, context)
    except ValueError:  # another number of entries at both ends
        return []
    is_right = all(error <= tolerance for error in errors.values())
    return [] if is_right else [f"{path.lstrip('.')} `{flow.name}`".strip()]


def _finite_rows(y, context):
    finite = np.isfinite(np.reshape(y, [len(y), -1])).all(axis=1)
    return take_rows((y, context), np.flatnonzero(finite))


def _parts(flow, y, context):
    """Yields the place of each part, the part, values at its data end, and its context."""
    if isinstance(flow, FlowChain):
        context = flow.context_of_parts(context)
    if isinstance(flow, (FlowChain, MultiScale)):
        is_chain = isinstance(flow, FlowChain)
        name, parts = ("bijectors", flow.bijectors) if is_chain else ("levels", flow.levels)
        for i, part in enumerate(parts):
            part_context = context_for(part, context)
            yield f".{name}[{i}]", part, y, part_context
            y = part.inverse_and_log_det(y, context=part_context)[0]
            y = y if is_chain else y[..., : -flow.latent_shapes[i][-1]]
    elif isinstance(flow, Invert):
        y = flow.inverse_and_log_det(y, context=context)[0]
        yield ".bijector", flow.bijector, y, context
    elif isinstance(flow, Partial):
        yield ".bijector", flow.bijector, tf.constant(flow._changing(y)), context


def _error(value, truth):
    value, truth = np.asarray(value), np.asarray(truth)
    errors = np.abs(value - truth) / np.maximum(np.abs(truth), 1.0)
    return float(np.max(errors))  # NaN stays NaN, and fails


def _true_log_dets(flow, x, z, claimed, context):
    """The log-dets of the inverse at `x` and of the forward at `z`, by autodiff."""
    jacobian = _jacobian(flow.forward_and_log_det, z, context)
    size, latent_size = jacobian.shape[1:]
    if size != latent_size:
        log_det = _nearest_convention(_from_free_entries(jacobian, flow.name), claimed)
        return -log_det, log_det
    inverse = _jacobian(flow.inverse_and_log_det, x, context)
    return _log_det(inverse), _log_det(jacobian)


def _log_det(jacobian):
    return np.linalg.slogdet(jacobian)[1]


def _nearest_convention(jacobian, claimed):
    """Returns the log-det; on a simplex, the one of TFP's two kinds nearest `claimed`."""
    latent_size = jacobian.shape[-1]
    log_det = _log_det(jacobian[:, :latent_size])
    if jacobian.shape[1] == latent_size:
        return log_det
    from_surface = 0.5 * _log_det(np.swapaxes(jacobian, 1, 2) @ jacobian)
    return min(log_det, from_surface, key=lambda truth: _error(claimed, truth))


def _from_free_entries(jacobian, name):
    """Returns the rows of a Jacobian, `[N, size, latent_size]`, that are not zero.

    There must be as many rows as columns; on a simplex, one more.
    """
    _, size, latent_size = jacobian.shape
    free = np.flatnonzero(np.any(jacobian != 0.0, axis=(0, 2)))
    on_simplex = np.allclose(jacobian.sum(axis=1), 0.0, atol=1e-4)
    got = f"`{name}`, from {latent_size} to {size}, of which {len(free)} change"
    words = "a `bijector` between as many free entries at both ends"
    require(len(free) == latent_size + on_simplex, words, got)
    return jacobian[:, free]


def _jacobian(method, points, context):
    """Derivatives by autodiff, `[N, entries of the value, entries of the point]`."""

    def jacobian(flat):
        with tf.GradientTape() as tape:
            tape.watch(flat)
            values = method(tf.reshape(flat, points.shape), context=context)[0]
            flat_values = tf.reshape(values, [len(points), math.prod(values.shape[1:])])
        return tape.batch_jacobian(flat_values, flat)

    flat_points = tf.reshape(points, [len(points), math.prod(points.shape[1:])])
    return graph_function(jacobian)(flat_points).numpy()


def _integral(flow, z, event_shape, context):
    """Midpoint sum of the density over a box around the image of a standard normal."""
    size = math.prod(event_shape)
    if size > 2 or size != math.prod(z.shape[1:]):
        return None
    first = None if context is None else np.asarray(context)[:1]
    normal = np.random.default_rng(0).normal(size=(4096, *z.shape[1:]))
    y, _ = flow.forward_and_log_det(normal.astype(z.dtype.as_numpy_dtype), context=first)
    y = np.reshape(y, [-1, size])
    # Cells of equal size in asinh, which also cover heavy tails.
    center = np.median(y, axis=0)
    unit = np.maximum(np.median(np.abs(y - center), axis=0), 1e-30)
    stretched = np.arcsinh((y - center) / unit)
    low, high = stretched.min(axis=0), stretched.max(axis=0)
    low, high = low - 0.5 * (high - low), high + 0.5 * (high - low)
    count = 20_000 if size == 1 else 700
    cells = (np.arange(count)[:, None] + 0.5) / count
    stretched = low + cells * (high - low)
    widths = unit * np.cosh(stretched) * (high - low) / count
    grid = _product(center + unit * np.sinh(stretched))
    points = grid.reshape([-1, *event_shape]).astype(z.dtype.as_numpy_dtype)
    latent, log_det = flow.inverse_and_log_det(points, context=first)
    latent = np.reshape(latent, [len(grid), -1]).astype(np.float64)
    log_density = -0.5 * np.sum(latent**2 + math.log(2 * math.pi), axis=-1) + log_det
    # Stock bijectors return NaN outside their support, where the density is zero.
    density = np.nan_to_num(np.exp(log_density), nan=0.0)
    return float(np.sum(density * np.prod(_product(widths), axis=-1)))


def _product(columns):
    """Returns all combinations of one entry of each column, `[n, D]`, as rows."""
    axes = np.meshgrid(*columns.T)
    return np.stack([axis.ravel() for axis in axes], axis=-1)


@dataclasses.dataclass(frozen=True)
class BijectorReport:
    """The errors that `check_bijector` has measured; `print` it.

    Errors are the largest over the points, relative where the true value is above 1.
    Steps that are still the identity, a shift or a rotation were checked with random
    weights; `print` names them first.

    Attributes:
      num_points: number of points tried.
      event_shape: shape of one event at the data end.
      dtype: name of the dtype computed in.
      data_round_trip: error of `forward(inverse(x))`.
      latent_round_trip: error of `inverse(forward(z))`, at `z = inverse(x)`.
      inverse_log_det: error of the inverse's log-det against that of autodiff.
      forward_log_det: error of the forward's log-det against that of autodiff.
      integral: integral of the density with a standard normal base, over a grid; None for
        events of more than two variables. It should be 1.
      tolerance: largest errors that `passed` allows.
      identities: names of the steps with weights that are still the identity, a shift or
        a rotation; the name of the bijector if all of it is. They were checked with random
        weights.
      is_identity: whether all of the bijector is still the identity, a shift or a rotation.
      unchecked: names of the steps that are the identity with random weights too, so that
        they could not be checked.
      wrong_steps: place and name of each step whose own checks fail, or of the chain whose
        steps are right.

    >>> import tfp_flows
    >>> report = tfp_flows.check_bijector(tfp_flows.Permutation([1, 0]), [[1.0, 2.0]])
    >>> report.passed, report.data_round_trip
    (True, 0.0)
    """

    num_points: int
    event_shape: tuple
    dtype: str
    data_round_trip: float
    latent_round_trip: float
    inverse_log_det: float
    forward_log_det: float
    integral: float | None
    tolerance: float
    identities: tuple = ()
    is_identity: bool = False
    unchecked: tuple = ()
    wrong_steps: tuple = ()

    @property
    def passed(self) -> bool | None:
        """Whether all errors are within `tolerance`, and the integral within 0.01 of 1.

        None if they are, but some steps could not be checked (`unchecked`).
        """
        if not all(ok for _, _, ok in self._rows()):
            return False
        return None if self.unchecked else True

    def __str__(self) -> str:
        head = (
            f"check_bijector: {self.num_points} points of shape {self.event_shape}, "
            f"{self.dtype}, tolerance {self.tolerance:g}"
        )
        if self.identities:
            names = _quoted(self.identities)
            still = "Still the identity, a shift or a rotation"
            head = f"{still}, so checked with random weights: {names}.\n{head}"
        if self.unchecked:
            names = _quoted(self.unchecked)
            head = f"The identity with any weights, so nothing is known: {names}.\n{head}"
        rows = [
            f"  {'ok  ' if ok else 'FAIL'}  {name:<42} {value:.3g}"
            for name, value, ok in self._rows()
        ]
        if self.wrong_steps:
            rows.append("  wrong by itself: " + ", ".join(self.wrong_steps))
        return "\n".join([head, *rows])

    def _rows(self):
        errors = {
            "round trip from data, error": self.data_round_trip,
            "round trip from latent, error": self.latent_round_trip,
            "log-det of inverse against autodiff, error": self.inverse_log_det,
            "log-det of forward against autodiff, error": self.forward_log_det,
        }
        rows = [(name, e, bool(e <= self.tolerance)) for name, e in errors.items()]
        if self.integral is not None:
            right = bool(abs(self.integral - 1.0) <= 0.01)
            rows.append(("integral of the density (should be 1)", self.integral, right))
        return rows


def _quoted(names):
    return ", ".join(f"`{name}`" for name in names)
