"""Distributions of `tfp_flows` in JAX: what `to_jax` has recorded, without TensorFlow.

A recording is plain data: functions of a few dozen operations, named as in TensorFlow, and
arrays. Importing this module imports neither TensorFlow nor `tfp_flows`, and loading a file
runs no code of the file.
"""

from __future__ import annotations

import functools
import json
import math
import operator
import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

__all__ = ["JaxDistribution", "load"]

_FORMAT = 1
# Entry of a file with the functions, as JSON; other entries are arrays.
_DESCRIPTION = "description"


class JaxDistribution:
    """A distribution as pure functions of its weights, `params`.

    `jax.jit`, `jax.grad` and `jax.vmap` apply to `log_prob` and `sample`, which compile
    themselves for each shape. A loop whose length depends on its values, such as the root
    finder of a `MixtureCDF`, has no reverse-mode gradient in JAX, and raises its error.

    >>> import jax
    >>> import tfp_flows
    >>> dist = tfp_flows.FlowDistribution(tfp_flows.standard_normal(2), tfp_flows.MAF(2))
    >>> tfp_flows.to_jax(dist).save("flow.npz")

    Where only JAX is imported:

    >>> import tfp_flows_jax
    >>> flow = tfp_flows_jax.load("flow.npz")
    >>> x = flow.sample(flow.params, jax.random.key(0), 5)
    >>> jax.grad(lambda x: flow.log_prob(flow.params, x).sum())(x).shape
    (5, 2)

    Args:
      description: "functions" by name, as `tfp_flows.to_jax` records them; "event_shape",
        "context_size" and "dtype"; and "refused", the reason why a function is missing.
      params: trainable weights by name.
      constants: other arrays by name.
    """

    def __init__(
        self,
        description: Mapping[str, Any],
        params: Mapping[str, np.ndarray],
        constants: Mapping[str, np.ndarray],
    ) -> None:
        jax = _import_jax()
        self._arguments = dict(description), dict(params), dict(constants)
        self._description, self._params, self._constants = self._arguments
        interpreter = _Jax(description["functions"], constants)

        def log_prob(params, rows):
            return interpreter.call("log_prob", rows, params)[0]

        def sample(params, count, given):
            return interpreter.call("sample", [np.int32(count), *given], params)[0]

        self._log_prob = jax.jit(log_prob)
        self._sample = jax.jit(sample, static_argnums=1)

    @property
    def params(self) -> dict[str, Any]:
        """The trainable weights, by name: a new dict of JAX arrays."""
        self._check_bits()
        jnp = _import_jax().numpy
        return {name: jnp.asarray(weights) for name, weights in self._params.items()}

    @property
    def event_shape(self) -> tuple[int, ...]:
        """Shape of one event."""
        return tuple(self._description["event_shape"])

    @property
    def context_size(self) -> int:
        """Width of the context; 0 if the distribution is unconditional."""
        return self._description["context_size"]

    def log_prob(self, params: Mapping[str, Any], x: Any, context: Any = None) -> Any:
        """Returns the log-densities of `x`, `[...]`, in nats.

        Args:
          params: weights, as in the attribute `params`.
          x: `[..., *event]`.
          context: `[..., context_size]`, if the distribution is conditional. Its batch axes
            broadcast against those of `x`.

        Raises:
          ValueError: if a shape does not fit, `params` has other names, or the dtype is
            float64 and JAX is not set to 64 bits.
        """
        params, context = self._checked(params, context)
        jnp = _import_jax().numpy
        x, event = jnp.asarray(x, self._description["dtype"]), self.event_shape
        ndims = max(x.ndim - len(event), 0)
        words = f"`x` of shape [..., {', '.join(map(str, event))}]"
        _require(x.shape[ndims:] == event, words, x.shape)
        batch, rows = x.shape[:ndims], []
        if context is not None:
            batch = jnp.broadcast_shapes(batch, context.shape[:-1])
            context = jnp.broadcast_to(context, (*batch, self.context_size))
            rows.append(context.reshape(-1, self.context_size))
        x = jnp.broadcast_to(x, (*batch, *event)).reshape(-1, *event)
        return self._log_prob(params, [x, *rows]).reshape(batch)

    def sample(
        self, params: Mapping[str, Any], key: Any, num_samples: int, context: Any = None
    ) -> Any:
        """Draws `[num_samples, *batch, *event]` for contexts `[*batch, context_size]`.

        The distribution is TensorFlow's. The draws for a seed are not, since JAX has its
        own random numbers.

        Args:
          params: weights, as in the attribute `params`.
          key: key of `jax.random`.
          num_samples: number of draws for each context, a Python integer; under `jax.jit`,
            a static argument.
          context: `[..., context_size]`, if the distribution is conditional.

        Raises:
          ValueError: as for `log_prob`, or if the draws could not be recorded.
        """
        params, context = self._checked(params, context)
        refused = self._description["refused"].get("sample")
        _require(not refused, "a distribution whose draws JAX can compute", refused)
        is_integer = isinstance(num_samples, (int, np.integer))
        words = "`num_samples`, a Python integer (under `jit`, a static argument)"
        _require(is_integer, words, num_samples)
        given = [_import_jax().random.bits(key, (2,), "uint32").view("int32")]
        batch: tuple[int, ...] = ()
        if context is not None:
            batch = context.shape[:-1]
            given.append(context.reshape(-1, self.context_size))
        drawn = self._sample(params, int(num_samples), given)
        return drawn.reshape(num_samples, *batch, *self.event_shape)

    def save(self, path: str | os.PathLike) -> None:
        """Writes one file, which `load` reads without TensorFlow.

        Args:
          path: ends in `.npz`.

        Raises:
          ValueError: if it does not.
        """
        _require(os.fspath(path).endswith(".npz"), "`path` that ends in .npz", path)
        text = json.dumps({"format": _FORMAT, **self._description})
        arrays: dict[str, Any] = {_DESCRIPTION: np.array(text)}
        arrays |= {f"params/{name}": array for name, array in self._params.items()}
        arrays |= {f"constants/{name}": array for name, array in self._constants.items()}
        np.savez_compressed(path, **arrays)

    def __reduce__(self) -> tuple:
        return type(self), self._arguments

    def _check_bits(self):
        is_64_bit = _import_jax().config.jax_enable_x64
        words = "jax.config.update('jax_enable_x64', True) for a float64 distribution"
        _require(is_64_bit or self._description["dtype"] != "float64", words, "32 bits")

    def _checked(self, params, context):
        """Returns the weights and the context, as arrays."""
        self._check_bits()
        jnp, size = _import_jax().numpy, self.context_size
        expected = sorted(self._params)
        _require(sorted(params) == expected, f"`params` {expected}", sorted(params))
        params = {name: jnp.asarray(weights) for name, weights in params.items()}
        words = f"`context` of shape [..., {size}]" if size else "no `context`"
        if context is None:
            _require(not size, words, None)
            return params, None
        context = jnp.asarray(context, self._description["dtype"])
        _require(size and context.shape[-1:] == (size,), words, context.shape)
        return params, context


