"""What a conditional density sees of an observation: numbers, or a network's summary."""

from __future__ import annotations

import dataclasses
import math
import random
import typing
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.types.experimental import TensorLike

from tfp_flows.bijectors.flow_chain import FlowChain
from tfp_flows.bijectors.standardize import Decorrelate
from tfp_flows.core.arguments import check_choice, check_instance, require
from tfp_flows.core.rows import by_parts, initialize_part, random_split
from tfp_flows.core.statistics import standard_error
from tfp_flows.distributions.bases import standard_normal
from tfp_flows.distributions.distribution_wrapper import DistributionWrapper
from tfp_flows.distributions.flow_distribution import FlowDistribution
from tfp_flows.flows.maf import MAF
from tfp_flows.inference.amortized.data_form import DataForm
from tfp_flows.inference.amortized.number_summary import NumberSummary, Part
from tfp_flows.inference.amortized.pairs import Pairs
from tfp_flows.networks.conditioner import Conditioner
from tfp_flows.networks.deep_set import DeepSet
from tfp_flows.networks.layer_arguments import split_seed
from tfp_flows.training.callbacks import StopAfter, progress
from tfp_flows.training.density_estimator import DensityEstimator
from tfp_flows.training.row_batches import epoch_orders, row_batches

# Named summaries, with the number of axes of their networks' inputs.
SUMMARIES = {"set": 2, "series": 2, "image": 3}
# Simulations, at most, by which the form of the numbers is chosen; the first of five parts
# judges regressions on the others.
_COMPARED, _PARTS = 5_000, 5
# Sizes of arrays with missing numbers whose moments may be added; regressions on more
# numbers take long.
_SIZES = range(3, 1_001)
_NEAR = 3.0  # deviations up to which numbers stay as they are
# Deviations between minus infinity and other numbers: sets of zeros and of nearly all zeros
# may have very different posteriors.
_GAP = 10.0
_VALIDATION_SHARE = 0.1
# Training of a summary network: epochs, patience, rows of a step, step size.
_EPOCHS, _PATIENCE, _BATCH_SIZE, _LEARNING_RATE = 300, 15, 128, 1e-3


