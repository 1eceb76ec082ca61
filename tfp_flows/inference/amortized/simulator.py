"""Parameters and the data that a model simulates with them, in three forms of a model."""

from __future__ import annotations

import abc
import copy
import functools
import inspect
import math
import os
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow_probability import distributions as tfd

from tfp_flows.core.arguments import (
    check_callable,
    check_flag,
    check_instance,
    check_integer,
    refuse,
    require,
)
from tfp_flows.core.compiled import graph_function
from tfp_flows.inference.amortized.backup import Backup
from tfp_flows.inference.amortized.data_form import (
    DataForm,
    as_array,
    named_as,
    parts_of_data,
)
from tfp_flows.inference.amortized.number_summary import NumberSummary
from tfp_flows.inference.amortized.pairs import Pairs
from tfp_flows.inference.parts import arguments_of, named
from tfp_flows.inference.support import JointSupport

# Simulations of a block, which bounds the memory; and of a block of single simulations,
# which bounds the repetitions after an interruption.
_ROWS, _ROWS_ONE_BY_ONE = 2048, 64
# Number of draws that show the shape of the data, and whether the support depends on them.
_FEW = 2
_NUM_COMPARED = 256  # parameters whose densities of data in two orders are compared
_PRIME = 7919  # keeps the seeds of blocks apart
_AUTO_BATCHED = (
    tfd.JointDistributionCoroutineAutoBatched,
    tfd.JointDistributionNamedAutoBatched,
    tfd.JointDistributionSequentialAutoBatched,
)


class Simulator(abc.ABC):
    """A model as a fit sees it: draws of parameters and data, and densities.

    Attributes:
      support: `JointSupport` of the parameters.
      form: the `DataForm`, or another class with its `simulated_rows`.
      pin: function of one observation, a row `[K]` or a tensor, that returns the
        log-density of the parameters' parts and the observation; None if the density is
        not known.
      is_slow: whether it takes one draw at a time.
      takes_seed: whether a seed determines the data.

    A block has `rows` simulations.
    """

    pin: Callable | None = None
    is_slow, takes_seed = False, True

    def __init__(self, support: JointSupport, form: Any, rows: int) -> None:
        self.support, self.form, self._rows = support, form, rows

    @abc.abstractmethod
    def parameters(self, count: int, seed: int) -> Any:
        """Returns draws from the prior, a structure of arrays `[N, *event]`."""

    @abc.abstractmethod
    def simulate(self, parameters: Any, seed: int) -> Any:
        """Returns data, given parameters."""

    def draw(self, count: int, seed: int) -> tuple[Any, Any]:
        """Returns draws of parameters and data."""
        drawn = self.parameters(count, seed)
        return drawn, self.simulate(drawn, seed)

    @abc.abstractmethod
    def prior_log_prob(self, parameters: Any) -> tf.Tensor:
        """Returns log-densities of parameters, `[N]`, under the prior."""

    def exchangeable_summary(self, pairs: Pairs) -> NumberSummary | None:
        """Returns the summary of data whose order is known not to matter."""
        del pairs
        return None

    def pairs(
        self,
        count: int,
        seed: int | None,
        backup: str | os.PathLike | None = None,
        *,
        shows_bar: bool = False,
        prior: Any = None,
    ) -> Pairs:
        """Simulates `count` times, and keeps the simulations in a file: see `Backup`.

        A call for more simulations adds to it. A bar on the standard output may show the
        progress of a simulator that takes one draw at a time. The prior is that of the
        model if it is None.
        """
        first = int(np.random.SeedSequence(seed).generate_state(1)[0]) % 2**30
        draw_few = functools.partial(self._block, _FEW, first, prior)
        file = Backup(backup, seed, draw_few, takes_seed=self.takes_seed, prior=prior)
        blocks = file.read()
        bar = keras.utils.Progbar(
            count, verbose=shows_bar and self.is_slow, unit_name="simulation"
        )
        done = sum(len(block.u) for block in blocks)
        while done < count:
            rows = min(self._rows, count - done)
            blocks.append(self._block(rows, first + _PRIME * (1 + done), prior))
            done += rows
            file.write(blocks)
            bar.update(done)
        return Pairs.joined(blocks).take(slice(count))

    def given(self, u: np.ndarray, seed: int) -> Pairs:
        """Simulates data with unconstrained parameters, `[N, D]`."""
        parts = self.support.bijector.forward(tf.constant(u, self.support.dtype))
        return Pairs(u, self.form.simulated_rows(self.simulate(parts, seed), len(u)))

    def log_prior(self, u: tf.Tensor) -> np.ndarray:
        """Returns log-densities of unconstrained parameters, `[N, D]`, under the prior."""
        u = tf.cast(u, self.support.dtype)
        bijector = self.support.bijector
        log_det = bijector.forward_log_det_jacobian(u, event_ndims=1)
        return np.asarray(self.prior_log_prob(bijector.forward(u)) + log_det)

    @property
    def has_log_prior(self) -> bool:
        """Whether the prior has log-densities."""
        try:
            self.log_prior(tf.zeros([1, self.support.event_size]))
        except NotImplementedError:
            return False
        return True

    def _block(self, count, seed, prior):
        seed = seed % 2**30
        if prior is not None:
            return self.given(prior.sample(self, count, seed), seed)
        parameters, x = self.draw(count, seed)
        return Pairs(
            self.support.unconstrained(parameters), self.form.simulated_rows(x, count)
        )


