"""Operations of TensorFlow as nodes of ONNX: a writer for each.

A writer is a function of the interpreter w, the operation's attributes, and its values. It
adds nodes by `w.emit`, and returns the names of the results. To export a further operation,
add its writer to `WRITERS`.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import tfp_flows_jax
from tfp_flows.core.arguments import require
from tfp_flows_jax import OPERATIONS, is_known

_LARGEST = np.iinfo(np.int64).max


class Symbol(NamedTuple):
    """A value that the file computes.

    Attributes:
      name: its name in the file.
      example: its value for rows of zeros.
    """

    name: str
    example: np.ndarray

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.example.ndim

    @property
    def dtype(self) -> np.dtype:
        """Dtype of the entries."""
        return self.example.dtype


def example_of(value: Any) -> Any:
    """Returns the example of a `Symbol`; a known value as it is."""
    return value.example if isinstance(value, Symbol) else value


def _node(operation, **fixed):
    return lambda w, attributes, *values: w.emit(operation, *values, **fixed)


def _integers(w, value):
    """Returns a shape, or another vector of integers, in ONNX's dtype of shapes."""
    if is_known(value):
        return np.asarray(value, np.int64)
    return w.emit("Cast", value, to=onnx_type(np.dtype(np.int64)))


def _with_integers(operation):
    """Returns the writer of an operation whose last value is a vector of integers."""

    def write(w, attributes, x, vector):
        return w.emit(operation, x, _integers(w, vector))

    return write


def _cast(w, attributes, x, dtype=None):
    return w.emit("Cast", x, to=onnx_type(np.dtype(dtype or attributes["DstT"])))


def _like(x, value):
    """A scalar of the dtype of x."""
    return np.array(value, x.dtype)


def _softplus(w, attributes, x):
    if x.dtype == np.float32:
        return w.emit("Softplus", x)
    # Onnxruntime's own overflows in float64.
    ratio = w.emit("Exp", w.emit("Neg", w.emit("Abs", x)))
    log_term = _log_one_plus(w, ratio, x)
    return w.emit("Add", w.emit("Max", x, _like(x, 0)), log_term)


def _log1p(w, attributes, x):
    return w.emit("Where", w.emit("IsInf", x), x, _log_one_plus(w, x, x))


def _log_one_plus(w, value, like):
    # log(u) x / (u - 1) for u = 1 + x as rounded, which loses no digits for small x.
    one = _like(like, 1)
    u = w.emit("Add", value, one)
    growth = w.emit("Sub", u, one)
    is_one = w.emit("Equal", growth, _like(like, 0))
    safe = w.emit("Where", is_one, one, growth)
    result = w.emit("Mul", w.emit("Log", u), w.emit("Div", value, safe))
    return w.emit("Where", is_one, value, result)


def _expm1(w, attributes, x):
    # (u - 1) x / log(u) for u = exp(x) as rounded.
    u = w.emit("Exp", x)
    growth = w.emit("Sub", u, _like(x, 1))
    # Beyond these bounds, rounding is no concern, and u may be 0 or infinite.
    is_small = w.emit("Less", w.emit("Abs", x), _like(x, 1))
    is_one = w.emit("Equal", growth, _like(x, 0))
    logarithm = w.emit("Log", w.emit("Where", is_small, u, _like(x, 2)))
    logarithm = w.emit("Where", is_one, _like(x, 1), logarithm)
    result = w.emit("Mul", growth, w.emit("Div", x, logarithm))
    result = w.emit("Where", is_small, result, growth)
    return w.emit("Where", is_one, x, result)


def _erfc(w, attributes, x):
    # 1 - erf(x) for small |x|, else a fraction of exp(-x^2) with a polynomial in t. The
    # coefficients are those of Numerical Recipes, with a relative error of 1.2e-7.
    z = w.emit("Abs", x)
    t = w.emit(
        "Div", _like(x, 1), w.emit("Add", w.emit("Mul", z, _like(x, 0.5)), _like(x, 1))
    )
    total = _like(x, _ERFC[0])
    for coefficient in _ERFC[1:]:
        total = w.emit("Add", w.emit("Mul", total, t), _like(x, coefficient))
    exponent = w.emit("Sub", total, w.emit("Mul", z, z))
    tail = w.emit("Mul", t, w.emit("Exp", exponent))
    tail = w.emit(
        "Where", w.emit("Less", x, _like(x, 0)), w.emit("Sub", _like(x, 2), tail), tail
    )
    is_near = w.emit("Less", z, _like(x, 0.5))
    return w.emit("Where", is_near, w.emit("Sub", _like(x, 1), w.emit("Erf", x)), tail)


