"""The density estimator: maximum likelihood of a distribution, as a Keras model."""

from __future__ import annotations

import copy
import inspect
import json
import math
import os
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import check_flag, check_instance, check_members, require
from tfp_flows.core.flow_bijector import FlowBijector
from tfp_flows.core.rows import initialize_part
from tfp_flows.distributions.distribution_checks import refuse_batch
from tfp_flows.distributions.distribution_wrapper import call_keywords
from tfp_flows.training.global_batch import GlobalBatch
from tfp_flows.training.model import LikelihoodModel, structure_lines
from tfp_flows.training.row_format import RowFormat, Rows
from tfp_flows.training.weight_prior import WeightPrior


@keras.saving.register_keras_serializable(package="tfp_flows")
class DensityEstimator(LikelihoodModel):
    """Fits a distribution by minimising its mean negative log-likelihood, in nats.

    All of Keras's training applies: `compile` with any optimizer, `fit` on arrays, tables,
    `tf.data` and other batches, `validation_split`, `sample_weight`, callbacks,
    `jit_compile`, `steps_per_execution`, `save` to a `.keras` file. Results are nats per
    row, in the units of the data: `val_loss` and `evaluate` are the mean negative
    log-likelihood, and `loss` is the same plus the regularisers of networks in conditioners
    (`model.losses`), if there are any.

    The context of a conditional distribution is the second input: `fit((x, context))`, or a
    `tf.data.Dataset` of `(x, context)`. Weights in batches come third: `(x, None, weight)`
    or `((x, context), None, weight)`.

    Built in the scope of a `tf.distribute` strategy, with its distribution, it trains as on
    one device: losses, gradients, their clipping, and batch statistics are those of the
    whole batch, even if its rows do not divide evenly among the replicas.

    A training loop without it begins with `initialize`, before the first step is traced;
    `training` is for batch statistics and dropout:

    >>> import keras
    >>> import numpy as np
    >>> import tensorflow as tf
    >>> import tfp_flows
    >>> x = np.random.default_rng(0).normal(5.0, 2.0, size=(256, 2)).astype(np.float32)
    >>> flow = tfp_flows.RealNVP(2, num_steps=2, act_norm=True, seed=0)
    >>> dist = tfp_flows.FlowDistribution(tfp_flows.standard_normal(2), flow)
    >>> dist.initialize(x)
    >>> weights = dist.trainable_variables
    >>> optimizer = keras.optimizers.Adam(1e-2)
    >>> optimizer.build(weights)
    >>> @tf.function(autograph=False)
    ... def train_step(rows):
    ...     with tf.GradientTape() as tape:
    ...         loss = -tf.reduce_mean(dist.log_prob(rows, training=True))
    ...     optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights))
    ...     return loss
    >>> losses = [float(train_step(x)) for _ in range(20)]
    >>> losses[-1] < losses[0]
    True

    Args:
      distribution: a `FlowDistribution`, or any object with `log_prob`, `variables` and
        `dtype`. Its variables are the model's weights.
      columns: descriptions of the columns of the table that is fitted: names, or dicts of
        plain values such as "name" and "role". They are saved with the model, which refuses
        data frames with other column names.
      weight_prior: whether networks of flows that standardise vectors have normal priors
        of weights, the wider the more rows there are (`WeightPrior`). Training adds them to
        the loss, and shows the loss without them. There are none from 2**14 rows on, or if
        an initialized model is trained on batches, whose number of rows is unknown.
      **kwargs: `name` of `keras.Model`.

    Raises:
      ValueError: if `distribution` has no `log_prob`, or has batch axes; or `columns` is
        something else; from `fit`, if nothing is trainable, the loss does not depend on a
        trainable variable, or the data have another form.
    """

    saved_parts = ("distribution", "columns", "weight_prior")

    def __init__(
        self,
        distribution: tfp.distributions.Distribution,
        *,
        columns: Sequence[object] | None = None,
        weight_prior: bool = True,
        **kwargs: object,
    ) -> None:
        _check_distribution(distribution)
        check_flag("weight_prior", weight_prior)
        columns = _plain_columns(columns)
        row_format = RowFormat(
            getattr(distribution, "event_shape", None),
            _context_size(distribution),
            distribution.dtype,
            columns=_names_by_argument(columns),
        )
        super().__init__(row_format, distribution, **kwargs)
        self._set_untracked("distribution", distribution)
        self._set_untracked("_columns", columns)
        self.weight_prior = weight_prior
        self._set_untracked("_weight_prior", WeightPrior(distribution))
        self.built = True

    @property
    def columns(self) -> list | None:
        """Descriptions of the columns of the fitted table; None if there are none."""
        return copy.deepcopy(self._columns)

    def call(self, inputs: TensorLike, training: bool = False) -> tf.Tensor:
        """Returns `log_prob`, `[N]`, of `x`, `[N, *event]`, or of `(x, context)`."""
        x, context, _ = self._row_format.from_inputs(inputs)
        dtype = self._row_format.dtype
        kwargs = call_keywords(None if context is None else tf.cast(context, dtype))
        if training:
            kwargs |= _training_keywords(self.distribution)
        return self.distribution.log_prob(tf.cast(x, dtype), **kwargs)

    def nats_of_rows(
        self, rows: Rows, batch: GlobalBatch, *, training: bool = False
    ) -> dict[str, tf.Tensor]:
        """Returns the negative log-likelihood of each row, `[n]`, as "loss"."""
        return {"loss": -self(rows.inputs, training=training)}

    def summary(
        self,
        line_length: int | None = None,
        positions: list | None = None,
        print_fn: Callable | None = None,
        **kwargs: object,
    ) -> None:
        """Prints the steps with shapes and numbers of parameters, by `print_fn` alone."""
        heading = f'Model: "{self.name}"'
        for line in [heading, *structure_lines(self.distribution), *_count_lines(self)]:
            (print_fn or print)(line)

    def export(
        self,
        filepath: str | os.PathLike,
        format: str = "tf_saved_model",
        verbose: bool | None = None,
        **kwargs: object,
    ) -> None:
        """Writes a TensorFlow SavedModel, as `tfp_flows.export` does.

        `log_prob`, which is `serve` too, takes `x`, `[N, *event]`, and `context`,
        `[N, context_size]`, of the model's dtype, and any N. `sample` takes two int32
        scalars and returns `[count, *event]`, or `[count, N, *event]` for N contexts: the
        draws of `distribution.sample(count, seed)`.

        Args:
          filepath: folder to write to.
          format: must be "tf_saved_model".
          verbose: whether to print what was written; it is by default.
          **kwargs: none.

        Raises:
          ValueError: if another format is asked for, or other options; or the distribution
            does not know its event shape.
        """
        words = "`format` of 'tf_saved_model' and no further options"
        is_alone = format == "tf_saved_model" and not kwargs
        require(is_alone, words, f"{format!r} and {sorted(kwargs)}")
        row_format, distribution = self._row_format, self.distribution
        is_known = row_format.event_shape is not None
        require(is_known, "a distribution of known `event_shape`", "none")
        x = tf.TensorSpec([None, *row_format.event_shape], row_format.dtype, name="x")
        context = []
        if row_format.context_size:
            shape = [None, row_format.context_size]
            context = [tf.TensorSpec(shape, row_format.dtype, name="context")]
        scalars = [tf.TensorSpec([], tf.int32, name=name) for name in ("count", "seed")]

        def log_prob(x, context=None):
            return distribution.log_prob(x, **call_keywords(context))

        def sample(count, seed, context=None):
            return distribution.sample(count, seed=seed, **call_keywords(context))

        archive = keras.export.ExportArchive()
        archive.track(self)
        for name in ("serve", "log_prob"):
            archive.add_endpoint(name, log_prob, input_signature=[x, *context])
        archive.add_endpoint("sample", sample, input_signature=[*scalars, *context])
        archive.write_out(str(filepath), verbose=verbose is not False)

    @property
    def _is_initialized(self):
        if hasattr(self.distribution, "is_initialized"):
            return self.distribution.is_initialized
        return not _uninitialized(self.distribution)

    def _initialize(self, rows):
        if not hasattr(self.distribution, "initialize"):
            waiting = _uninitialized(self.distribution)
            words = "a `distribution` whose flows are initialized"
            hint = " FlowDistribution(base, flow) sets the state of its flow from the rows."
            require(not waiting, words, waiting, hint)
            return
        initialize_part(self.distribution, rows.x, rows.context, rows.weight)

    def _count_rows(self, rows):
        if self.weight_prior and self._weight_prior.count(rows):
            self.train_function = None

    def _penalty(self, dtype):
        return self._weight_prior.nats(dtype)

    def _check_support(self, rows):
        if hasattr(self.distribution, "check_support"):
            self.distribution.check_support(rows.x, argument="x")