class JointSimulator(Simulator):
    """A joint distribution, some of whose parts are observed."""

    def __init__(self, model: Any, observed: str | Sequence[str] | None) -> None:
        check_instance("model", model, tfd.JointDistribution, "a joint distribution")
        self._depends_on = _parts_and_parents(model)
        names = self._names = [*self._depends_on]
        words = f"`observed`, some but not all of the names {names}"
        observed = _checked_names(observed, words)
        self._model, self._observed = model, observed
        fits = 0 < len(set(observed)) == len(observed) < len(names)
        require(fits and set(observed) <= set(names), words, observed)
        self._unknown = [name for name in names if name not in observed]
        few = self._data(self._draw_all(_FEW, 0))
        self.form = DataForm.from_batch(few)
        self._rows_of_few = self.form.to_rows(few)
        targets = [self._pinned(row) for row in self._rows_of_few]
        support = JointSupport.from_distribution(targets[0], "model")
        words = "`model` of parameters whose support does not depend on data"
        require(support.is_of(targets[1]), words, model.name)
        self._event_shape = targets[0].event_shape
        super().__init__(support.softly_clipped(), self.form, _ROWS)

    def pin(self, row: Any) -> Callable:
        """Returns the log-density of the parameters' parts and one observation."""
        return self._pinned(row).unnormalized_log_prob

    def exchangeable_summary(self, pairs: Pairs) -> NumberSummary | None:
        """Returns the summary of data whose order the density does not see."""
        u = tf.constant(pairs.u[:_NUM_COMPARED], self.support.dtype)
        parts, named_parts = arguments_of(self.support.bijector.forward(u))

        @graph_function
        def log_prob(row):
            return self.pin(row)(*parts, **named_parts)

        shapes = [*self.form.shapes.values()]
        try:
            return NumberSummary.from_density(
                lambda x: log_prob(x).numpy(), pairs.x, shapes
            )
        except NotImplementedError:  # a part has no density
            return None

    def parameters(self, count: int, seed: int) -> Any:
        """Returns draws from the prior; raises if they depend on observed parts."""
        observed = set(self._observed)
        after = [n for n in self._unknown if set(self._depends_on[n]) & observed]
        words = "parameters that do not depend on data, with `focus`"
        require(not after, words, f"{after} of {self._model.name}, which do")
        return self._parameters_of(self._draw_all(count, seed))

    def simulate(self, parameters: Any, seed: int) -> Any:
        """Returns data, given parameters."""
        pinned = self._model.experimental_pin(**_by_name(parameters, self._unknown))
        drawn = _sample(pinned.sample_unpinned, self._model, (), seed)
        observed = [name for name in self._names if name in self._observed]
        return self._data(_by_name(drawn, observed))

    def draw(self, count: int, seed: int) -> tuple[Any, Any]:
        """Returns draws of parameters and data."""
        values = self._draw_all(count, seed)
        return self._parameters_of(values), self._data(values)

    def prior_log_prob(self, parameters: Any) -> tf.Tensor:
        """Returns log-densities of parameters, `[N]`, under the prior."""
        values = _by_name(parameters, self._unknown)
        count = len(values[self._unknown[0]])
        for name, x in self._pins(self._rows_of_few[0]).items():
            values[name] = tf.repeat(x[None], count, axis=0)
        parts = _as_structure(self._model.event_shape, values)
        log_probs = _by_name(self._model.log_prob_parts(parts), self._names)
        return sum(log_probs[name] for name in self._unknown)

    def _draw_all(self, count, seed):
        drawn = _sample(self._model.sample, self._model, count, seed)
        return _by_name(drawn, self._names)

    def _data(self, values):
        x = {name: np.asarray(values[name], np.float64) for name in self._observed}
        return x[self._observed[0]] if len(self._observed) == 1 else x

    def _parameters_of(self, values):
        parameters = {name: values[name] for name in self._unknown}
        return _as_structure(self._event_shape, parameters)

    def _pinned(self, row):
        return self._model.experimental_pin(**self._pins(row))

    def _pins(self, row):
        """The observed parts of a row, in their shapes and dtypes."""
        dtypes = _by_name(self._model.dtype, self._names)
        shapes = self.form.shapes.values()
        sizes = [math.prod(shape) for shape in shapes]
        parts = tf.split(tf.convert_to_tensor(row, tf.float64), sizes)
        return {
            name: tf.cast(tf.reshape(part, shape), dtypes[name])
            for name, part, shape in zip(self._observed, parts, shapes, strict=True)
        }