# Coefficients of the polynomial, highest power first.
_ERFC = [0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806]
_ERFC += [0.09678418, 0.37409196, 1.00002368, -1.26551223]


def _is_finite(w, attributes, x):
    return w.emit("Not", w.emit("Or", w.emit("IsNaN", x), w.emit("IsInf", x)))


def _floor_mod(w, attributes, x, y):
    if np.issubdtype(x.dtype, np.integer):
        return w.emit("Mod", x, y)
    remainder = w.emit("Mod", x, y, fmod=1)
    is_below = w.emit("Less", w.emit("Mul", remainder, y), _like(x, 0))
    return w.emit("Where", is_below, w.emit("Add", remainder, y), remainder)


def _floor_div(w, attributes, x, y):
    if np.issubdtype(x.dtype, np.integer):
        return w.emit("Div", w.emit("Sub", x, w.emit("Mod", x, y)), y)
    return w.emit("Floor", w.emit("Div", x, y))


def _power(w, attributes, x, exponent):
    if is_known(exponent) and exponent.ndim == 0 and exponent == 2:
        return w.emit("Mul", x, x)
    return w.emit("Pow", x, exponent)


def _squared_difference(w, attributes, x, y):
    difference = w.emit("Sub", x, y)
    return w.emit("Mul", difference, difference)


def _not_nan(operation):
    def write(w, attributes, x, y):
        zero = w.emit("Equal", y, _like(y, 0))
        result = w.emit(operation, x, w.emit("Where", zero, _like(y, 1), y))
        return w.emit("Where", zero, _like(x, 0), result)

    return write


def _reduction(operation):
    def write(w, attributes, x, axes):
        if not np.size(axes):
            return w.emit("Identity", x)
        keep = int(attributes["keep_dims"])
        axes = np.ravel(axes).astype(np.int64)
        if x.dtype != bool:
            return w.emit(operation, x, axes, keepdims=keep)
        number = _cast(w, attributes, x, np.int32)
        return _cast(w, attributes, w.emit(operation, number, axes, keepdims=keep), bool)

    return write


def _extreme(operation):
    def write(w, attributes, x, axis):
        index = w.emit(operation, x, axis=int(axis), keepdims=0)
        return _cast(w, attributes, index, attributes["output_type"])

    return write


def _count(operation):
    def write(w, attributes, x):
        dtype = attributes.get("out_type", "int32")
        return _cast(w, attributes, w.emit(operation, x), dtype)

    return write


def _expand_dims(w, attributes, x, axis):
    return w.emit("Unsqueeze", x, np.ravel(axis).astype(np.int64))


def _squeeze(w, attributes, x):
    axes = attributes.get("squeeze_dims")
    return w.emit("Squeeze", x, *([np.array(axes, np.int64)] if axes else []))


def _transpose(w, attributes, x, order):
    return w.emit("Transpose", x, perm=[int(axis) for axis in order])


def _concat(w, attributes, *values):
    return w.emit("Concat", *values[:-1], axis=int(values[-1]))


def _pack(w, attributes, *values):
    axis = attributes.get("axis", 0)
    parts = [w.emit("Unsqueeze", value, np.array([axis])) for value in values]
    return w.emit("Concat", *parts, axis=axis)


def _unpack(w, attributes, x):
    axis, count = attributes.get("axis", 0), attributes["num"]
    parts = [w.emit("Gather", x, np.array(i), axis=axis) for i in range(count)]
    return parts if count > 1 else parts[0]


def _split(w, attributes, x, sizes, axis):
    sizes, axis = np.ravel(sizes).astype(np.int64), int(axis)
    if -1 in sizes:
        sizes[sizes == -1] = x.example.shape[axis] - (sizes.sum() + 1)
    return w.emit("Split", x, sizes, axis=axis, count=len(sizes))