def _count_lines(model):
    """Returns the numbers of parameters of a model, in three lines like Keras's."""
    counts = [
        sum(math.prod(weight.shape) for weight in weights)
        for weights in (model.trainable_weights, model.non_trainable_weights)
    ]
    return [
        f"Total params: {sum(counts):,}",
        f"Trainable params: {counts[0]:,}",
        f"Non-trainable params: {counts[1]:,}",
    ]


def _plain_columns(columns):
    """Returns a copy of names, or of dicts of plain values; None for None."""
    if columns is None:
        return None
    try:
        plain = json.loads(json.dumps(columns))
    except TypeError:  # no file can hold the values
        plain = None
    is_list = isinstance(plain, list) and all(isinstance(c, (str, dict)) for c in plain)
    words = "`columns`, a sequence of names or of dicts of plain values"
    require(is_list, words, repr(columns))
    return plain


def _names_by_argument(columns):
    """Returns the names of the columns of "x" and "context".

    A dict in `columns` has a "name" and a "role", "modelled" or "context"; a name alone
    stands for a modelled column.
    """
    named = [
        {"name": column, "role": "modelled"} if isinstance(column, str) else column
        for column in columns or ()
    ]
    roles = {"x": "modelled", "context": "context"}
    return {
        argument: [c["name"] for c in named if c.get("role") == role and "name" in c]
        for argument, role in roles.items()
    }