class PriorSimulator(Simulator):
    """A prior and a function from parameters to data, as in `fit_amortized_posterior`.

    `form_of` returns the form of some data. `argument` is the name that the prior has for
    the user, for errors.
    """

    def __init__(
        self,
        prior: Any,
        simulator: Callable,
        vectorized: bool,
        num_processes: int = 1,
        form_of: Callable = DataForm.from_batch,
        argument: str = "model",
    ) -> None:
        check_callable("simulator", simulator, "a function from parameters to data")
        check_flag("vectorized", vectorized)
        check_integer("num_processes", num_processes, 1)
        words = "`vectorized=False` with several processes"
        require(num_processes == 1 or not vectorized, words, f"vectorized={vectorized}")
        self.prior, self._simulator, self._vectorized = prior, simulator, vectorized
        self._call_all = _one_by_one if num_processes == 1 else _in_processes(num_processes)
        signature = _signature(simulator)
        self.takes_seed = signature is not None and "seed" in signature.parameters
        support = JointSupport.from_distribution(prior, argument).softly_clipped()
        if signature is not None:
            _check_arguments(signature, prior.event_shape, self.takes_seed)
        _, x = self.draw(_FEW, 0)
        rows = _ROWS if vectorized else _ROWS_ONE_BY_ONE
        self.is_slow = not vectorized
        super().__init__(support, form_of(x), rows)

    def parameters(self, count: int, seed: int) -> Any:
        """Returns draws from the prior."""
        return _sample(self.prior.sample, self.prior, count, seed)

    def simulate(self, parameters: Any, seed: int) -> Any:
        """Returns data, given parameters."""
        plain = tf.nest.map_structure(np.asarray, parameters)
        count = len(tf.nest.flatten(plain)[0])
        if self._vectorized:
            return self._simulate_at_once(plain, seed, count)
        rows = (tf.nest.map_structure(lambda p, i=i: p[i], plain) for i in range(count))
        calls = [self._call(row, seed + i) for i, row in enumerate(rows)]
        caller = _caller()
        data = self._call_all([(caller, call, {}) for call in calls])
        first = parts_of_data(data[0])
        data = [named_as(first, row) for row in data]
        x = {name: _stacked(name, [row[name] for row in data]) for name in data[0]}
        return x[None] if list(x) == [None] else x

    def prior_log_prob(self, parameters: Any) -> tf.Tensor:
        """Returns log-densities of parameters, `[N]`, under the prior."""
        return self.prior.log_prob(parameters)

    def _simulate_at_once(self, parameters, seed, count):
        hint = " With vectorized=False, it is called with one draw after another."
        try:
            (data,) = _one_by_one([self._call(parameters, seed)])
        except (TypeError, ValueError) as error:  # those of functions of single numbers
            words = f"Expected `simulator` that takes {count} draws of parameters at once"
            got = f"{type(error).__name__}: {error}".removesuffix(".")
            raise ValueError(f"{words}; got {got}.{hint}") from error
        for name, part in parts_of_data(data).items():
            shape = as_array("data", part).shape
            words = f"`simulator` that returns {count} data for {count} parameters"
            got = f"shape {shape}" + ("" if name is None else f" of {name!r}")
            require(len(shape) > 0 and shape[0] == count, words, got, hint)
        return data

    def _call(self, parameters, seed):
        """The function and its arguments, for one call."""
        parts, named_parts = arguments_of(parameters)
        keywords = {"seed": seed} if self.takes_seed else {}
        return self._simulator, parts, keywords | named_parts  # a part may be a `seed`


