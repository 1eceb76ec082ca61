"""Random values for every weight, since the identity passes any test."""

import numpy as np
import tensorflow as tf


def randomize(module, seed=0, stddev=0.5):
    """Gives all of `module`'s variables the values they might have after training.

    Weights become normal; statistics (`mean`, `scale`, `variance`) plausible; flags True.
    Fixed integers and signs stay. Modules that are built alike get equal values.
    """
    rng = np.random.default_rng(seed)
    # In the order of the structure: Keras numbers layers on, so that names sort by chance.
    for variable in module.variables:
        value = _random_value(rng, variable, stddev)
        if value is not None:
            variable.assign(tf.cast(value, variable.dtype))
    return module


def perturb(module, amount=0.1):
    """Adds `amount` to every floating-point variable."""
    for variable in floating(module):
        variable.assign_add(tf.fill(variable.shape, tf.cast(amount, variable.dtype)))


def floating(module):
    """The variables that are weights or statistics."""
    return [v for v in module.variables if v.dtype.is_floating and "sign" not in v.name]


def values(module):
    """The current values of all variables, as a list of arrays."""
    return [variable.numpy().copy() for variable in module.variables]


def _random_value(rng, variable, stddev):
    if variable.trainable:
        fan_in = variable.shape[0] if variable.shape.rank > 1 else 1
        if "log_scales" in variable.name:  # of many kinds in one: exp(3 * log_scale)
            stddev *= 0.3
        return rng.normal(size=variable.shape) * stddev / np.sqrt(max(fan_in / 4, 1))
    kind = variable.name.split(":")[0].split("/")[-1].removeprefix("context_")
    if kind == "mean":
        return rng.normal(size=variable.shape)
    if kind in ("scale", "variance"):
        return rng.uniform(0.5, 2.0, size=variable.shape)
    return True if kind in ("initialized", "heavy") else None