def load(path: str | os.PathLike) -> JaxDistribution:
    """Returns the distribution that `save` has written; imports no TensorFlow.

    Args:
      path: path of a file that may come from anyone: loading runs no code of it.

    Raises:
      ValueError: if it holds something else, or was written by a newer version.

    >>> import tfp_flows
    >>> dist = tfp_flows.FlowDistribution(tfp_flows.standard_normal(2), tfp_flows.MAF(2))
    >>> tfp_flows.to_jax(dist).save("flow.npz")
    >>> import tfp_flows_jax
    >>> tfp_flows_jax.load("flow.npz").event_shape
    (2,)
    """
    with np.load(path, allow_pickle=False) as file:
        _require(_DESCRIPTION in file.files, "a file that `save` has written", file.files)
        description = json.loads(str(file[_DESCRIPTION]))
        version = description.pop("format", None)
        is_known = isinstance(version, int) and version <= _FORMAT
        _require(is_known, f"a file of format {_FORMAT} or earlier", version)
        groups: dict[str, dict] = {"params": {}, "constants": {}}
        for entry in file.files:
            group, _, name = entry.partition("/")
            if group in groups:
                groups[group][name] = file[entry]
    missing = unsupported(description["functions"])
    _require(not missing, "operations that this version knows", sorted(missing))
    return JaxDistribution(description, groups["params"], groups["constants"])