class Scale(typing.NamedTuple):
    """Standardises data by quantiles, and compresses far numbers.

    ```none
    z = (x - median) / half the distance of the quantiles of 16 % and 84 %
    feature = z,  beyond 3: sign(z) (3 + log(1 + |z| - 3))
    ```

    If the shift is no NaN, x is log(x + shift), which is finite for x = -shift, too. Minus
    infinity, as the logarithm of a deviation of 0, becomes `least`, below all others.
    """

    center: np.ndarray  # medians, `[K]`
    scale: np.ndarray  # `[K]`; the standard deviation if the quantiles are equal
    # Which entries are NaN in a simulation, `[K]`; a second feature says so.
    is_missing: np.ndarray
    shift: np.ndarray = np.full([], np.nan)  # `[K]`, or one for all
    # In place of minus infinity, `[K]`, or one for all; files of early versions lack it.
    least: np.ndarray = np.full([], 1.5 * np.log(np.finfo(np.float64).tiny))

    @classmethod
    def from_rows(cls, x: np.ndarray, shift: Any = math.nan) -> Scale:
        """Returns the scale of rows, `[N, K]`."""
        shift = np.asarray(shift)
        x = _logarithms(x, shift)
        is_missing = np.isnan(x).any(axis=0)
        x = np.where(np.isneginf(x), np.nan, x)
        x = np.where(np.isnan(x).all(axis=0), 0.0, x)
        low, center, high = np.nanquantile(x, [0.16, 0.5, 0.84], axis=0)
        deviation = np.nanstd(x, axis=0)
        scale = np.where(high > low, 0.5 * (high - low), deviation)
        least = np.nanmin(x, axis=0)
        # The deviation of a constant may be rounding, and not 0.
        scale = np.where(np.nanmax(x, axis=0) > least, scale, 1.0)
        return cls(center, scale, is_missing, shift, least - _GAP * scale)

    @classmethod
    def from_sets(cls, x: np.ndarray, width: int) -> Scale:
        """Returns the scale of sets of rows, `[N, R * width]`: the same for each row."""
        scale = cls.from_rows(x.reshape(-1, width))
        return cls(*(np.tile(part, x.shape[1] // width) for part in scale[:3]))

    def compressed(self, x: np.ndarray) -> np.ndarray:
        """Returns features `[..., K]`; 0 where a cell is missing."""
        x = _logarithms(x, self.shift)
        x = np.where(np.isneginf(x), self.least, x)
        z = np.where(np.isnan(x), 0.0, (x - self.center) / self.scale)
        far = np.maximum(np.abs(z) - _NEAR, 0.0)
        return z - np.sign(z) * (far - np.log1p(far))

    def features(self, x: np.ndarray) -> np.ndarray:
        """Returns features, then whether each cell is known that may be missing."""
        return np.concatenate(
            [self.compressed(x), _is_known(x)[..., self.is_missing]], axis=-1
        )


def _is_known(x):
    return (~np.isnan(x)).astype(np.float64)


def _logarithms(x, shift):
    logarithms = np.log(np.maximum(x + shift, np.finfo(np.float64).tiny))
    return np.where(np.isnan(shift), x, logarithms)


@dataclasses.dataclass(eq=False)
class Features:
    """Features of observations: the context of the conditional density.

    Without a network, they are the numbers themselves, or their `NumberSummary`.
    """

    scale: Scale
    network: Conditioner | None = None
    summary: NumberSummary | None = None

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Returns features, `[..., S]`, of observations, `[..., K]`.

        Refuses observations that lack a cell which all simulations have.
        """
        numbers = self._summarized(x)
        is_unseen = np.isnan(numbers) & ~self.scale.is_missing
        is_nan = is_unseen if self.summary is None else np.isnan(x)
        places = np.flatnonzero(is_nan.any(axis=tuple(range(x.ndim - 1))))
        words = "`x` with the cells known that no simulation lacks"
        got = f"NaN at {places[:5].tolist()} of the flat x"
        require(not is_unseen.any(), words, got)
        if self.network is None:
            return self.scale.features(numbers)
        rows = self.inputs(x).reshape(-1, 2 * x.shape[-1])
        network = self.network
        features = by_parts(lambda part: network(tf.constant(part, tf.float32)), rows)
        return features.astype(np.float64).reshape(*x.shape[:-1], -1)

    def numbers(self, x: np.ndarray) -> np.ndarray:
        """Returns the features of observations that they have without a network."""
        return self.scale.features(self._summarized(x))

    def _summarized(self, x):
        return x if self.summary is None else self.summary(x)

    def with_numbers(self, features: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Returns features, `[..., S]`; after the numbers, if they are a summary of x."""
        if self.network is None:
            return features
        return np.concatenate([self.numbers(x), features], axis=-1)

    def inputs(self, x: np.ndarray) -> np.ndarray:
        """Returns numbers, then whether each is known, `[..., 2 K]`."""
        return np.concatenate([self.scale.compressed(x), _is_known(x)], axis=-1)


def check_summary(summary: str | keras.layers.Layer | None, form: DataForm) -> None:
    """Raises `ValueError` unless a summary suits the form of the data."""
    if summary is None:
        return
    shape = _shape_of_one(form)
    if not isinstance(summary, str):
        words = f"a Keras layer, or one of {[*SUMMARIES]}"
        check_instance("summary", summary, keras.layers.Layer, words)
        state = random.getstate()  # Keras draws seeds of initial weights from it
        _on_rows(_copied(summary), shape, form)
        random.setstate(state)  # the layers of the fit start as without this check
        return
    check_choice("summary", summary, tuple(SUMMARIES))
    rank = SUMMARIES[summary]
    words = f"data of {rank - 1} or {rank} axes with `summary` {summary!r}"
    require(rank - 1 <= len(shape) <= rank, words, f"shape {shape}")


def fit_features(
    summary: str | keras.layers.Layer | None,
    form: DataForm,
    pairs: Pairs,
    *,
    simulations: Pairs,
    exchangeable: NumberSummary | None,
    seed: int | None,
    max_minutes: float | None,
    verbose: int | str,
) -> Features:
    """Returns the features of data, after training a summary network if there is one.

    The network is trained together with a `MAF` of the parameters given its output, by
    maximum likelihood. The summary is a Keras layer from N observations to `[N, S]`, a name
    in `SUMMARIES`, or None, after `check_summary`. None takes the numbers, or their
    `exchangeable` summary, and so do sets of rows of one number. Entries may be missing
    that are NaN in some of all `simulations`, these and others.
    """
    is_missing = np.isnan(simulations.x).any(axis=0)
    shape: tuple[int, ...] = () if summary is None else _input_shape(summary, form)
    if summary == "set" and shape[1] == 1:  # a set of numbers needs no network
        part = Part((form.size,), 0)
        summary, exchangeable = None, NumberSummary((part,), bool(is_missing.any()))
    if summary is None:
        summaries = [exchangeable]
        if exchangeable is None and is_missing.any():
            summaries += _with_moments(form)
        return _best_numbers(pairs, simulations, summaries)
    for_network, for_flow, for_rows = split_seed(seed, 3)
    is_set = summary == "set"  # whose rows are exchangeable
    scale = Scale.from_sets(pairs.x, shape[1]) if is_set else Scale.from_rows(pairs.x)
    if isinstance(summary, str):
        units = max(16, 4 * pairs.u.shape[1])
        layer = _named_layer(summary, units, form, for_network)
    else:
        layer = _copied(summary)
    network = Conditioner(_on_rows(layer, shape, form), (2 * form.size,))
    features = Features(scale._replace(is_missing=is_missing), network)
    _train_summary(features, pairs, for_flow, for_rows, max_minutes, verbose)
    return features


def _with_moments(form):
    """Returns a list of the summary that adds moments to arrays of one axis, or of none."""
    parts = tuple(
        Part(shape, None, len(shape) == 1 and shape[0] in _SIZES)
        for shape in form.shapes.values()
    )
    is_any = any(part.has_moments for part in parts)
    return [NumberSummary(parts, has_counts=True)] if is_any else []


def _best_numbers(pairs, simulations, summaries):
    """Returns `Features` of numbers, or of logarithms, by the best of `summaries`.

    Linear regressions of the parameters on each decide: their log-densities of simulations
    that they were not fitted to.
    """
    candidates = []
    for summary in summaries:
        known, all_known = (
            part.x if summary is None else summary(part.x) for part in (pairs, simulations)
        )
        is_missing = np.isnan(all_known).any(axis=0)
        candidates += [
            Features(scale._replace(is_missing=is_missing), summary=summary)
            for scale in _scales(known)
        ]
    best, *others = candidates
    if others:
        log_probs = _regression_log_probs(best, pairs)
    for candidate in others:
        found = _regression_log_probs(candidate, pairs)
        gain = found - log_probs
        if gain.mean() > standard_error(gain):
            best, log_probs = candidate, found
    return best


def _scales(x):
    """Returns the scale of numbers, and of logarithms if some are never negative.

    These are log(1 + x) of whole numbers, and log(x) of others that are never zero.
    """
    known = np.where(np.isnan(x), 1.0, x)
    is_count = ((known >= 0.0) & (known == np.floor(known))).all(axis=0)
    shift = np.select([is_count, (known > 0.0).all(axis=0)], [1.0, 0.0], math.nan)
    shift[np.isnan(x).all(axis=0)] = math.nan
    shifts = [math.nan] if np.isnan(shift).all() else [math.nan, shift]
    return [Scale.from_rows(x, each) for each in shifts]


def _regression_log_probs(features, pairs):
    """Log-densities of a fifth of some simulations by a regression on the others."""
    # Here, so that a fit of one posterior does not load the room of densities.
    from tfp_flows.density import baselines
    from tfp_flows.density.data import Data

    count = min(len(pairs.u), _COMPARED) // _PARTS
    parts = (pairs.take(part) for part in (slice(count, _COMPARED), slice(count)))
    return baselines.gaussian(*(Data(part.u, features(part.x)) for part in parts))


def _train_summary(features, pairs, for_flow, for_rows, max_minutes, verbose):
    """Trains the network of `Features` together with a `MAF` of the parameters."""
    flow = _flow_given_summary(pairs.u.shape[1], features.network, for_flow)
    model = DensityEstimator(flow)
    model.compile(keras.optimizers.Adam(_LEARNING_RATE, global_clipnorm=5.0))
    for_validation, for_order = split_seed(for_rows, 2)
    train, validation = random_split(pairs, _VALIDATION_SHARE, for_validation)
    inputs, judged = (
        (part.u.astype(np.float32), features.inputs(part.x).astype(np.float32))
        for part in (train, validation)
    )
    model.initialize(inputs)
    batch_size = min(_BATCH_SIZE, max(len(train.u) // 16, 8))
    callbacks = [
        keras.callbacks.ReduceLROnPlateau("val_loss", factor=0.3, patience=_PATIENCE // 3),
        keras.callbacks.EarlyStopping(
            "val_loss", patience=_PATIENCE, restore_best_weights=True
        ),
    ]
    shown, verbose = progress(verbose, _EPOCHS)
    if max_minutes is not None:
        callbacks.append(StopAfter(60.0 * max_minutes))
    model.fit(
        row_batches(inputs, epoch_orders(len(train.u), for_order, 0, _EPOCHS), batch_size),
        steps_per_epoch=-(-len(train.u) // batch_size),
        epochs=_EPOCHS,
        validation_data=(judged,),
        callbacks=callbacks + shown,
        verbose=verbose,
    )


def _flow_given_summary(size, network, seed):
    """Returns the density of parameters, `[N, size]`, given what a network summarises."""
    flow = MAF(
        size,
        num_steps=3,
        hidden_units=(64, 64),
        activation="silu",
        context_size=network.output_shape[0],
        standardize=False,
        standardize_context=False,
        seed=seed,
    )
    chain = FlowChain([Decorrelate(size), flow], standardize_context=False)
    return Summarized(FlowDistribution(standard_normal(size), chain), network)


def _copied(layer):
    """A layer like the user's, with its weights if it has some, for one fit alone."""
    try:
        copied = type(layer).from_config(layer.get_config())
    except (NotImplementedError, TypeError, ValueError) as error:  # such as a `Lambda`
        raise ValueError(
            "Expected a layer `summary` with `get_config`, for copies and files; got "
            f"{type(layer).__name__}: {error}"
        ) from error
    if layer.weights:
        if not copied.built:
            copied.build_from_config(layer.get_build_config())
        copied.set_weights(layer.get_weights())
    return copied


class Summarized(DistributionWrapper):
    """A conditional density whose context, `[..., C]`, a network summarises, `[..., S]`."""

    def __init__(self, distribution: FlowDistribution, network: Conditioner) -> None:
        super().__init__(distribution, name="summarized")
        self.network = network

    @property
    def context_size(self) -> int:
        """C, the width of the network's input."""
        return self.network.input_shape[0]

    @property
    def _parts(self):
        return self.distribution, self.network

    def initialize(self, data: TensorLike, *, context: TensorLike) -> None:
        """Sets location and scale of the rows. Summaries change in training."""
        features = self.network(tf.convert_to_tensor(context[:1]))
        summaries = tf.repeat(features, len(data), axis=0)
        initialize_part(self.distribution, data, summaries, None)

    def log_prob(
        self, value: TensorLike, *, context: TensorLike, training: bool = False
    ) -> tf.Tensor:
        """Returns the log-densities of rows, `[..., D]`, given contexts, `[..., C]`."""
        features = self.network(tf.convert_to_tensor(context), training=training)
        return self.distribution.log_prob(value, context=features, training=training)


def _named_layer(name, units, form, seed):
    """A new network that summarises a set of rows, a series or an image by numbers."""
    if name == "set":
        return DeepSet(units, masked=form.is_missing_allowed, seed=seed)
    seeds = iter(split_seed(seed, 4))

    def seeded():
        return {"kernel_initializer": keras.initializers.GlorotUniform(next(seeds))}

    if name == "series":
        return keras.Sequential(
            [
                keras.layers.Conv1D(32, 5, padding="same", activation="silu", **seeded()),
                keras.layers.GRU(64, **seeded()),
                keras.layers.Dense(units, **seeded()),
            ]
        )
    shared = {"strides": 2, "padding": "same", "activation": "silu"}
    return keras.Sequential(
        [
            keras.layers.Conv2D(16, 5, **shared, **seeded()),
            keras.layers.Conv2D(32, 3, **shared, **seeded()),
            keras.layers.Flatten(),
            keras.layers.Dense(64, activation="silu", **seeded()),
            keras.layers.Dense(units, **seeded()),
        ]
    )


def _on_rows(layer, shape, form):
    """A network of `[numbers, is_known]`, `[N, 2 K]`, that calls a layer on observations.

    The layer sees `[N, *shape]`; with missing cells, the last axis is twice as long, and
    its second half says which cells are known. It has to return `[N, S]`.
    """
    inputs = keras.Input((2 * form.size,))
    observations = keras.layers.Reshape(shape)(inputs[:, : form.size])
    if form.is_missing_allowed:
        known = keras.layers.Reshape(shape)(inputs[:, form.size :])
        observations = keras.layers.Concatenate()([observations, known])
    words = f"`summary` that maps N observations, {_written(observations)}, to [N, S]"
    try:
        summaries = layer(observations)
    except Exception as error:  # a layer of a user may raise any error
        raise ValueError(
            f"Expected {words}; got `{layer.name}`, whose call fails: {error}"
        ) from error
    is_one = hasattr(summaries, "shape")
    got = f"outputs of shape {_written(summaries)}" if is_one else type(summaries)
    require(is_one and len(summaries.shape) == 2, words, got)
    dtypes = sorted({weight.dtype for weight in layer.trainable_weights})
    words = "`summary` with weights in float32, as the flow that trains it"
    require(dtypes in ([], ["float32"]), words, ", ".join(dtypes))
    return keras.Model(inputs, summaries)


def _written(batch):
    """The shape of a symbolic tensor of N observations, in words."""
    sizes = ("N" if size is None else str(size) for size in batch.shape)
    return f"[{', '.join(sizes)}]"


def _input_shape(summary, form):
    """The shape of an observation, with an axis of channels for a named summary."""
    shape = _shape_of_one(form)
    return (*shape, 1)[: SUMMARIES[summary]] if isinstance(summary, str) else shape


def _shape_of_one(form):
    words = "data of one array with `summary`"
    require(len(form.shapes) == 1, words, f"the parts {[*form.shapes]}")
    (shape,) = form.shapes.values()
    return shape if shape else (1,)
