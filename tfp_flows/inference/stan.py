"""Stan models, compiled by BridgeStan, as targets of `fit_posterior`."""

from __future__ import annotations

import contextlib
import re
import threading
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_probability import bijectors as tfb

from tfp_flows.inference.reparametrisation import FitSpace
from tfp_flows.inference.support import JointSupport
from tfp_flows.inference.target import UnconstrainedDensity

# Stan's derivatives use memory that all models share, if they are compiled without threads.
_LOCK = threading.Lock()


def is_stan_model(target: object) -> bool:
    """Whether a target has the methods of a `bridgestan.StanModel`."""
    return hasattr(target, "log_density_gradient") and hasattr(target, "param_constrain")


def stan_space(model: Any, dtype: tf.DType | str) -> FitSpace:
    """Returns the `FitSpace` of Stan's unconstrained parameters.

    The log-density is Stan's own on these, with all constants, so that the evidence is that
    of the model. Its errors, for example outside the support, are a log-density of -inf.
    Stan computes in float64, and the parameters have the dtype.
    """
    size, dtype = model.param_unc_num(), tf.as_dtype(dtype)
    shapes, order = shapes_and_order(model.param_names())
    parts = JointSupport.from_shape(shapes, None, dtype)
    constraint = tfb.Chain([parts.bijector, _constraint(model, order)])
    vector = JointSupport.from_shape(size, None, dtype)
    density = UnconstrainedDensity(_log_density(model), vector)
    return FitSpace(density, JointSupport(constraint, size, dtype))


def shapes_and_order(names: list[str]) -> tuple[dict[str, list[int]], list[int]]:
    """Returns the shape of each parameter, and Stan's position of each entry.

    ```none
    ["m.1.1", "m.2.1", "m.1.2", "m.2.2", "a"]  ->  {"a": [], "m": [2, 2]}, [4, 0, 2, 1, 3]
    ```

    Stan's first index is the fastest, and the last one of the result. Other names than
    these, of tuples and complex numbers, are parameters of their own.
    """
    matches = [re.fullmatch(r"(.+?)((?:\.\d+)*)", name) for name in names]
    entries = sorted(
        (match[1], [int(i) for i in match[2].split(".")[1:]], position)
        for position, match in enumerate(matches)
        if match
    )
    # The last entry of a parameter has the largest indices, which begin with 1.
    shapes = {name: index for name, index, _ in entries}
    return shapes, [position for *_, position in entries]


def _log_density(model):
    """The log-density of unconstrained parameters, `[..., D]`, in Stan's own order.

    Gradients and products with the Hessian are Stan's.
    """
    size = model.param_unc_num()
    options = {"propto": False, "jacobian": True}

    def value_and_slope(x):
        return np.hstack(model.log_density_gradient(x, **options))

    def product(x, direction):
        return model.log_density_hessian_vector_product(x, direction, **options)[1]

    @tf.custom_gradient
    def log_density(x):
        outside = [-np.inf, *np.zeros(size)]
        both = _by_rows(value_and_slope, outside, x)

        @tf.custom_gradient
        def slope(x):
            return both[..., 1:], lambda v: _by_rows(product, np.full(size, np.nan), x, v)

        return both[..., 0], lambda upstream: upstream[..., None] * slope(x)

    return log_density


def _constraint(model, order):
    """Stan's map from unconstrained parameters to entries of its parameters.

    ```none
    x [..., D]  ->  entries [..., E]
    log_det(x) = log-density with Stan's Jacobian - log-density without it
    ```

    Entries are NaN where Stan raises an error. They have no gradients. `order` is Stan's
    position of each entry, `[E]`.
    """
    places, sizes = np.argsort(order), (model.param_unc_num(), len(order))

    def entries(x):
        return model.param_constrain(x)[order]

    def unconstrained(y):
        return model.param_unconstrain(y[places])

    def log_det(x):
        with_it, without = (
            model.log_density(x, propto=False, jacobian=has_it) for has_it in (True, False)
        )
        return with_it - without

    return tfb.Inline(
        forward_fn=lambda x: _by_rows(entries, np.full(sizes[1], np.nan), x),
        inverse_fn=lambda y: _by_rows(unconstrained, np.full(sizes[0], np.nan), y),
        forward_log_det_jacobian_fn=lambda x: _by_rows(log_det, [np.nan], x)[..., 0],
        forward_event_shape_fn=lambda shape: shape[:-1].concatenate(sizes[1]),
        inverse_event_shape_fn=lambda shape: shape[:-1].concatenate(sizes[0]),
        forward_event_shape_tensor_fn=lambda s: tf.concat([s[:-1], sizes[1:]], axis=0),
        inverse_event_shape_tensor_fn=lambda s: tf.concat([s[:-1], sizes[:1]], axis=0),
        forward_min_event_ndims=1,
        name="stan",
    )


def _by_rows(function, at_errors, *inputs):
    """Calls a function of vectors in float64 for each row of tensors, `[..., D]`.

    `at_errors`, `[E]`, is the result where it raises the `RuntimeError` of a Stan model.
    """
    dtype = inputs[0].dtype

    def call(*arrays):
        rows = [np.array(array, np.float64, order="C") for array in arrays]
        results = np.full([*rows[0].shape[:-1], len(at_errors)], at_errors)
        with _LOCK:
            for index in np.ndindex(results.shape[:-1]):
                with contextlib.suppress(RuntimeError):
                    results[index] = function(*(row[index] for row in rows))
        with np.errstate(over="ignore"):  # values beyond float32 become infinite
            return results.astype(dtype.as_numpy_dtype)

    results = tf.numpy_function(call, inputs, dtype)
    return tf.ensure_shape(results, [*inputs[0].shape[:-1], len(at_errors)])
