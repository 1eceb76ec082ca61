"""Parameters and the data that a model simulates with them, in three forms of a model."""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfp_flows.core.arguments import (
    check_callable,
    check_flag,
    check_instance,
    check_members,
    require,
)
from tfp_flows.inference.support import JointSupport, named
from tfp_flows.inference.target import call_with_parts

# Draws of a joint distribution, or of a prior, at once: bounds the memory.
_ROWS = 2048
# Draws that tell the shape of the data, and whether the support depends on the data.
_FEW = 2


class Pairs(typing.NamedTuple):
    """Parameters and data of N simulations.

    Attributes:
      u: unconstrained parameters, `[N, D]` in float64.
      x: data, `[N, K]` in float64.
    """

    u: np.ndarray
    x: np.ndarray

    def take(self, index: Any) -> Pairs:
        """Returns some of the simulations."""
        return Pairs(self.u[index], self.x[index])

    def split(self, count: int, seed: int | None) -> tuple[Pairs, Pairs]:
        """Returns random simulations, all but `count`, and the others."""
        order = np.random.default_rng(seed).permutation(len(self.u))
        return self.take(order[count:]), self.take(order[:count])


@dataclasses.dataclass(frozen=True)
class DataForm:
    """The shapes of an observation, and its form as one row of K numbers.

    Args:
      shapes: shape of each part by its name; of one array, by the name None.
    """

    shapes: dict[str | None, tuple[int, ...]]

    @classmethod
    def from_batch(cls, x: Any) -> DataForm:
        """Returns the form of N observations, an array or a dictionary of arrays."""
        parts = {name: np.shape(part)[1:] for name, part in _parts(x).items()}
        return cls(parts)

    @property
    def size(self) -> int:
        """K, the number of entries of an observation."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    def to_rows(self, x: Any, argument: str = "x") -> np.ndarray:
        """Returns observations, `[*batch, K]` in float64.

        Args:
          x: an array `[*batch, *shape]`, or a dictionary of such arrays.
          argument: name of x in errors.

        Raises:
          ValueError: if names or shapes are others, or a number is not finite.
        """
        parts = _parts(x)
        words = f"`{argument}` with the parts {list(self.shapes)}"
        require(parts.keys() == self.shapes.keys(), words, list(parts))
        rows, batches = [], set()
        for name, shape in self.shapes.items():
            part = np.asarray(parts[name], np.float64)
            rank = part.ndim - len(shape)
            fits = rank >= 0 and part.shape[rank:] == tuple(shape)
            which = f"`{argument}`" if name is None else f"`{argument}[{name!r}]`"
            require(fits, f"{which} of shape [..., {_shown(shape)}]", part.shape)
            batches.add(part.shape[:rank])
            rows.append(part.reshape(*part.shape[:rank], -1))
        words = f"parts of `{argument}` of one batch shape"
        require(len(batches) == 1, words, sorted(batches))
        row = np.concatenate(rows, axis=-1)
        count = int((~np.isfinite(row)).sum())
        require(not count, f"finite `{argument}`", f"{count} other numbers")
        return row


@dataclasses.dataclass(frozen=True)
class Simulator:
    """What a fit knows of a model.

    Attributes:
      support: `JointSupport` of the parameters.
      draw: function of a count and an integer seed that returns parameters, a structure of
        arrays `[N, *event]`, and data; None if there are pairs only.
      form: the `DataForm`.
      pin: function of one observation that returns the log-density of the parameters'
        parts, up to a constant; None if the density is not known.
    """

    support: JointSupport
    draw: Callable | None
    form: DataForm
    pin: Callable | None = None

    def pairs(self, count: int, seed: int) -> tuple[Pairs, int]:
        """Simulates, and returns the finite simulations and the number of others."""
        assert self.draw is not None
        us, xs = [], []
        for part, start in enumerate(range(0, count, _ROWS)):
            parameters, x = self.draw(min(_ROWS, count - start), seed + 7919 * part)
            us.append(self.support.bijector.inverse(parameters).numpy())
            xs.append(_rows_of_batch(self.form, x, len(us[-1])))
        return finite_pairs(np.concatenate(us), np.concatenate(xs))


def finite_pairs(u: np.ndarray, x: np.ndarray) -> tuple[Pairs, int]:
    """Returns the pairs without NaN or infinite numbers, and the number of others."""
    u, x = np.asarray(u, np.float64), np.asarray(x, np.float64)
    is_finite = np.isfinite(u).all(axis=1) & np.isfinite(x).all(axis=1)
    return Pairs(u[is_finite], x[is_finite]), int((~is_finite).sum())


def from_joint(model: Any, observed: str | Sequence[str]) -> Simulator:
    """Returns the `Simulator` of a joint distribution.

    Args:
      model: a joint distribution of TFP.
      observed: names of its observed parts.

    Raises:
      ValueError: if a name is unknown, or the support of a parameter depends on the data.
    """
    observed = [observed] if isinstance(observed, str) else list(observed)
    names = [name for name, _ in model.resolve_graph()]
    words = f"`observed`, some but not all of the names {names}"
    fits = 0 < len(set(observed)) == len(observed) < len(names)
    require(fits and set(observed) <= set(names), words, observed)

    def draw(count, seed):
        drawn = model.sample(count, seed=seed)
        by_name = dict(zip(names, _in_order(drawn, names), strict=True))
        x = {name: np.asarray(by_name.pop(name), np.float64) for name in observed}
        return by_name, x[observed[0]] if len(observed) == 1 else x

    few, x = draw(_FEW, 0)
    form = DataForm.from_batch(x)

    def pinned(row):
        return model.experimental_pin(**_pins(model, names, observed, form, row))

    rows = form.to_rows(x)
    targets = [pinned(row) for row in rows]
    support = JointSupport.from_distribution(targets[0])
    other = JointSupport.from_distribution(targets[1]).bijector
    points = tf.zeros([1, support.event_size], support.dtype)
    ends = [bijector.forward(points) for bijector in (support.bijector, other)]
    same = all(map(np.allclose, *map(tf.nest.flatten, ends)))
    require(same, "`model` of parameters whose support does not depend on data", model.name)

    def in_structure(count, seed):
        by_name, x = draw(count, seed)
        flat = [by_name[name] for name in named(targets[0].event_shape)]
        return tf.nest.pack_sequence_as(targets[0].event_shape, flat), x

    def pin(row):
        return pinned(row).unnormalized_log_prob

    return Simulator(support, in_structure, form, pin)


def from_prior(prior: Any, simulator: Callable, vectorized: bool) -> Simulator:
    """Returns the `Simulator` of a prior and a function from parameters to data.

    Args:
      prior: a `tfd.Distribution`, joint or not, of continuous parts.
      simulator: function of N draws of the prior, or of one, that returns N data, or one.
      vectorized: whether it takes N draws at once.
    """
    check_callable("simulator", simulator, "a function from parameters to data")
    check_flag("vectorized", vectorized)
    support = JointSupport.from_distribution(prior)

    def draw(count, seed):
        parameters = prior.sample(count, seed=seed)
        plain = tf.nest.map_structure(lambda part: part.numpy(), parameters)
        if vectorized:
            return parameters, call_with_parts(simulator, plain)
        rows = (tf.nest.map_structure(lambda p, i=i: p[i], plain) for i in range(count))
        data = [_parts(call_with_parts(simulator, row)) for row in rows]
        x = {name: np.stack([row[name] for row in data]) for name in data[0]}
        return parameters, x[None] if list(x) == [None] else x

    _, x = draw(_FEW, 0)
    for name, part in _parts(x).items():
        got = np.shape(part)
        words = f"`simulator` that returns {_FEW} data for {_FEW} parameters"
        hint = " With vectorized=False, it is called with one draw after another."
        where = f"shape {got}" + ("" if name is None else f" of {name!r}")
        require(len(got) > 0 and got[0] == _FEW, words, where, hint)
    return Simulator(support, draw, DataForm.from_batch(x))


def from_pairs(theta: Any, support: Any) -> JointSupport:
    """Returns the support of parameters that were drawn elsewhere.

    Args:
      theta: parameters, `[N, D]` or a structure of arrays `[N, *event]`.
      support: bijectors from all reals to each part, as in `fit_posterior`.
    """
    arrays = tf.nest.map_structure(np.asarray, theta)
    dtypes = {part.dtype for part in tf.nest.flatten(arrays)}
    is_float = all(dtype.kind == "f" for dtype in dtypes)
    require(is_float, "parameters of floating-point numbers", sorted(map(str, dtypes)))
    dtype = tf.as_dtype(max(dtypes, key=lambda dtype: dtype.itemsize))
    shapes = tf.nest.map_structure(lambda part: tf.TensorShape(part.shape[1:]), arrays)
    return JointSupport.from_shape(shapes, support, dtype)


def simulator_of(
    model: Any,
    observed: str | Sequence[str] | None,
    simulator: Callable | None,
    vectorized: bool,
) -> Simulator:
    """Returns the `Simulator` of a joint distribution, or of a prior and a function."""
    words = "a joint distribution with `observed`, a prior with `simulator`, or pairs"
    check_members("model", model, ("sample", "log_prob", "event_shape"), words)
    if simulator is not None:
        require(observed is None, "`observed` or `simulator`", "both")
        return from_prior(model, simulator, vectorized)
    hint = " A prior needs `simulator`."
    require(observed is not None, "`observed`, names of observed parts", None, hint)
    check_instance("model", model, tfd.JointDistribution, "a joint distribution")
    return from_joint(model, observed)


def _parts(x):
    """The parts of data by name; one array has the name None."""
    return dict(x) if isinstance(x, dict) else {None: x}


def _rows_of_batch(form, x, count):
    parts = {name: np.asarray(part, np.float64) for name, part in _parts(x).items()}
    words = f"data of the parts {list(form.shapes)}"
    require(parts.keys() == form.shapes.keys(), words, list(parts))
    rows = []
    for name, shape in form.shapes.items():
        expected = (count, *shape)
        words = f"data of shape {expected} for {count} parameters"
        require(parts[name].shape == expected, words, parts[name].shape)
        rows.append(parts[name].reshape(count, -1))
    return np.concatenate(rows, axis=1)


def _in_order(drawn, names):
    """The parts of a draw in the order of the names."""
    by_name = named(drawn)
    if set(by_name) == set(names):
        return [by_name[name] for name in names]
    return list(by_name.values())


def _pins(model, names, observed, form, row):
    dtypes = dict(zip(names, _in_order(model.dtype, names), strict=True))
    sizes = [math.prod(shape) for shape in form.shapes.values()]
    parts = np.split(row, np.cumsum(sizes)[:-1])
    return {
        name: tf.constant(part.reshape(shape), dtypes[name])
        for name, part, shape in zip(observed, parts, form.shapes.values(), strict=True)
    }


def _shown(shape):
    return ", ".join(map(str, shape))