class Interpreter:
    """Runs recorded functions; a subclass says on which kind of values.

    A value is a NumPy array, which is known, or what the subclass works with.

    Args:
      functions: by name, each `{"inputs": [...], "nodes": [...], "outputs": [...]}`. The
        inputs of a function that is called from outside are names: of arguments, or
        "params/..." and "constants/...". A node is an operation, the values that it takes,
        its attributes, and the number of its results. Values are numbered: the inputs
        first, then all results in order.
      constants: arrays by name.
    """

    def __init__(self, functions: Mapping, constants: Mapping) -> None:
        self._functions = functions
        self._constants = constants

    def call(self, name: str, arguments: Sequence, params: Mapping) -> list:
        """Calls a function on its arguments, in order, with all it reads besides."""
        given = iter(arguments)
        inputs = []
        for source in self._functions[name]["inputs"]:
            group, _, key = source.partition("/")
            named = {"params": params, "constants": self._constants}.get(group)
            inputs.append(next(given) if named is None else named[key])
        return self.run(name, inputs)

    def run(self, name: str, inputs: Sequence) -> list:
        """Returns the outputs of a function."""
        function = self._functions[name]
        values = list(inputs)
        for operation, sources, attributes, count in function["nodes"]:
            results = self._apply(operation, attributes, [values[i] for i in sources])
            values.extend([results] if count == 1 else results)
        return [values[i] for i in function["outputs"]]

    def _apply(self, operation, attributes, given):
        if operation == "Const":
            return self._constant(attributes)
        if operation == "Call":
            results = self.run(attributes["function"], given)
            return results if len(results) > 1 else results[0]
        if operation == "While":
            loop = Loop(self, attributes, given)
            results = loop.inputs_with(self._repeat(loop))
            return results if len(results) > 1 else results[0]
        if all(is_known(value) for value in given):
            with np.errstate(all="ignore"):
                return OPERATIONS[operation](np, attributes, *given)
        return self._result(operation, attributes, given)

    def _constant(self, attributes):
        if "array" in attributes:
            return self._constants[attributes["array"]]
        values = np.array(attributes["values"], attributes["dtype"])
        return values.reshape(attributes["shape"])

    def _result(self, operation, attributes, given):
        """Returns the result of an operation, or a list, if a given value is unknown."""
        raise NotImplementedError

    def _repeat(self, loop):
        """Returns the state after the last turn of a `Loop`."""
        raise NotImplementedError

    def without_unknown(self) -> Interpreter:
        """Returns an interpreter that computes what is known, and nothing else."""
        return _Counting(self._functions, self._constants)


class Loop:
    """A loop; inputs that its body returns unchanged are not part of its state.

    Args:
      interpreter: runs condition and body.
      attributes: names of "condition" and "body", and the positions that are "varying".
      inputs: values before the loop.
    """

    def __init__(
        self, interpreter: Interpreter, attributes: Mapping, inputs: Sequence
    ) -> None:
        self._interpreter = interpreter
        self._attributes = attributes
        self._inputs = inputs

    @property
    def state(self) -> list:
        """The values before the loop that it changes."""
        return [self._inputs[i] for i in self._attributes["varying"]]

    def inputs_with(self, state: Sequence) -> list:
        """Returns all inputs, changed to `state`."""
        inputs = list(self._inputs)
        for i, value in zip(self._attributes["varying"], state, strict=True):
            inputs[i] = value
        return inputs

    def goes_on(self, state: Sequence) -> Any:
        """Whether there is another turn."""
        name = self._attributes["condition"]
        return self._interpreter.run(name, self.inputs_with(state))[0]

    def body(self, state: Sequence) -> list:
        """Returns the state after a turn."""
        outputs = self._interpreter.run(self._attributes["body"], self.inputs_with(state))
        return [outputs[i] for i in self._attributes["varying"]]

    def turns(self) -> int | None:
        """Returns the number of turns; None if it depends on arguments or weights."""
        inputs = [v if is_known(v) else _Unknown() for v in self._inputs]
        loop = Loop(self._interpreter.without_unknown(), self._attributes, inputs)
        state, turns = loop.state, 0
        while (goes_on := loop.goes_on(state)) and not isinstance(goes_on, _Unknown):
            state, turns = loop.body(state), turns + 1
        return None if isinstance(goes_on, _Unknown) else turns


def is_known(value: Any) -> bool:
    """Whether a value is a NumPy array: it does not depend on arguments and weights."""
    return isinstance(value, (np.ndarray, np.generic))


class _Unknown:
    """An array that depends on arguments or weights."""


