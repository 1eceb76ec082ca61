"""Parameters and the data that a model simulates with them, in three forms of a model."""

from __future__ import annotations

import dataclasses
import inspect
import math
import os
import typing
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import bijectors as tfb
from tensorflow_probability import distributions as tfd

from tfp_flows.core.arguments import (
    check_callable,
    check_flag,
    check_instance,
    check_integer,
    check_members,
    require,
)
from tfp_flows.inference.amortized.observations import DataForm, parts_of_data
from tfp_flows.inference.support import JointSupport, named
from tfp_flows.inference.target import arguments_of

# Simulations of a block, which bounds the memory; and where they are made one by one, which
# bounds what an interrupted call repeats.
_ROWS, _ROWS_ONE_BY_ONE = 2048, 64
# Draws that tell the shape of the data, and whether the support depends on the data.
_FEW = 2
# Softness of the ends of intervals, in their widths.
_SOFTNESS = 0.03
_PRIME = 7919  # keeps the seeds of blocks apart
_AUTO_BATCHED = (
    tfd.JointDistributionCoroutineAutoBatched,
    tfd.JointDistributionNamedAutoBatched,
    tfd.JointDistributionSequentialAutoBatched,
)


class Pairs(typing.NamedTuple):
    """Parameters and data of N simulations.

    Attributes:
      u: unconstrained parameters, `[N, D]` in float64.
      x: data, `[N, K]` in float64; or a structured array `[N]`, with fields of any kinds.
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

    def usable(self, allows_missing: bool) -> Pairs:
        """Returns the simulations of finite parameters and data.

        Args:
          allows_missing: whether NaN in data is a missing cell, and no failure.
        """
        is_finite = np.all([_is_finite(part) for part in _fields(self.x)], axis=0)
        if allows_missing:
            is_finite |= np.isnan(self.x)
        is_finite = is_finite.reshape(len(self.u), -1)
        return self.take(np.isfinite(self.u).all(axis=1) & is_finite.all(axis=1))


@dataclasses.dataclass(frozen=True)
class Simulator:
    """What a fit knows of a model.

    Attributes:
      support: `JointSupport` of the parameters.
      draw: function of a count and an integer seed that returns parameters, a structure of
        arrays `[N, *event]`, and data.
      form: the `DataForm`, or another class with its `rows_of`.
      parameters: function of a count and an integer seed that returns parameters alone.
      simulate: function of parameters and an integer seed that returns data.
      prior_log_prob: function of parameters that returns their log-densities, `[N]`.
      pin: function of one observation, a row `[K]` or a tensor, that returns the
        log-density of the parameters' parts and the observation; None if the density is
        not known.
      rows: number of simulations of a block.
    """

    support: JointSupport
    draw: Callable
    form: Any
    parameters: Callable
    simulate: Callable
    prior_log_prob: Callable
    pin: Callable | None = None
    rows: int = _ROWS

    def pairs(
        self,
        count: int,
        seed: int | None,
        backup: str | os.PathLike | None = None,
        verbose: int | str = 0,
        prior: Any = None,
    ) -> Pairs:
        """Simulates.

        Args:
          count: number of simulations.
          seed: integer that determines them; random if None.
          backup: path of a file, `.npz`, that keeps them. If it exists, an interrupted call
            goes on from it, and a call for more of them adds to it.
          verbose: whether a bar on the standard output shows the progress.
          prior: the `TruncatedPrior` of the parameters; None for that of the model.

        Raises:
          ValueError: if the file has the simulations of another model or seed.
        """
        seed = int(np.random.SeedSequence(seed).generate_state(1)[0]) % 2**30
        if backup is not None:
            require(os.fspath(backup).endswith(".npz"), "`backup` of a .npz file", backup)
        marks = self._block(_FEW, seed, prior)
        if prior is not None:  # another truncation may have the same first draws
            log_density = np.asarray(prior.log_density(marks.u))
            marks = Pairs(np.column_stack([marks.u, log_density]), marks.x)
        blocks = _read(backup, marks)
        bar = keras.utils.Progbar(count, verbose=int(verbose), unit_name="simulation")
        done = sum(len(block.u) for block in blocks)
        while done < count:
            rows = min(self.rows, count - done)
            blocks.append(self._block(rows, seed + _PRIME * (1 + done), prior))
            done += rows
            _write(backup, marks, blocks)
            bar.update(done)
        return Pairs(*map(np.concatenate, zip(*blocks, strict=True))).take(slice(count))

    def unconstrained(self, parameters: Any) -> np.ndarray:
        """Returns parameters as rows of unconstrained numbers, `[N, D]`."""
        return self.support.bijector.inverse(parameters).numpy().astype(np.float64)

    def log_prior(self, u: tf.Tensor) -> np.ndarray:
        """Returns log-densities of unconstrained parameters, `[N, D]`, under the prior."""
        u = tf.cast(u, self.support.dtype)
        bijector = self.support.bijector
        log_det = bijector.forward_log_det_jacobian(u, event_ndims=1)
        return np.asarray(self.prior_log_prob(bijector.forward(u)) + log_det)

    def _block(self, count, seed, prior):
        seed = seed % 2**30
        if prior is None:
            parameters, x = self.draw(count, seed)
            u = self.unconstrained(parameters)
        else:
            u = prior.sample(self, count, seed)
            parts = self.support.bijector.forward(tf.constant(u, self.support.dtype))
            x = self.simulate(parts, seed)
        return Pairs(u, self.form.rows_of(x, count))


def from_joint(model: Any, observed: str | Sequence[str]) -> Simulator:
    """Returns the `Simulator` of a joint distribution.

    Args:
      model: a joint distribution of TFP.
      observed: names of its observed parts.

    Raises:
      ValueError: if a name is unknown, or the support of a parameter depends on the data.
    """
    observed = [observed] if isinstance(observed, str) else list(observed)
    depends_on = _parts_and_parents(model)
    names = [*depends_on]
    words = f"`observed`, some but not all of the names {names}"
    fits = 0 < len(set(observed)) == len(observed) < len(names)
    require(fits and set(observed) <= set(names), words, observed)
    unknown = [name for name in names if name not in observed]

    def by_name(values, names):
        return dict(zip(names, _in_order(values, names), strict=True))

    def data(values):
        x = {name: np.asarray(values[name], np.float64) for name in observed}
        return x[observed[0]] if len(observed) == 1 else x

    def draw_all(count, seed):
        return by_name(_sample(model.sample, model, count, seed), names)

    few = data(draw_all(_FEW, 0))
    form = DataForm.from_batch(few)

    def pinned(row):
        return model.experimental_pin(**_pins(model, names, observed, form, row))

    targets = [pinned(row) for row in form.to_rows(few)]
    support, other = (
        softly_clipped(JointSupport.from_distribution(target)) for target in targets
    )
    same = support.equals(other)
    require(same, "`model` of parameters whose support does not depend on data", model.name)
    event_shape = targets[0].event_shape

    def parameters_of(values):
        return _as_structure(event_shape, {name: values[name] for name in unknown})

    def draw(count, seed):
        values = draw_all(count, seed)
        return parameters_of(values), data(values)

    def parameters(count, seed):
        after = [name for name in unknown if set(depends_on[name]) & set(observed)]
        words = "parameters that do not depend on data, with `focus`"
        require(not after, words, f"{after} of {model.name}, which do")
        return parameters_of(draw_all(count, seed))

    def simulate(parameters, seed):
        model_given = model.experimental_pin(**by_name(parameters, unknown))
        drawn = _sample(model_given.sample_unpinned, model, (), seed)
        return data(by_name(drawn, [name for name in names if name in observed]))

    def prior_log_prob(parameters):
        values = by_name(parameters, unknown)
        count = len(values[unknown[0]])
        for name, x in _pins(model, names, observed, form, form.to_rows(few)[0]).items():
            values[name] = tf.repeat(x[None], count, axis=0)
        found = model.log_prob_parts(_as_structure(model.event_shape, values))
        found = by_name(found, names)
        return sum(found[name] for name in unknown)

    def pin(row):
        return pinned(row).unnormalized_log_prob

    return Simulator(
        support,
        draw,
        form,
        parameters,
        simulate,
        prior_log_prob,
        pin,
    )


def from_prior(
    prior: Any,
    simulator: Callable,
    vectorized: bool,
    is_missing_allowed: bool,
    num_processes: int = 1,
    form_of: Callable = DataForm.from_batch,
) -> Simulator:
    """Returns the `Simulator` of a prior and a function from parameters to data.

    Args:
      prior: a `tfd.Distribution`, joint or not, of continuous parts.
      simulator: function of N draws of the prior, or of one, that returns N data, or one.
      vectorized: whether it takes N draws at once.
      is_missing_allowed: whether NaN in data is a missing cell.
      num_processes: number of processes that call it, if it takes one draw at a time.
      form_of: function of some data and `is_missing_allowed` that returns their form.
    """
    check_callable("simulator", simulator, "a function from parameters to data")
    check_flag("vectorized", vectorized)
    check_integer("num_processes", num_processes, 1)
    words = "`vectorized=False` with several processes"
    require(num_processes == 1 or not vectorized, words, f"vectorized={vectorized}")
    each = _one_by_one if num_processes == 1 else _in_processes(num_processes)
    support = softly_clipped(JointSupport.from_distribution(prior))
    takes_seed = "seed" in _parameters_of(simulator)

    def call(parameters, seed):
        parts, named_parts = arguments_of(parameters)
        given = {"seed": seed} if takes_seed else {}
        return simulator, parts, {**named_parts, **given}

    def parameters(count, seed):
        return _sample(prior.sample, prior, count, seed)

    def simulate(parameters, seed):
        plain = tf.nest.map_structure(np.asarray, parameters)
        if vectorized:
            return _one_by_one([call(plain, seed)])[0]
        count = len(tf.nest.flatten(plain)[0])
        rows = (tf.nest.map_structure(lambda p, i=i: p[i], plain) for i in range(count))
        found = each([call(row, seed + i) for i, row in enumerate(rows)])
        data = [parts_of_data(row) for row in found]
        x = {name: np.stack([row[name] for row in data]) for name in data[0]}
        return x[None] if list(x) == [None] else x

    def draw(count, seed):
        drawn = parameters(count, seed)
        return drawn, simulate(drawn, seed)

    _, x = draw(_FEW, 0)
    for name, part in parts_of_data(x).items():
        got = np.shape(part)
        words = f"`simulator` that returns {_FEW} data for {_FEW} parameters"
        hint = " With vectorized=False, it is called with one draw after another."
        where = f"shape {got}" + ("" if name is None else f" of {name!r}")
        require(len(got) > 0 and got[0] == _FEW, words, where, hint)
    form = form_of(x, is_missing_allowed)
    rows = _ROWS if vectorized else _ROWS_ONE_BY_ONE
    return Simulator(support, draw, form, parameters, simulate, prior.log_prob, rows=rows)


def support_of_pairs(theta: Any, support: Any) -> JointSupport:
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
    return softly_clipped(JointSupport.from_shape(shapes, support, dtype))


def softly_clipped(support: JointSupport) -> JointSupport:
    """Returns the same support, with intervals that are mapped linearly inside.

    A location that data tell with an error of the same size everywhere then has a
    posterior of the same width everywhere, which flows learn from fewer simulations than
    its logit (docs/tried_and_dropped.md).
    """
    bijectors = getattr(support.bijector, "bijectors", None)
    if not bijectors:  # of a part that depends on another
        return support
    constraint, *others = bijectors
    if isinstance(constraint, tfb.JointMap):
        parts = tf.nest.map_structure(_softly_clipped, constraint.bijectors)
        constraint = tfb.JointMap(parts)
    else:
        constraint = _softly_clipped(constraint)
    bijector = tfb.Chain([constraint, *others])
    return JointSupport.from_bijector(bijector, support.event_size, support.dtype)


def _softly_clipped(bijector):
    if not isinstance(bijector, tfb.Sigmoid) or bijector.low is None:
        return bijector
    low, width = bijector.low, bijector.high - bijector.low
    # `SoftClip` takes no vectors.
    unit = tfb.SoftClip(*(np.array(t, low.dtype.as_numpy_dtype) for t in (0, 1, _SOFTNESS)))
    return tfb.Chain([tfb.Shift(low), tfb.Scale(width), unit])


def simulator_of(
    model: Any,
    observed: str | Sequence[str] | None,
    simulator: Callable | None,
    **options: Any,
) -> Simulator:
    """Returns the `Simulator` of a joint distribution, or of a prior and a function.

    Args:
      model: a joint distribution, or a prior.
      observed: names of the observed parts of a joint distribution; or None.
      simulator: the function that goes with a prior; or None.
      **options: other arguments of `from_prior`.
    """
    words = "a joint distribution with `observed`, a prior with `simulator`, or pairs"
    check_members("model", model, ("sample", "log_prob", "event_shape"), words)
    if simulator is not None:
        require(observed is None, "`observed` or `simulator`", "both")
        return from_prior(model, simulator, **options)
    hint = " A prior needs `simulator`."
    if observed is None:
        raise ValueError(f"Expected `observed`, names of observed parts; got None.{hint}")
    check_instance("model", model, tfd.JointDistribution, "a joint distribution")
    return from_joint(model, observed)


def _sample(method, distribution, count, seed):
    """Returns draws by a method of a distribution, the same whenever a seed is used."""
    if isinstance(distribution, _AUTO_BATCHED):
        # With a tensor seed, these draw one after another, and data of several parameters
        # have the same noise. In a new graph, an integer gives the same draws each time.
        draw = tf.function(lambda: method(count, seed=seed), autograph=False)
        return draw.get_concrete_function()()  # which does not warn of new graphs
    return method(count, seed=tf.constant([seed, 0], tf.int32))


def _one_by_one(calls):
    return [function(*parts, **named_parts) for function, parts, named_parts in calls]


def _in_processes(count):
    """Returns a function that makes calls in processes, which stay for later calls."""
    try:
        import joblib
    except ImportError as error:
        raise ImportError(
            "Expected joblib for `num_processes` above 1: pip install joblib"
        ) from error

    def in_processes(calls):
        return joblib.Parallel(count)(calls)

    return in_processes


def _parameters_of(function):
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):  # of a function without a signature
        return {}


def _parts_and_parents(model):
    """Names of the parts of a joint distribution, each with those it may depend on."""
    if hasattr(model, "resolve_graph"):
        return dict(model.resolve_graph())
    names = [*named(model.event_shape)]  # of a coroutine, which says only the order
    return {name: names[:place] for place, name in enumerate(names)}


def _in_order(drawn, names):
    """The parts of a draw in the order of the names."""
    by_name = named(drawn)
    if set(by_name) == set(names):
        return [by_name[name] for name in names]
    return list(by_name.values())


def _as_structure(structure, by_name):
    """The parts of a structure that has names, or the order of `by_name`."""
    names = [*named(structure)]
    order = names if set(names) == set(by_name) else [*by_name]
    return tf.nest.pack_sequence_as(structure, [by_name[name] for name in order])


def _pins(model, names, observed, form, row):
    dtypes = dict(zip(names, _in_order(model.dtype, names), strict=True))
    sizes = [math.prod(shape) for shape in form.shapes.values()]
    parts = tf.split(tf.convert_to_tensor(row, tf.float64), sizes)
    return {
        name: tf.cast(tf.reshape(part, shape), dtypes[name])
        for name, part, shape in zip(observed, parts, form.shapes.values(), strict=True)
    }


def _read(path, marks):
    """The simulations of a file as one block; no block if there is no file."""
    if path is None or not os.path.exists(path):
        return []
    with np.load(path) as found:  # of plain arrays: no file runs code
        names = [name for name in ("marks_u", "marks_x", "u", "x") if name in found]
        require(len(names) == 4, f"simulations in `backup`, {path}", sorted(found))
        there = [found[name] for name in names]
    same = all(map(_equal, there[:2], marks))
    require(same, f"`backup` of this model and seed, {path}", "other simulations")
    return [Pairs(*there[2:])]


def _equal(a, b):
    if a.shape != b.shape or a.dtype.names != b.dtype.names:
        return False
    return all(
        np.allclose(one, other, equal_nan=True)
        if one.dtype.kind == other.dtype.kind == "f"
        else np.array_equal(one, other)
        for one, other in zip(_fields(a), _fields(b), strict=True)
    )


def _fields(x):
    """The fields of a structured array, or the array."""
    return [x[name] for name in x.dtype.names] if x.dtype.names else [x]


def _is_finite(part):
    is_text = part.dtype.kind == "U"
    return np.ones(part.shape, bool) if is_text else np.isfinite(part)


def _write(path, marks, blocks):
    if path is None:
        return
    u, x = map(np.concatenate, zip(*blocks, strict=True))
    partial = f"{os.fspath(path)}.partial.npz"
    np.savez(partial, marks_u=marks.u, marks_x=marks.x, u=u, x=x)
    os.replace(partial, path)