def _split_evenly(w, attributes, axis, x):
    count = attributes["num_split"]
    return w.emit("Split", x, axis=int(axis), num_outputs=count, count=count)


def _strided_slice(w, attributes, x, begin, end, strides):
    if is_known(begin) and is_known(end):
        index = tfp_flows_jax.strided_index(attributes, x.ndim, begin, end, strides)
        return _indexed(w, x, index)

    def bits(mask):
        return np.array(
            [attributes.get(f"{mask}_mask", 0) >> i & 1 for i in range(len(strides))], bool
        )

    simple = (
        not bits("ellipsis").any() and not bits("new_axis").any() and (strides > 0).all()
    )
    require(simple, "a StridedSlice of plain slices and indices", attributes)
    begin, end = _integers(w, begin), _integers(w, end)
    next_one = w.emit("Add", begin, np.array(1))
    is_last = w.emit("Equal", next_one, np.array(0))
    next_one = w.emit("Where", is_last, np.array(_LARGEST), next_one)
    end = w.emit("Where", bits("shrink_axis"), next_one, end)
    end = w.emit("Where", bits("end") & ~bits("shrink_axis"), np.array(_LARGEST), end)
    begin = w.emit("Where", bits("begin") & ~bits("shrink_axis"), np.array(0), begin)
    axes = np.arange(len(strides))
    sliced = w.emit("Slice", x, begin, end, axes, strides.astype(np.int64))
    vanishing = axes[bits("shrink_axis")]
    return w.emit("Squeeze", sliced, vanishing) if vanishing.size else sliced


def _indexed(w, x, index):
    """Writes `x[index]` for integers, slices and None."""
    axis, result_axis = 0, 0
    first, last, axes, steps, vanishing, new = [], [], [], [], [], []
    for entry in index:
        if entry is None:
            new.append(result_axis)
            result_axis += 1
            continue
        if isinstance(entry, int):
            vanishing.append(axis)
            entry = slice(entry, None if entry == -1 else entry + 1, 1)
        else:
            result_axis += 1
        step = entry.step or 1
        if (entry.start, entry.stop, step) != (None, None, 1):
            ends = (0, _LARGEST) if step > 0 else (_LARGEST, -_LARGEST)
            ends_and_limits = zip((entry.start, entry.stop), ends, strict=True)
            start, stop = (limit if e is None else e for e, limit in ends_and_limits)
            first.append(start)
            last.append(stop)
            axes.append(axis)
            steps.append(step)
        axis += 1
    for operation, *vectors in (
        ("Slice", first, last, axes, steps),
        ("Squeeze", vanishing),
        ("Unsqueeze", new),
    ):
        if vectors[0]:
            x = w.emit(operation, x, *(np.array(v, np.int64) for v in vectors))
    return w.emit("Identity", x)


def _slice(w, attributes, x, begin, sizes):
    axes = np.arange(len(sizes))
    if is_known(begin) and is_known(sizes):
        ends = [_LARGEST if n == -1 else b + n for b, n in zip(begin, sizes, strict=True)]
        return w.emit("Slice", x, begin.astype(np.int64), np.array(ends, np.int64), axes)
    begin, sizes = _integers(w, begin), _integers(w, sizes)
    end = w.emit("Add", begin, sizes)
    is_rest = w.emit("Equal", sizes, np.array(-1))
    end = w.emit("Where", is_rest, np.array(_LARGEST), end)
    return w.emit("Slice", x, begin, end, axes)


def _gather(w, attributes, x, indices, axis):
    batch_dims, axis = attributes.get("batch_dims", 0), int(axis)
    if not batch_dims:
        return w.emit("Gather", x, indices, axis=axis)
    require(axis == batch_dims, "GatherV2 of the axis after the batch axes", axis)
    indices = w.emit("Unsqueeze", _integers(w, indices), np.array([-1]))
    return w.emit("GatherND", x, indices, batch_dims=batch_dims)


def _upper_bound(w, attributes, ordered, values):
    ordered = w.emit("Unsqueeze", ordered, np.array([1]))
    values = w.emit("Unsqueeze", values, np.array([2]))
    is_below = _cast(w, attributes, w.emit("LessOrEqual", ordered, values), np.int32)
    return w.emit("ReduceSum", is_below, np.array([2]), keepdims=0)