class _Counting(Interpreter):
    """Computes what is known, and nothing else."""

    def run(self, name, inputs):
        function = self._functions[name]
        values = list(inputs)
        for operation, sources, attributes, count in function["nodes"]:
            given = [values[i] for i in sources]
            if operation == "While" or not all(map(is_known, given)):
                values.extend(_Unknown() for _ in range(count))
            else:
                results = self._apply(operation, attributes, given)
                values.extend([results] if count == 1 else results)
        return [values[i] for i in function["outputs"]]


# Results of more entries are not kept as constants of a compiled function.
_MOST_KNOWN = 256


class _Jax(Interpreter):
    """Computes by `jax.numpy`; what is known remains NumPy's, so that shapes are static."""

    def _apply(self, operation, attributes, given):
        if operation == "Fill" and is_known(given[0]) and np.prod(given[0]) > _MOST_KNOWN:
            return self._result(operation, attributes, given)
        return super()._apply(operation, attributes, given)

    def _result(self, operation, attributes, given):
        first, *others = given
        if operation not in _TAKES_PARTS:
            others = [_whole(value) for value in others]
        given = [_whole(first), *others]
        return OPERATIONS[operation](_import_jax().numpy, attributes, *given)

    def _repeat(self, loop):
        jax = _import_jax()
        turns = loop.turns()
        state = [jax.numpy.asarray(_whole(value)) for value in loop.state]

        def turn(state):
            return [jax.numpy.asarray(_whole(value)) for value in loop.body(state)]

        if turns is None:  # JAX has no reverse-mode gradient of such a loop
            return jax.lax.while_loop(loop.goes_on, turn, state)
        return jax.lax.scan(lambda s, _: (turn(s), None), state, length=turns)[0]


def _whole(value):
    """Returns one array if `value` is a list of scalars, some known: see `_pack`."""
    return _import_jax().numpy.stack(value) if isinstance(value, list) else value


# The operations, by their names in TensorFlow: functions of `numpy` or `jax.numpy`, of
# attributes, and of tensors.


def _named(name):
    return lambda xp, attributes, *values: getattr(xp, name)(*values)


def _special(name, of_number):
    """A function of `jax.scipy.special`; for what is known, one of Python's numbers."""

    def apply(xp, attributes, x):
        if xp is np:
            return np.vectorize(of_number, otypes=[x.dtype])(x)
        return getattr(_import_jax().scipy.special, name)(x)

    return apply


def _reduction(name):
    def apply(xp, attributes, x, axes):
        axes = tuple(int(axis) for axis in np.ravel(axes))
        reduced = getattr(xp, name)(x, axis=axes, keepdims=attributes["keep_dims"])
        return reduced.astype(x.dtype)

    return apply


def _place(name):
    def apply(xp, attributes, x, axis):
        place = getattr(xp, name)(x, axis=int(axis))
        return _cast(xp, {"DstT": attributes["output_type"]}, place)

    return apply


def _greatest(xp, attributes, x, y):
    # At a tie, all of the gradient goes to x, as in TensorFlow.
    return xp.where((x >= y) | (x != x), x, y)


def _least(xp, attributes, x, y):
    return xp.where((x <= y) | (x != x), x, y)


def _power(xp, attributes, x, exponent):
    if is_known(exponent) and exponent.ndim == 0 and float(exponent).is_integer():
        return x ** int(exponent)
    return xp.power(x, exponent)


def _softplus(xp, attributes, x):
    return xp.logaddexp(x, xp.zeros_like(x))


def _sigmoid(xp, attributes, x):
    return 1 / (1 + np.exp(-x)) if xp is np else _import_jax().nn.sigmoid(x)


def _relu(xp, attributes, x):
    return np.maximum(x, 0) if xp is np else _import_jax().nn.relu(x)


def _elu(xp, attributes, x):
    return xp.where(x > 0, x, xp.expm1(xp.where(x > 0, xp.zeros_like(x), x)))


def _selu(xp, attributes, x):
    scale, alpha = 1.0507009873554805, 1.6732632423543772
    return scale * xp.where(x > 0, x, alpha * _elu(xp, attributes, x))


def _stop_gradient(xp, attributes, x):
    return x if xp is np else _import_jax().lax.stop_gradient(x)


def _not_nan(function):
    """Multiplies by y, or divides; 0 where y is 0."""

    def apply(xp, attributes, x, y):
        is_zero = y == 0
        return xp.where(is_zero, 0, getattr(xp, function)(x, xp.where(is_zero, 1, y)))

    return apply


