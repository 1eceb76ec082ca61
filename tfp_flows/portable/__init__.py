"""Distributions where TensorFlow is not: functions of JAX, and ONNX files.

`recording` lists the operations of a distribution's TensorFlow functions as plain data.
`to_jax` hands them to `tfp_flows_jax`, a module beside this package that imports no
TensorFlow, and `to_onnx` writes them as nodes, by the table in `onnx_writers`. Whatever
bijectors a flow consists of, it is exported if these two know its operations.
"""

from tfp_flows.portable.to_jax import to_jax
from tfp_flows.portable.to_onnx import export_onnx

__all__ = ["export_onnx", "to_jax"]