def _check_distribution(distribution):
    if isinstance(distribution, tfp.bijectors.Bijector):
        raise ValueError(
            f"Expected a `distribution`; got the bijector `{distribution.name}`. A base "
            "makes a distribution of it: FlowDistribution(standard_normal(event_size), "
            f"{distribution.name})."
        )
    members = ("log_prob", "variables", "dtype")
    words = "one with `log_prob`, as a `FlowDistribution` of a base and a flow"
    check_members("distribution", distribution, members, words)
    refuse_batch("distribution", distribution)


def _context_size(distribution):
    bijector = getattr(distribution, "bijector", None)  # for distributions of TFP
    return getattr(distribution, "context_size", getattr(bijector, "context_size", 0))


def _training_keywords(distribution):
    """The keywords by which `log_prob` learns that it trains; none if it takes none."""
    is_of_tfp = isinstance(distribution, tfp.distributions.Distribution)
    method = distribution._log_prob if is_of_tfp else distribution.log_prob
    takes = inspect.signature(method).parameters.values()
    if any(parameter.name == "training" for parameter in takes):
        return {"training": True}
    if bijector := getattr(distribution, "bijector", None):  # a `TransformedDistribution`
        is_flow = isinstance(getattr(bijector, "bijector", bijector), FlowBijector)
        return {"bijector_kwargs": {"training": True}} if is_flow else {}
    if not any(parameter.kind == parameter.VAR_KEYWORD for parameter in takes):
        return {}
    inner = getattr(distribution, "distribution", None)
    return {"training": True} if inner is None else _training_keywords(inner)


def _uninitialized(distribution):
    """Names of the flows within a distribution whose state is not set from data yet."""
    parts = getattr(distribution, "submodules", ())
    flows = [part for part in parts if isinstance(part, FlowBijector)]
    return [flow.name for flow in flows if not flow.is_initialized]


def export(distribution: Any, folder: str | os.PathLike) -> None:
    """Writes a distribution as a TensorFlow SavedModel, which runs without this package.

    ```none
    log_prob(x), log_prob(x, context)                   [N] of any N
    sample(count, seed), sample(count, seed, context)   [count, ...], of two int32 scalars
    ```

    The answers are those of the distribution itself, for the same seed. A `TableDensity`
    is exported with its cells, codes and numbers of rows, as `encode` returns them; its
    samples may differ in the last digit of a float32, since they are drawn op by op here.

    >>> import numpy as np
    >>> import tensorflow as tf
    >>> import tfp_flows
    >>> made = tfp_flows.CategoricalMADE([2, 3], hidden_units=(8,), seed=0)
    >>> tfp_flows.export(made, "exported")
    >>> served = tf.saved_model.load("exported")  # where only TensorFlow is installed
    >>> x = served.sample(4, 7)
    >>> bool(tf.reduce_all(x == made.sample(4, seed=7)))
    True
    >>> served.log_prob(x).shape
    TensorShape([4])

    Args:
      distribution: a `FlowDistribution`, an autoregressive distribution, or another with
        `log_prob` and `sample`; or an object with one as its attribute `distribution`, such
        as a fitted `TableDensity` or `DensityEstimator`.
      folder: folder of the files.

    Raises:
      ValueError: if it has no `log_prob` and `sample`, or does not know its event shape.
    """
    words = "the path of a folder"
    check_instance("folder", folder, (str, os.PathLike), words)
    is_table = hasattr(distribution, "encode") and hasattr(distribution, "distribution")
    if is_table or isinstance(distribution, DensityEstimator):
        distribution = distribution.distribution
    DensityEstimator(distribution).export(folder, verbose=False)