def _cast(xp, attributes, x):
    name = attributes["DstT"]
    return x.astype(name if xp is np else _dtype(name))


def _dtype(name):
    """JAX's dtype: of 32 bits in place of 64, unless it is set to 64."""
    return _import_jax().dtypes.canonicalize_dtype(name)


def _bitcast(xp, attributes, x):
    return x.view(attributes["type"])


def _shift(name):
    def apply(xp, attributes, x, y):
        # JAX has 32 bits by default: shifts by more leave nothing of the word.
        bits = x.dtype.itemsize * 8
        shifted = getattr(xp, name)(x, xp.minimum(y, bits - 1).astype(x.dtype))
        return xp.where(y < bits, shifted, xp.zeros_like(x))

    return apply


def _shape(xp, attributes, x):
    return np.array(x.shape, attributes.get("out_type", "int32"))


def _sizes(shape):
    return tuple(int(size) for size in np.ravel(shape))


def _pack(xp, attributes, *values):
    if xp is not np and any(map(is_known, values)) and not any(np.ndim(v) for v in values):
        return list(values)  # of which each may be known or not
    return xp.stack(values, axis=attributes.get("axis", 0))


def _unpack(xp, attributes, x):
    axis = attributes.get("axis", 0)
    parts = [xp.take(x, i, axis=axis) for i in range(attributes["num"])]
    return parts if len(parts) > 1 else parts[0]


def _split(xp, attributes, x, sizes, axis):
    """Parts of x of the sizes; one size may be -1."""
    sizes, axis = list(_sizes(sizes)), int(axis)
    if -1 in sizes:
        sizes[sizes.index(-1)] = x.shape[axis] - (sum(sizes) + 1)
    parts = xp.split(x, np.cumsum(sizes)[:-1].tolist(), axis=axis)
    return parts if len(parts) > 1 else parts[0]


def _split_evenly(xp, attributes, axis, x):
    parts = xp.split(x, attributes["num_split"], axis=int(axis))
    return parts if len(parts) > 1 else parts[0]


def strided_index(
    attributes: Mapping, rank: int, begin: Any, end: Any, strides: Any
) -> list:
    """Returns the entries of a Python index for a `StridedSlice` of a tensor.

    Args:
      attributes: the masks.
      rank: number of axes of the tensor.
      begin: entries, which may be unknown for axes that vanish.
      end: array of integers.
      strides: array of integers.
    """

    def has(mask, i):
        return attributes.get(f"{mask}_mask", 0) >> i & 1

    count = len(strides)
    num_given = sum(not has("new_axis", i) and not has("ellipsis", i) for i in range(count))
    index: list = []
    for i in range(count):
        if has("ellipsis", i):
            index += [slice(None)] * (rank - num_given)
        elif has("new_axis", i):
            index.append(None)
        elif has("shrink_axis", i):
            index.append(int(begin[i]) if is_known(begin[i]) else begin[i])
        else:
            first = None if has("begin", i) else int(begin[i])
            last = None if has("end", i) else int(end[i])
            index.append(slice(first, last, int(strides[i])))
    return index


def _strided_slice(xp, attributes, x, begin, end, strides):
    return x[tuple(strided_index(attributes, x.ndim, begin, end, strides))]


def _slice(xp, attributes, x, begin, sizes):
    known = [is_known(first) for first in begin]
    sizes = [
        (x.shape[i] - int(begin[i]) if known[i] else None) if size == -1 else int(size)
        for i, size in enumerate(sizes)
    ]
    if all(known):
        pairs = zip(begin, sizes, strict=True)
        return x[tuple(slice(int(first), int(first) + size) for first, size in pairs)]
    return _import_jax().lax.dynamic_slice(x, list(begin), sizes)


def _gather(xp, attributes, x, indices, axis):
    axis, batch_dims = int(axis), attributes.get("batch_dims", 0)
    if not batch_dims:
        return xp.take(x, indices, axis=axis, mode="clip")
    _require(axis == batch_dims, "GatherV2 of the axis after the batch axes", axis)
    batch = np.ogrid[tuple(slice(size) for size in x.shape[:batch_dims])]
    spare = (1,) * (indices.ndim - batch_dims)
    index = [numbers.reshape(numbers.shape + spare) for numbers in batch]
    return x[tuple([*index, indices])]