def _sample(method, distribution, count, seed):
    """Returns draws by a method of a distribution, the same whenever a seed is used."""
    if isinstance(distribution, _AUTO_BATCHED):
        # With a tensor seed, these draw one after another, and data of several parameters
        # have the same noise. An integer seed gives the same draws in each new graph.
        draw = tf.function(lambda: method(count, seed=seed), autograph=False)
        return draw.get_concrete_function()()  # without a warning about new graphs
    # Differs from [seed, 0], which a simulator may make from the same integer.
    return method(count, seed=tf.constant([seed, _PRIME], tf.int32))


def _one_by_one(calls):
    # Copies, since a function may write into the same array in each call.
    return [copy.deepcopy(function(*parts, **named)) for function, parts, named in calls]


def _caller():
    """Returns the function that calls a simulator with one draw.

    Other processes receive a function inside a function whole, without its module, and so
    need not import TensorFlow, which takes seconds.
    """

    def call(function, parts, named_parts):
        try:
            return function(*parts, **named_parts)
        except Exception as error:  # a function of a user may raise any error
            given = [f"{part!r}" for part in parts]
            given += [f"{name}={part!r}" for name, part in named_parts.items()]
            raise ValueError(
                f"Expected `simulator` that returns data given ({', '.join(given)}); got "
                f"{type(error).__name__}: {error}"
            ) from error

    return call


def _stacked(name, parts):
    """Data of one axis more, of arrays of one shape."""
    shapes = sorted({as_array("data", part).shape for part in parts})
    words = "`simulator` that returns data of one shape"
    which = "" if name is None else f" of {name!r}"
    hint = " Fill up sets of fewer rows with NaN, given `missing=True`."
    require(len(shapes) == 1, words, f"shapes {shapes[:2]}{which}", hint)
    return np.stack(parts)


def _in_processes(count):
    """Returns a function that makes calls in processes, which stay for later calls."""
    try:
        import joblib
    except ImportError as error:
        raise ImportError(
            "Expected joblib for `num_processes` above 1: pip install joblib"
        ) from error
    return joblib.Parallel(count)


def _signature(function):
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):  # the function has no signature
        return None


def _check_arguments(signature, event_shape, takes_seed):
    """Refuses a simulator that cannot be called with the parts of a prior."""
    parts, named_parts = arguments_of(event_shape)
    keywords = {"seed": None} if takes_seed else {}
    try:
        signature.bind(*parts, **keywords | named_parts)
    except TypeError as error:
        names = [*named(event_shape)]
        words = f"the keywords {names}, parts of the prior"
        if not named_parts:
            words = f"{len(parts)} arguments" if len(parts) > 1 else "one argument"
            words += f", the parts {names} of the prior" if names else ""
        raise ValueError(
            f"Expected `simulator` that takes {words}; got the arguments {signature}: "
            f"{error}."
        ) from error


def _checked_names(observed, words):
    """Returns names as a list; refuses data in their place."""
    if isinstance(observed, str):
        return [observed]
    is_list = isinstance(observed, Sequence | set)
    if not is_list or not all(isinstance(name, str) for name in observed):
        hint = " `fit_amortized_posterior` returns a function of the data."
        refuse(words, observed, hint)
    return list(observed)


def _parts_and_parents(model):
    """Names of the parts of a joint distribution, each with those it may depend on."""
    if hasattr(model, "resolve_graph"):
        return dict(model.resolve_graph())
    names = [*named(model.event_shape)]  # a coroutine shows only the order
    return {name: names[:place] for place, name in enumerate(names)}


def _by_name(parts, names):
    """The parts of a structure by the names, or in their order if it has others."""
    by_name = named(parts)
    if set(by_name) == set(names):
        return {name: by_name[name] for name in names}
    return dict(zip(names, by_name.values(), strict=True))


def _as_structure(structure, by_name):
    """The parts of a structure that has names, or the order of `by_name`."""
    names = [*named(structure)]
    order = names if set(names) == set(by_name) else [*by_name]
    return tf.nest.pack_sequence_as(structure, [by_name[name] for name in order])
