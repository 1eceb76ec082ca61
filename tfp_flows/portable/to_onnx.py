"""Distributions as ONNX files: what TensorFlow computes, recorded, and written as nodes.

A value that depends on weights only is computed at export, and is a constant of the file.
For any other value, the writer keeps its name in the file, and an example, its value for a
few rows of zeros, which shows its dtype and number of axes.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.core.arguments import check_instance, require
from tfp_flows.portable.onnx_writers import (
    IN_FLOAT32,
    WRITERS,
    Symbol,
    example_of,
    import_onnx,
    onnx_type,
)
from tfp_flows.portable.recording import Recording, Signature
from tfp_flows_jax import OPERATIONS, Interpreter, is_known

# The oldest version whose reductions take axes as inputs, and the format of its files.
_OPSET, _IR_VERSION = 18, 8
_EXAMPLE_ROWS = 3


def export_onnx(distribution: Any, folder: str | os.PathLike) -> list[str]:
    """Writes a distribution as ONNX files, which run without TensorFlow and this package.

    ```none
    log_prob.onnx   x [rows, *event] (, context [rows, C])      ->  log_prob [rows]
    sample.onnx     noise [rows, *latent] (, context [rows, C]) ->  x [rows, *event]
    ```

    There may be any number of rows. `noise` is a draw of the flow's base: standard normal
    numbers for `standard_normal`. `sample.onnx` is written for a flow over a base only. All
    weights are constants of the files.

    >>> import os
    >>> import tfp_flows
    >>> dist = tfp_flows.FlowDistribution(tfp_flows.standard_normal(2), tfp_flows.MAF(2))
    >>> [os.path.basename(path) for path in tfp_flows.export_onnx(dist, "exported")]
    ['log_prob.onnx', 'sample.onnx']

    Args:
      distribution: a `FlowDistribution` of vectors, an autoregressive distribution, or
        another with `log_prob`; or an object with one as its attribute `distribution`, such
        as a loaded `DensityEstimator`.
      folder: folder of the files, which is created if it does not exist.

    Returns:
      The paths of the files.

    Raises:
      ValueError: if the distribution has an operation that ONNX or this writer does not
        have, such as a convolution; the message names the operation.
      ImportError: if the package onnx is not installed: `pip install 'tfp_flows[onnx]'`.
    """
    check_instance("folder", folder, (str, os.PathLike), "the path of a folder")
    import_onnx()
    signature = Signature(distribution)
    distribution = signature.distribution
    rows: dict[str, list] = {"x": ["rows", *signature.event_shape]}
    context = {"context": ["rows", signature.context_size]} if signature.context else {}
    log_prob = _model(
        "log_prob",
        lambda x, *context: distribution.log_prob(x, **signature.keyword(context)),
        {**rows, **context},
        {"log_prob": ["rows"]},
        signature.dtype,
    )
    models = {"log_prob": log_prob}
    flow = getattr(distribution, "bijector", None)
    if flow is not None:
        latent = distribution.distribution.event_shape.as_list()
        takes_context = getattr(flow, "context_size", 0)  # TFP's bijectors have none
        models["sample"] = _model(
            "sample",
            lambda noise, *context: flow.forward(noise, **signature.keyword(context)),
            {"noise": ["rows", *latent], **(context if takes_context else {})},
            rows,
            signature.dtype,
        )
    os.makedirs(folder, exist_ok=True)
    paths = [os.path.join(os.fspath(folder), f"{name}.onnx") for name in models]
    for path, model in zip(paths, models.values(), strict=True):
        import_onnx().save(model, path)
    return paths


def _model(name, function, inputs, output, dtype):
    """Returns a function of tensors as an ONNX model.

    `inputs` are shapes of its arguments by name, whose axis of rows is "rows"; `output` has
    the name and shape of its one result.
    """
    helper, to_array = import_onnx().helper, import_onnx().numpy_helper.from_array
    recording = Recording({})
    shapes = [[None if n == "rows" else n for n in shape] for shape in inputs.values()]
    signature = map(tf.TensorSpec, shapes, [dtype] * len(shapes), inputs)
    recording.add(name, function, list(signature))
    sizes = [[n or _EXAMPLE_ROWS for n in shape] for shape in shapes]
    examples = [np.zeros(shape, dtype.as_numpy_dtype) for shape in sizes]
    writer = _Onnx(recording)
    (result,) = writer.call(name, list(map(Symbol, inputs, examples)), {})
    nodes = [*writer.nodes, helper.make_node("Identity", [writer.name(result)], [*output])]
    kind = onnx_type(dtype.as_numpy_dtype)
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info(key, kind, inputs[key]) for key in inputs],
        [helper.make_tensor_value_info(key, kind, output[key]) for key in output],
        [to_array(value, key) for key, value in writer.constants.values()],
    )
    opset = [helper.make_opsetid("", _OPSET)]
    return helper.make_model(graph, opset_imports=opset, ir_version=_IR_VERSION)


class _Onnx(Interpreter):
    """Writes nodes instead of computing values."""

    def __init__(self, recording):
        super().__init__(recording.functions, recording.constants)
        self._recording = recording
        self.nodes: list = []
        self.constants: dict = {}  # name and value, by value
        self._count = 0

    def emit(self, operation, *inputs, count=1, **attributes):
        """Adds a node; returns the name of its result, or a list of `count` names."""
        names = [self._new_name() for _ in range(count)]
        input_names = [self.name(value) for value in inputs]
        make_node = import_onnx().helper.make_node
        self.nodes.append(make_node(operation, input_names, names, **attributes))
        return names[0] if count == 1 else names

    def name(self, value):
        """Returns the name of a value, which becomes a constant of the file if known."""
        if isinstance(value, (str, Symbol)):
            return getattr(value, "name", value)
        value = np.asarray(value)
        key = value.dtype.str, value.shape, value.tobytes()
        return self.constants.setdefault(key, (self._new_name(), value))[0]

    def _new_name(self):
        self._count += 1
        return f"v{self._count}"

    def _result(self, operation, attributes, inputs):
        if operation not in WRITERS:
            words = "a distribution whose operations can be written as nodes of ONNX"
            require(False, words, self._recording.origins_of([operation]))
        if attributes.get("DstT") == "bfloat16":
            words = "a distribution whose networks compute in its own dtype, since "
            got, hint = "bfloat16", " Build it with `network_dtype=None`, of equal weights."
            require(False, f"{words}onnxruntime has no kernels for bfloat16", got, hint)
        if operation in IN_FLOAT32 and example_of(inputs[0]).dtype == np.float64:
            words = f"a distribution in float32, since onnxruntime has no {operation} of "
            require(False, f"{words}float64", "float64")
        with np.errstate(all="ignore"):
            result = OPERATIONS[operation](np, attributes, *map(example_of, inputs))
        names: Any = WRITERS[operation](self, attributes, *inputs)
        if not isinstance(result, list):
            return names if is_known(names) else Symbol(names, np.asarray(result))
        return list(map(Symbol, names, map(np.asarray, result)))

    def _repeat(self, loop):
        state, turns = loop.state, loop.turns()
        is_counted = turns is not None
        start = [
            np.array(turns) if is_counted else "",
            np.True_ if is_counted else loop.goes_on(state),
            *state,
        ]
        examples = list(map(example_of, state))
        start = [self.name(value) for value in start]
        outside, self.nodes = self.nodes, []
        inside = [Symbol(self._new_name(), example) for example in examples]
        after = loop.body(inside)
        goes_on = np.True_ if is_counted else loop.goes_on(after)
        # The results of a body have to be its own nodes.
        results = [self.emit("Identity", value) for value in (goes_on, *after)]
        inputs = [self._new_name(), self._new_name(), *(s.name for s in inside)]
        kinds = [np.bool_, *(example.dtype for example in examples)]
        body = import_onnx().helper.make_graph(
            self.nodes,
            self._new_name(),
            list(map(_typed, inputs, [np.int64, *kinds], [[], [], *[None] * len(inside)])),
            list(map(_typed, results, kinds, [[], *[None] * len(inside)])),
        )
        self.nodes = outside
        names = self.emit("Loop", *start, count=len(state), body=body)
        return list(map(Symbol, [names] if len(state) == 1 else names, examples))


def _typed(name, dtype, shape):
    return import_onnx().helper.make_tensor_value_info(name, onnx_type(dtype), shape)