def _coordinates(indices):
    return tuple(indices[..., k] for k in range(indices.shape[-1]))


def _gather_nd(xp, attributes, x, indices):
    return x[_coordinates(indices)]


def _upper_bound(xp, attributes, ordered, values):
    """The number of entries of each row of `ordered` that are at most each value."""
    rows = zip(ordered, values, strict=True)
    found = [xp.searchsorted(row, value, side="right") for row, value in rows]
    return xp.stack(found).astype(attributes["out_type"])


def _scatter_update(xp, attributes, x, indices, updates):
    if xp is not np:
        return xp.asarray(x).at[_coordinates(indices)].set(updates)
    x = x.copy()
    x[_coordinates(indices)] = updates
    return x


def _reverse(xp, attributes, x, axes):
    return xp.flip(x, axis=_sizes(axes))


def _pad(xp, attributes, x, paddings, value=0):
    return xp.pad(x, [tuple(map(int, pair)) for pair in paddings], constant_values=value)


def _one_hot(xp, attributes, indices, depth, on, off):
    axis = attributes.get("axis", -1)
    axis = indices.ndim if axis == -1 else axis
    numbers = np.arange(int(depth)).reshape([-1] + [1] * (indices.ndim - axis))
    return xp.where(xp.expand_dims(indices, axis) == numbers, on, off)


def _cumulative(name, start):
    def apply(xp, attributes, x, axis):
        axis = int(axis)
        x = xp.flip(x, axis) if attributes.get("reverse") else x
        total = getattr(xp, name)(x, axis=axis).astype(x.dtype)
        if attributes.get("exclusive"):
            shape = [1 if i == axis % x.ndim else n for i, n in enumerate(x.shape)]
            before = xp.take(total, np.arange(x.shape[axis] - 1), axis=axis)
            total = xp.concatenate([xp.full(shape, start, x.dtype), before], axis=axis)
        return xp.flip(total, axis) if attributes.get("reverse") else total

    return apply


def _softmax(xp, attributes, x):
    shifted = xp.exp(x - xp.max(x, axis=-1, keepdims=True))
    return shifted / xp.sum(shifted, axis=-1, keepdims=True)


def _log_softmax(xp, attributes, x):
    shifted = x - xp.max(x, axis=-1, keepdims=True)
    return shifted - xp.log(xp.sum(xp.exp(shifted), axis=-1, keepdims=True))


def _all_digits(xp):
    """Keywords of products: on accelerators, JAX rounds to fewer digits by default."""
    return {} if xp is np else {"precision": "highest"}


def _product(first, second):
    def apply(xp, attributes, x, y):
        x = xp.swapaxes(x, -1, -2) if attributes.get(first) else x
        y = xp.swapaxes(y, -1, -2) if attributes.get(second) else y
        return xp.matmul(x, y, **_all_digits(xp))

    return apply


def _einsum(xp, attributes, *values):
    return xp.einsum(attributes["equation"], *values, **_all_digits(xp))


def _triangular_solve(xp, attributes, matrix, right):
    lower, adjoint = attributes.get("lower", True), attributes.get("adjoint", False)
    if xp is np:
        matrix = np.tril(matrix) if lower else np.triu(matrix)
        return np.linalg.solve(np.swapaxes(matrix, -1, -2) if adjoint else matrix, right)
    options = {"lower": lower, "trans": 1 if adjoint else 0}
    return _import_jax().scipy.linalg.solve_triangular(matrix, right, **options)


def _band_part(xp, attributes, x, lower, upper):
    rows, columns = x.shape[-2:]
    distance = np.arange(rows)[:, None] - np.arange(columns)
    kept = (int(lower) < 0) | (distance <= int(lower))
    kept &= (int(upper) < 0) | (-distance <= int(upper))
    return xp.where(kept, x, xp.zeros_like(x))


def _diagonal_part(xp, attributes, x, k, padding):
    _main_diagonal(k)
    return xp.diagonal(x, axis1=-2, axis2=-1)


def _diagonal(xp, attributes, x, k, rows, columns, padding):
    _main_diagonal(k)
    return xp.where(np.eye(x.shape[-1]) > 0, x[..., None], xp.zeros([], x.dtype))


def _set_diagonal(xp, attributes, x, diagonal, k):
    _main_diagonal(k)
    return xp.where(np.eye(*x.shape[-2:]) > 0, diagonal[..., None], x)


