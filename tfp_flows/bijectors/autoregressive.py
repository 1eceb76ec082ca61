"""The steps of MAF and IAF: an autoregressive map and its inverse."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, ClassVar, NoReturn

import tensorflow as tf

from tfp_flows.bijectors.check_conditioner import check_conditioner
from tfp_flows.core.arguments import check_size
from tfp_flows.core.conditioners import AutoregressiveConditioner, in_mode
from tfp_flows.core.event_shapes import OPPOSITE
from tfp_flows.core.flow_bijector import FlowBijector
from tfp_flows.transformers.affine import Affine
from tfp_flows.transformers.gated import Gated
from tfp_flows.transformers.transformer import Transformer


class AutoregressiveMap(FlowBijector):
    """The map `v_i = T(u_i; p_i)`, `p_i = conditioner_i(u_<i, context)`, and its inverse.

    The map takes one pass. Its inverse is solved one variable after another, with the
    arithmetic of one pass for an `AutoregressiveConditioner`, else in up to D calls. The
    gradient of the inverse follows from the implicit function theorem, and is solved one
    variable after another too, the last one first. `J` is the strictly triangular
    derivative of p by u, `L` the log-det of T, and a bar marks adjoints:

    ```none
    v_bar = (u_bar - L_u log_det_bar + J^T p_bar) / T_u
    p_bar = -T_p v_bar - L_p log_det_bar
    ```

    A subclass has the direction of the map, "forward" or "inverse", and the class of the
    default transformer, whose map in this direction is T.
    """

    _parallel_direction: ClassVar[str]
    _default_transformer: ClassVar[type[Transformer]]
    _default_name: ClassVar[str]

    def __init__(
        self,
        event_size: int,
        conditioner: Callable,
        transformer: Transformer | None = None,
        *,
        dtype: tf.DType | str = tf.float32,
        name: str | None = None,
    ) -> None:
        check_size("event_size", event_size)
        transformer = self._default_transformer() if transformer is None else transformer
        super().__init__(
            event_ndims=1,
            event_shape=[event_size],
            context_size=getattr(conditioner, "context_size", 0),
            dtype=dtype,
            name=name or self._default_name,
        )
        shape = [event_size]
        check_conditioner(conditioner, shape, shape, transformer, self.dtype)
        self._event_size = int(event_size)
        self._conditioner: Any = conditioner
        self._transformer = transformer

    @property
    def conditioner(self) -> Callable:
        """The autoregressive network."""
        return self._conditioner

    def replace_variables(self, tensors: dict) -> NoReturn:
        """Raises: the gradient of the sequential direction would miss the tensors."""
        raise ValueError(
            "Expected steps whose weights may be tensors in a `Scan`; got the "
            f"autoregressive step `{self.name}`."
        )

    @property
    def is_monotone(self) -> bool:
        """Whether the transformer is monotone."""
        return self._transformer.is_monotone

    @property
    def sequential_directions(self) -> frozenset[str]:
        """The direction that undoes the map."""
        return frozenset({OPPOSITE[self._parallel_direction]})

    def _run(self, direction, value, context, training):
        if direction == self._parallel_direction:
            return self._parallel(value, context, training)
        return self._sequential(value, context)

    _forward_and_log_det = functools.partialmethod(_run, "forward")
    _inverse_and_log_det = functools.partialmethod(_run, "inverse")

    def _transform_in(self, direction):
        """T or T^-1, elementwise: a function of values and parameters."""
        return getattr(self._transformer, f"{direction}_and_log_det")

    def _parallel(self, u, context, training):
        """Applies the map to `u`, `[..., D]`; returns v and the log-det, `[...]`."""
        parameters = self._parameters_of(u, context, training)
        v, log_det = self._transform_in(self._parallel_direction)(u, parameters)
        return v, tf.reduce_sum(log_det, axis=-1)

    def _sequential(self, v, context):
        """Undoes the map on `v`, `[..., D]`; returns u and its log-det, `[...]`."""

        @tf.custom_gradient
        def solve(v, *contexts):
            solver = self._solver(v.dtype)
            direction = OPPOSITE[self._parallel_direction]
            solve_one = _OneVariable(self._transform_in(direction))
            u, log_det = solver.solve(v, *(contexts or [None]), solve_one)

            def gradient(*bars, variables=()):
                adjoints = self._adjoints(solver, u, contexts, variables, *bars)
                v_bar, *others = map(_without_derivative, adjoints)
                inputs = [v_bar, *others[: len(contexts)]]
                return (inputs, others[len(contexts) :]) if variables else inputs

            return (u, log_det), gradient

        return solve(v) if context is None else solve(v, context)

    def _adjoints(self, solver, u, contexts, variables, u_bar, log_det_bar):
        """Returns adjoints of v, the context (if any) and variables, from those of u."""
        sources = [u, *contexts, *variables]
        with tf.GradientTape() as tape:
            tape.watch(sources)
            p = self._parameters_of(u, *(contexts or [None]))
        with tf.GradientTape(persistent=True) as elementwise:
            elementwise.watch([u, p])
            v, log_det = self._transform_in(self._parallel_direction)(u, p)
        v_by_u, v_by_p = _gradients(elementwise, v, [u, p])
        bar = tf.broadcast_to(-log_det_bar[..., None], tf.shape(log_det))
        from_u, from_p = _gradients(elementwise, log_det, [u, p], bar)
        u_bar += from_u
        u_by_p = -v_by_p / v_by_u[..., None, :]
        p_bar = solver.solve_adjoint(u, *(contexts or [None]), u_bar, u_by_p, from_p)
        through_p, *others = _gradients(tape, p, sources, bounded_adjoint(p_bar))
        return bounded_adjoint((u_bar + through_p) / v_by_u), *others

    def _parameters_of(self, u, context, training=False):
        outputs = in_mode(self._conditioner, training)(u, context)
        return self._transformer.parameters_of(outputs, self._event_size)

    def _solver(self, dtype):
        conditioner, one_by_one = self._conditioner, not self._transformer.knows_variables
        solves = isinstance(conditioner, AutoregressiveConditioner)
        if one_by_one and solves and conditioner.can_solve(dtype):
            return conditioner
        return SweptConditioner(self._parameters_of)


@tf.custom_gradient
def _without_derivative(adjoint):
    """Returns `adjoint`, whose own gradient is refused, since it would be wrong."""

    def gradient(_):
        raise LookupError(
            "Expected first derivatives of the sequential direction of an autoregressive "
            "map; got second ones, or forward mode, which it does not have."
        )

    return tf.identity(adjoint), gradient


@dataclasses.dataclass(frozen=True)
class _OneVariable:
    """The argument `solve_one` of `solve`; equal (==) for steps of one transformer."""

    transform_back: Callable

    def __call__(self, v, parameters):
        return self.transform_back(v[0], parameters)


def _gradients(tape, target, sources, bar=None):
    return tape.gradient(target, sources, bar, unconnected_gradients="zero")


class MaskedAutoregressive(AutoregressiveMap):
    """Transforms each variable given the previous variables of the data.

    ```none
    inverse:  x_i = transformer^-1(y_i; conditioner_i(y_<i, context))    parallel
    log_det:  the sum of the transformer's
    forward:  y_i = transformer(x_i; conditioner_i(y_<i, context))       sequential
    ```

    Args:
      event_size: number of variables, D.
      conditioner: callable of `(y, context)`, autoregressive in some ordering; returns
        `[..., P * D]`. `Conditioner` makes one of a `MaskedMLP`.
      transformer: `Affine()` by default.
      dtype: dtype of inputs and weights.
      name: name of the bijector.

    Raises:
      ValueError: if the conditioner's shapes do not fit D and the transformer.

    >>> import tfp_flows
    >>> network = tfp_flows.MaskedMLP(2, (16,), tfp_flows.natural_ordering(3), seed=0)
    >>> step = tfp_flows.MaskedAutoregressive(3, tfp_flows.Conditioner(network, 3))
    >>> step.sequential_directions
    frozenset({'forward'})

    Reference:
      Papamakarios, Pavlakou, Murray (2017), MAF, equations 3 to 5.
      https://arxiv.org/abs/1705.07057
    """

    _parallel_direction = "inverse"
    _default_transformer = Affine
    _default_name = "masked_autoregressive"


class InverseAutoregressive(AutoregressiveMap):
    """Transforms each variable given the previous variables of the latent.

    ```none
    forward:  y_i = transformer(x_i; conditioner_i(x_<i, context))       parallel
    log_det:  the sum of the transformer's
    inverse:  x_i = transformer^-1(y_i; conditioner_i(x_<i, context))    sequential
    ```

    Args:
      event_size: number of variables, D.
      conditioner: callable of `(x, context)`, autoregressive in some ordering; returns
        `[..., P * D]`. `Conditioner` makes one of a `MaskedMLP`.
      transformer: `Gated()` by default, the paper's stable form.
      dtype: dtype of inputs and weights.
      name: name of the bijector.

    Raises:
      ValueError: if the conditioner's shapes do not fit D and the transformer.

    >>> import tfp_flows
    >>> network = tfp_flows.MaskedMLP(2, (16,), tfp_flows.natural_ordering(3), seed=0)
    >>> step = tfp_flows.InverseAutoregressive(3, tfp_flows.Conditioner(network, 3))
    >>> step.sequential_directions
    frozenset({'inverse'})

    Reference:
      Kingma et al. (2016), IAF, Algorithm 1. https://arxiv.org/abs/1606.04934
    """

    _parallel_direction = "forward"
    _default_transformer = Gated
    _default_name = "inverse_autoregressive"


class SweptConditioner(AutoregressiveConditioner):
    """Solves for all variables at once, repeatedly, with a conditioner of any kind.

    Each sweep solves for all variables given the result of the last sweep, until nothing
    changes. At most D sweeps are needed, since each makes one more variable exact.

    Args:
      parameters_of: function of `(u, context)` that returns parameters, `[..., P, D]`.
    """

    def __init__(self, parameters_of: Callable) -> None:
        self._parameters_of = parameters_of

    def can_solve(self, dtype: tf.DType | str) -> bool:
        """Whether it takes any dtype: True."""
        return True

    def solve(
        self, values: tf.Tensor, context: tf.Tensor | None, solve_one: Callable
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """See `AutoregressiveConditioner`; here for values `[..., D]` only."""

        def sweep(u):
            parameters = self._parameters_of(u, context)
            # All variables as one variable of many rows: [1, N] and [P, N].
            rank = parameters.shape.rank
            first = [rank - 2, *range(rank - 2), rank - 1]
            rows = tf.reshape(tf.transpose(parameters, first), [parameters.shape[-2], -1])
            solved = solve_one(tf.reshape(values, [1, -1]), rows)
            return [tf.reshape(part, tf.shape(values)) for part in solved]

        u = _fixed_point(lambda u: sweep(u)[0], tf.zeros_like(values), values.shape[-1])
        u, log_det = sweep(u)
        return u, tf.reduce_sum(log_det, axis=-1)

    def solve_adjoint(
        self,
        u: tf.Tensor,
        context: tf.Tensor | None,
        u_bar: tf.Tensor,
        u_by_p: tf.Tensor,
        offset: tf.Tensor,
    ) -> tf.Tensor:
        """See `AutoregressiveConditioner`."""
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(u)
            p = self._parameters_of(u, context)

        def sweep(p_bar):
            through_p = tape.gradient(p, u, p_bar, unconnected_gradients="zero")
            return u_by_p * (u_bar + through_p)[..., None, :] + offset

        return _fixed_point(sweep, tf.zeros_like(u_by_p), u.shape[-1])


def _fixed_point(sweep, start, most):
    """Repeats `sweep` until nothing changes, `most` times at most."""

    def changing(i, value, previous):
        return (i < most) & tf.reduce_any(value != previous)

    def body(i, value, _):
        return i + 1, sweep(value), value

    return tf.while_loop(
        changing, body, (tf.constant(1), sweep(start), start), maximum_iterations=most
    )[1]


def bounded_adjoint(bar: tf.Tensor) -> tf.Tensor:
    """Returns `bar` with zeros for entries above the root of the largest float.

    Points far outside the data have latents and gradients near the largest float, whose
    products would overflow to infinity and then to NaN.
    """
    return tf.where(tf.abs(bar) < bar.dtype.max**0.5, bar, tf.zeros_like(bar))