def _scatter_update(w, attributes, x, indices, updates):
    return w.emit("ScatterND", x, _integers(w, indices), updates)


def _reverse(w, attributes, x, axes):
    index: list = [slice(None)] * x.ndim
    for axis in np.ravel(axes):
        index[axis] = slice(None, None, -1)
    return _indexed(w, x, index)


def _pad(w, attributes, x, paddings, *value):
    pads = _integers(w, paddings)
    pads = pads.T.ravel() if is_known(pads) else w.emit("Transpose", pads, perm=[1, 0])
    pads = pads if is_known(pads) else w.emit("Reshape", pads, np.array([-1]))
    return w.emit("Pad", x, pads, *(value or [_like(x, 0)]))


def _one_hot(w, attributes, indices, depth, on, off):
    axis = attributes.get("axis", -1)
    axis = indices.ndim if axis == -1 else axis
    numbers = np.arange(int(depth), dtype=indices.dtype)
    numbers = numbers.reshape([-1] + [1] * (indices.ndim - axis))
    spread = w.emit("Unsqueeze", indices, np.array([axis]))
    return w.emit("Where", w.emit("Equal", spread, numbers), on, off)


def _fill(w, attributes, shape, value):
    return w.emit("Expand", value, _integers(w, shape))


def _broadcast_args(w, attributes, x, y):
    length = max(len(example_of(x)), len(example_of(y)))
    padded = []
    for shape in (x, y):
        ones = np.ones(length - len(example_of(shape)), np.int64)
        padded.append(w.emit("Concat", ones, _integers(w, shape), axis=0))
    return _cast(w, attributes, w.emit("Max", *padded), np.int32)


def _filled_like(number):
    return lambda w, attributes, x: w.emit("Expand", _like(x, number), w.emit("Shape", x))


def _cumsum(w, attributes, x, axis):
    options = {name: int(attributes.get(name, False)) for name in ("exclusive", "reverse")}
    return w.emit("CumSum", x, np.array(int(axis)), **options)


def _product(first, second):
    def write(w, attributes, x, y):
        def transposed(value, name):
            if not attributes.get(name):
                return value
            if is_known(value):
                return np.swapaxes(value, -1, -2)
            order = list(range(value.ndim))
            return w.emit("Transpose", value, perm=[*order[:-2], order[-1], order[-2]])

        return w.emit("MatMul", transposed(x, first), transposed(y, second))

    return write


def _triangular_solve(w, attributes, matrix, right):
    words = "MatrixTriangularSolve of a matrix that does not depend on rows"
    require(is_known(matrix), words, "another")
    eye = np.eye(len(matrix), dtype=np.float64)
    inverse = OPERATIONS["MatrixTriangularSolve"](np, attributes, matrix, eye)
    return w.emit("MatMul", inverse.astype(matrix.dtype), right)


def _diagonal_part(w, attributes, x, k, padding):
    eye = np.eye(*x.example.shape[-2:]) > 0
    return w.emit(
        "ReduceSum", w.emit("Where", eye, x, _like(x, 0)), np.array([-1]), keepdims=0
    )


def _diagonal(w, attributes, x, k, rows, columns, padding):
    eye = np.eye(x.example.shape[-1]) > 0
    return w.emit("Where", eye, w.emit("Unsqueeze", x, np.array([-1])), _like(x, 0))