def _main_diagonal(k):
    _require(not np.any(k), "an operation on the main diagonal", k)


def _key(*words):
    """Returns the key of JAX for words of TensorFlow's random numbers."""
    random = _import_jax().random
    key = random.key(0)
    for word in words:
        for part in np.ravel(word) if is_known(word) else word.reshape(-1):
            halves = [part, part >> 32] if part.dtype.itemsize == 8 else [part]
            for half in halves:
                key = random.fold_in(key, half.astype("uint32"))  # its low 32 bits
    return key


def _key_and_counter(xp, attributes, seed):
    words = seed.astype("uint32")
    return words[:1], xp.concatenate([words[1:], words[1:]])


def _draw(function):
    """A draw from JAX's random numbers: function of the key, shape and attributes."""

    def apply(xp, attributes, shape, key, counter, algorithm, *parameters):
        return function(_key(key, counter), _sizes(shape), attributes, *parameters)

    return apply


def _bits(key, shape, attributes):
    dtype = _dtype(attributes["dtype"])
    unsigned = f"uint{8 * dtype.itemsize}"
    return _import_jax().random.bits(key, shape, unsigned).view(dtype)


def _uniform(key, shape, attributes):
    return _import_jax().random.uniform(key, shape, _dtype(attributes["dtype"]))


def _normal(key, shape, attributes):
    return _import_jax().random.normal(key, shape, _dtype(attributes["dtype"]))


def _gamma(key, shape, attributes, alpha):
    return _import_jax().random.gamma(key, alpha, shape)


def _categorical(xp, attributes, logits, count, seed):
    shape = (int(count), logits.shape[0])
    drawn = _import_jax().random.categorical(_key(seed), logits, shape=shape)
    return drawn.T.astype(_dtype(attributes["output_dtype"]))


