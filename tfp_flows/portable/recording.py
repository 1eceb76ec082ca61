"""Recordings of TensorFlow functions: the operations they run, as plain data.

The functions of a flow are compositions of a few dozen operations, whichever bijectors,
networks and preprocessing they come from. A recording lists them, without TensorFlow's
objects, in the form that `tfp_flows_jax.Interpreter` runs.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfp_flows.core.arguments import check_members, require
from tfp_flows.core.conditioners import HAS_ADJOINT

# Constants of more entries are kept as arrays of their own.
_MOST_LISTED = 16
# Operations whose result is their argument.
_SAME = {"Identity", "IdentityN", "ReadVariableOp", "PreventGradient", "Snapshot"}
_CALLS = {"PartitionedCall", "StatefulPartitionedCall"}
_LOOPS = {"While", "StatelessWhile"}
# Names of the results of operations that have several, in order.
_RESULTS = {"StatelessRandomGetKeyCounter": ["key", "counter"]}
# Attributes that are not recorded: dtypes and numbers of arguments.
_IGNORED = {"T", "N", "Tidx", "Tshape", "Tparams", "Tindices", "Taxis", "Index"}


class Signature:
    """The arguments of the functions of a distribution.

    Args:
      distribution: a distribution, or an object with one as its attribute `distribution`.

    Attributes:
      distribution: the distribution itself.
      dtype: dtype of its rows.
      event_shape: list of integers.
      context_size: width of the context; 0 if it is unconditional.
      x: `tf.TensorSpec` of rows.
      context: list of the `tf.TensorSpec` of contexts; empty if it is unconditional.

    Raises:
      ValueError: if it has no `log_prob` and `sample`, or its events have no known shape.
    """

    def __init__(self, distribution: Any) -> None:
        is_table = hasattr(distribution, "encode")
        if is_table or isinstance(distribution, keras.Model):
            distribution = distribution.distribution
        words = "one with `log_prob` and `sample`, as a `FlowDistribution`"
        members = ("log_prob", "sample", "dtype", "event_shape", "trainable_variables")
        check_members("distribution", distribution, members, words)
        shape = distribution.event_shape
        is_known = isinstance(shape, tf.TensorShape) and shape.is_fully_defined()
        require(is_known, "a distribution of one tensor of known `event_shape`", shape)
        batch = tf.TensorShape(getattr(distribution, "batch_shape", ()))
        require(batch.rank in (None, 0), "a distribution without batch axes", batch)
        self.distribution = distribution
        self.dtype: tf.DType = distribution.dtype
        self.event_shape: list[int] = shape.as_list()
        self.context_size: int = getattr(distribution, "context_size", 0)
        self.x = tf.TensorSpec([None, *shape], self.dtype, name="x")
        self.context: list[tf.TensorSpec] = []
        if self.context_size:
            size = [None, self.context_size]
            self.context = [tf.TensorSpec(size, self.dtype, name="context")]

    def keyword(self, context: Sequence[tf.Tensor]) -> dict[str, tf.Tensor]:
        """Returns the keyword argument of a method, for a list of a context or none."""
        return {"context": context[0]} if context else {}


def named_weights(distribution: Any) -> dict[str, tf.Variable]:
    """Returns the trainable variables by name; equal names are numbered."""
    weights: dict[str, tf.Variable] = {}
    for variable in distribution.trainable_variables:
        name = variable.name.split(":")[0]
        names = itertools.chain([name], (f"{name}_{i}" for i in itertools.count(1)))
        weights[next(n for n in names if n not in weights)] = variable
    return weights


class Recording:
    """The operations of several functions of one distribution.

    Args:
      variables: weights that are arguments of the recording, by name. Others are constants.

    Attributes:
      functions: operations, as `tfp_flows_jax.Interpreter` describes them.
      constants: arrays, by name.
      origins: name of the first node of each operation in TensorFlow's graph.
    """

    def __init__(self, variables: Mapping[str, tf.Variable]) -> None:
        self.functions: dict[str, dict] = {}
        self.constants: dict[str, np.ndarray] = {}
        self.origins: dict[str, str] = {}
        self._names = {v.ref(): f"params/{name}" for name, v in variables.items()}

    def add(
        self,
        name: str,
        function: Callable,
        signature: Sequence[tf.TensorSpec],
        *,
        for_xla: bool = False,
    ) -> None:
        """Traces a function of tensors, and records it under a name.

        Traced for XLA, no number of rows depends on values, which is what JAX needs.
        """
        traced = tf.function(function, autograph=False, jit_compile=for_xla or None)
        concrete = traced.get_concrete_function(*signature)
        definition = concrete.function_def
        library = concrete.graph.as_graph_def().library.function
        library = {f.signature.name: f for f in library}
        num_given = len(definition.signature.input_arg) - len(concrete.captured_inputs)
        inputs = [spec.name for spec in signature]
        require(num_given == len(inputs), "a function of tensors", num_given)
        variables = {id(v.handle): v for v in concrete.graph.variables}
        for captured in concrete.captured_inputs:
            inputs.append(self._source(variables.get(id(captured)), captured))
        self._record(name, definition, library, inputs)

    def origins_of(self, operations: Iterable[str]) -> str:
        """Returns the operations, and where the first of each is in TensorFlow's graph."""
        return ", ".join(f"{name} ({self.origins[name]})" for name in sorted(operations))

    def _source(self, variable, captured):
        """Returns the name of a captured input: a weight, or else a new constant."""
        if variable is not None and variable.ref() in self._names:
            return self._names[variable.ref()]
        value = captured if variable is None else variable
        return f"constants/{self._name_of_constant(value.numpy())}"

    def _name_of_constant(self, array):
        """Keeps a constant, unless an equal one is kept, and returns its name."""
        for name, other in self.constants.items():
            if other.dtype == array.dtype and np.array_equal(other, array):
                return name
        name = str(len(self.constants))
        self.constants[name] = array
        return name

    def _record(self, name, definition, library, inputs=None):
        """Records a `FunctionDef` and those that it calls, without unused operations."""
        if name in self.functions:
            return
        arguments = [argument.name for argument in definition.signature.input_arg]
        by_name = {node.name: node for node in definition.node_def}
        values = {argument: i for i, argument in enumerate(arguments)}
        nodes: list = []
        self.functions[name] = recorded = {"inputs": inputs or arguments, "nodes": nodes}
        count = len(arguments)

        def place(source):
            """Records the operations that a value needs, and returns its number."""
            nonlocal count
            waiting = [source]
            while waiting:
                current = waiting[-1]
                if current in values:
                    waiting.pop()
                    continue
                node_name, results, k = current.split(":")
                node = by_name[node_name]
                input_names = [i for i in node.input if not i.startswith("^")]
                if missing := [i for i in input_names if i not in values]:
                    waiting.extend(missing)
                    continue
                if node.op in _SAME or HAS_ADJOINT in node.name:
                    values[current] = values[input_names[int(k)]]
                    continue
                entry, num_results = self._entry(node, input_names, values, library)
                nodes.append(entry)
                self.origins.setdefault(entry[0], node.name)
                named = _RESULTS.get(node.op)
                for i in range(num_results):
                    result = f"{named[i]}:0" if named else f"{results}:{i}"
                    values[f"{node_name}:{result}"] = count + i
                count += num_results
            return values[source]

        returned = [definition.ret[arg.name] for arg in definition.signature.output_arg]
        recorded["outputs"] = [place(source) for source in returned]

    def _entry(self, node, input_names, values, library):
        sources = [values[i] for i in input_names]
        attributes = _attributes(node)
        if node.op == "Const":
            value = tf.make_ndarray(node.attr["value"].tensor)
            return ["Const", [], self._constant(value), 1], 1
        if node.op in _CALLS:
            called = node.attr["f"].func.name
            self._record(called, library[called], library)
            num = len(library[called].signature.output_arg)
            return ["Call", sources, {"function": called}, num], num
        if node.op in _LOOPS:
            names = {k: node.attr[k].func.name for k in ("cond", "body")}
            for called in names.values():
                self._record(called, library[called], library)
            body = self.functions[names["body"]]
            num = len(sources)
            varying = [i for i in range(num) if body["outputs"][i] != i]
            loop = {"condition": names["cond"], "body": names["body"], "varying": varying}
            return ["While", sources, loop, num], num
        num = len(_RESULTS.get(node.op, [None]))
        num = attributes.get("num", attributes.get("num_split", num))
        return [node.op, sources, attributes, num], num

    def _constant(self, value):
        if value.size > _MOST_LISTED:
            return {"array": self._name_of_constant(value)}
        shape, values = list(value.shape), np.ravel(value).tolist()
        return {"dtype": value.dtype.name, "shape": shape, "values": values}


def _attributes(node):
    """Returns the attributes that determine the result of an operation."""
    recorded = {}
    for name, attribute in node.attr.items():
        kind = attribute.WhichOneof("value")
        if name.startswith("_") or name in _IGNORED:
            continue
        if kind in ("b", "i", "f"):
            recorded[name] = getattr(attribute, kind)
        elif kind == "s":
            recorded[name] = attribute.s.decode(errors="replace")
        elif kind == "type":
            recorded[name] = tf.as_dtype(attribute.type).name
        elif kind == "list" and attribute.list.i:
            recorded[name] = list(attribute.list.i)
    return recorded