_SAME_NAME = ["Abs", "Neg", "Sign", "Exp", "Log", "Sqrt", "Tanh", "Sin", "Cos", "Tan"]
_SAME_NAME += ["Atan", "Asin", "Acos", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh", "Floor"]
_SAME_NAME += ["Ceil", "Round", "Reciprocal", "Sigmoid", "Relu", "Erf", "Sub"]
_SAME_NAME += ["Mul", "Equal", "Less", "Greater", "IsInf", "Elu", "Selu", "Range"]
_NAMES = {
    **{name: name for name in _SAME_NAME},
    **{"AddV2": "Add", "BiasAdd": "Add", "RealDiv": "Div", "Maximum": "Max"},
    **{"Minimum": "Min", "LessEqual": "LessOrEqual", "GreaterEqual": "GreaterOrEqual"},
    **{"LogicalAnd": "And", "LogicalOr": "Or", "LogicalNot": "Not", "IsNan": "IsNaN"},
    **{"SelectV2": "Where", "AddN": "Sum", "Rint": "Round", "StopGradient": "Identity"},
}
# Operations of which onnxruntime has no kernels in float64.
IN_FLOAT32 = {"Erf", "Erfc", "Asinh", "Acosh", "Atanh", "Sinh", "Cosh", "Tan", "Atan"}
IN_FLOAT32 |= {"Asin", "Acos"}
WRITERS: dict[str, Callable] = {
    **{operation: _node(name) for operation, name in _NAMES.items()},
    "All": _reduction("ReduceMin"),
    "Any": _reduction("ReduceMax"),
    "ArgMax": _extreme("ArgMax"),
    "ArgMin": _extreme("ArgMin"),
    "BatchMatMulV2": _product("adj_x", "adj_y"),
    "BroadcastArgs": _broadcast_args,
    "BroadcastTo": _with_integers("Expand"),
    "Cast": _cast,
    "ConcatV2": _concat,
    "Cumsum": _cumsum,
    "DivNoNan": _not_nan("Div"),
    "Einsum": lambda w, a, *xs: w.emit("Einsum", *xs, equation=a["equation"]),
    "ExpandDims": _expand_dims,
    "Erfc": _erfc,
    "Expm1": _expm1,
    "Fill": _fill,
    "FloorDiv": _floor_div,
    "FloorMod": _floor_mod,
    "GatherNd": _with_integers("GatherND"),
    "GatherV2": _gather,
    "IsFinite": _is_finite,
    "LeakyRelu": lambda w, a, x: w.emit("LeakyRelu", x, alpha=a["alpha"]),
    "Log1p": _log1p,
    "Softplus": _softplus,
    "LogSoftmax": _node("LogSoftmax", axis=-1),
    "MatMul": _product("transpose_a", "transpose_b"),
    "MatrixDiagPartV3": _diagonal_part,
    "MatrixDiagV3": _diagonal,
    "MatrixTriangularSolve": _triangular_solve,
    "Max": _reduction("ReduceMax"),
    "Mean": _reduction("ReduceMean"),
    "Min": _reduction("ReduceMin"),
    "MulNoNan": _not_nan("Mul"),
    "NotEqual": lambda w, a, x, y: w.emit("Not", w.emit("Equal", x, y)),
    "OneHot": _one_hot,
    "OnesLike": _filled_like(1),
    "Pack": _pack,
    "Pad": _pad,
    "PadV2": _pad,
    "Pow": _power,
    "Prod": _reduction("ReduceProd"),
    "Rank": lambda w, a, x: np.array(x.ndim, np.int32),
    "Reshape": _with_integers("Reshape"),
    "ReverseV2": _reverse,
    "Rsqrt": lambda w, a, x: w.emit("Reciprocal", w.emit("Sqrt", x)),
    "Shape": _count("Shape"),
    "Size": _count("Size"),
    "Slice": _slice,
    "Softmax": _node("Softmax", axis=-1),
    "Split": _split_evenly,
    "SplitV": _split,
    "Square": lambda w, a, x: w.emit("Mul", x, x),
    "SquaredDifference": _squared_difference,
    "Squeeze": _squeeze,
    "StridedSlice": _strided_slice,
    "Sum": _reduction("ReduceSum"),
    "TensorScatterUpdate": _scatter_update,
    "Tile": _with_integers("Tile"),
    "Transpose": _transpose,
    "Unpack": _unpack,
    "UpperBound": _upper_bound,
    "ZerosLike": _filled_like(0),
}


def onnx_type(dtype: Any) -> int:
    """Returns ONNX's number of a dtype of NumPy."""
    return import_onnx().helper.np_dtype_to_tensor_dtype(np.dtype(dtype))


def import_onnx() -> types.ModuleType:
    """Returns the package onnx, or raises `ImportError` that says how to install it."""
    try:
        import onnx
        import onnx.numpy_helper
    except ImportError as error:
        raise ImportError(
            "Expected the package onnx to be installed; got none: pip install "
            "'tfp_flows[onnx]'."
        ) from error
    return onnx