_TAKES_PARTS = {"Slice", "StridedSlice"}
_NAMES = {
    **{"Abs": "abs", "Neg": "negative", "Sign": "sign", "Exp": "exp", "Expm1": "expm1"},
    **{"Log": "log", "Log1p": "log1p", "Sqrt": "sqrt", "Square": "square", "Tanh": "tanh"},
    **{"Sin": "sin", "Cos": "cos", "Tan": "tan", "Atan": "arctan", "Atan2": "arctan2"},
    **{"Asin": "arcsin", "Acos": "arccos", "Sinh": "sinh", "Cosh": "cosh"},
    **{"Asinh": "arcsinh", "Acosh": "arccosh", "Atanh": "arctanh", "Floor": "floor"},
    **{"Ceil": "ceil", "Rint": "rint", "Round": "rint", "Reciprocal": "reciprocal"},
    **{"IsFinite": "isfinite", "IsNan": "isnan", "IsInf": "isinf"},
    **{"LogicalNot": "logical_not", "LogicalAnd": "logical_and", "LogicalOr": "logical_or"},
    **{"AddV2": "add", "Sub": "subtract", "Mul": "multiply", "RealDiv": "divide"},
    **{"FloorDiv": "floor_divide", "FloorMod": "remainder", "BiasAdd": "add"},
    **{"Equal": "equal", "NotEqual": "not_equal", "Less": "less", "Greater": "greater"},
    **{"LessEqual": "less_equal", "GreaterEqual": "greater_equal", "SelectV2": "where"},
    **{"BitwiseAnd": "bitwise_and", "BitwiseOr": "bitwise_or", "BitwiseXor": "bitwise_xor"},
    **{"ZerosLike": "zeros_like", "OnesLike": "ones_like"},
}
_REDUCTIONS = {"Sum": "sum", "Mean": "mean", "Prod": "prod", "Max": "max", "Min": "min"}
_REDUCTIONS |= {"Any": "any", "All": "all"}
OPERATIONS: dict[str, Callable] = {
    **{operation: _named(name) for operation, name in _NAMES.items()},
    **{operation: _reduction(name) for operation, name in _REDUCTIONS.items()},
    "AddN": lambda xp, a, *values: functools.reduce(operator.add, values),
    "ArgMax": _place("argmax"),
    "ArgMin": _place("argmin"),
    "BatchMatMulV2": _product("adj_x", "adj_y"),
    "Bitcast": _bitcast,
    "BroadcastArgs": lambda xp, a, x, y: np.array(
        np.broadcast_shapes(_sizes(x), _sizes(y)), x.dtype
    ),
    "BroadcastTo": lambda xp, a, x, shape: xp.broadcast_to(x, _sizes(shape)),
    "Cast": _cast,
    "ConcatV2": lambda xp, a, *values: xp.concatenate(values[:-1], axis=int(values[-1])),
    "Cumprod": _cumulative("cumprod", 1),
    "Cumsum": _cumulative("cumsum", 0),
    "DivNoNan": _not_nan("divide"),
    "Einsum": _einsum,
    "Elu": _elu,
    "Erf": _special("erf", math.erf),
    "Erfc": _special("erfc", math.erfc),
    "ExpandDims": lambda xp, a, x, axis: xp.expand_dims(x, int(axis)),
    "Fill": lambda xp, a, shape, value: xp.full(_sizes(shape), value, value.dtype),
    "GatherNd": _gather_nd,
    "GatherV2": _gather,
    "LeakyRelu": lambda xp, a, x: xp.where(x > 0, x, np.asarray(a["alpha"], x.dtype) * x),
    "LeftShift": _shift("left_shift"),
    "Lgamma": _special("gammaln", math.lgamma),
    "LogSoftmax": _log_softmax,
    "MatMul": _product("transpose_a", "transpose_b"),
    "MatrixBandPart": _band_part,
    "MatrixDiagPartV3": _diagonal_part,
    "MatrixDiagV3": _diagonal,
    "MatrixInverse": lambda xp, a, x: xp.linalg.inv(x),
    "MatrixSetDiagV3": _set_diagonal,
    "MatrixTriangularSolve": _triangular_solve,
    "Maximum": _greatest,
    "Minimum": _least,
    "MulNoNan": _not_nan("multiply"),
    "Ndtri": _special("ndtri", statistics.NormalDist().inv_cdf),
    "OneHot": _one_hot,
    "Pack": _pack,
    "Pad": _pad,
    "PadV2": _pad,
    "Pow": _power,
    "Range": lambda xp, a, first, end, step: np.arange(first, end, step, first.dtype),
    "Rank": lambda xp, a, x: np.array(x.ndim, np.int32),
    "Relu": _relu,
    "Reshape": lambda xp, a, x, shape: xp.reshape(x, _sizes(shape)),
    "ReverseV2": _reverse,
    "RightShift": _shift("right_shift"),
    "Rsqrt": lambda xp, a, x: 1 / xp.sqrt(x),
    "Selu": _selu,
    "Shape": _shape,
    "Sigmoid": _sigmoid,
    "Size": lambda xp, a, x: np.array(math.prod(x.shape), a.get("out_type", "int32")),
    "Slice": _slice,
    "Softmax": _softmax,
    "Softplus": _softplus,
    "Split": _split_evenly,
    "SplitV": _split,
    "SquaredDifference": lambda xp, a, x, y: (x - y) ** 2,
    "Squeeze": lambda xp, a, x: xp.squeeze(x, tuple(a.get("squeeze_dims") or ()) or None),
    "StatelessMultinomial": _categorical,
    "StatelessRandomGammaV3": _draw(_gamma),
    "StatelessRandomGetKeyCounter": _key_and_counter,
    "StatelessRandomNormalV2": _draw(_normal),
    "StatelessRandomUniformFullIntV2": _draw(_bits),
    "StatelessRandomUniformV2": _draw(_uniform),
    "StopGradient": _stop_gradient,
    "StridedSlice": _strided_slice,
    "TensorScatterUpdate": _scatter_update,
    "Tile": lambda xp, a, x, repeats: xp.tile(x, _sizes(repeats)),
    "Transpose": lambda xp, a, x, order: xp.transpose(x, _sizes(order)),
    "Unpack": _unpack,
    "UpperBound": _upper_bound,
}
_CONTROL = {"Const", "Call", "While"}


def unsupported(functions: Mapping) -> set[str]:
    """Returns the operations of functions that this module does not have."""
    used = {node[0] for function in functions.values() for node in function["nodes"]}
    return used - OPERATIONS.keys() - _CONTROL


def _import_jax():
    try:
        import jax
        import jax.numpy
        import jax.scipy.linalg
        import jax.scipy.special
    except ImportError as error:
        raise ImportError(
            "Expected JAX to be installed; got none: pip install 'tfp_flows[jax]'."
        ) from error
    return jax


def _require(holds, expected, got):
    if not holds:
        raise ValueError(f"Expected {expected}; got {got}.")
