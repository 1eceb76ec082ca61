"""The saved form of an amortised posterior: a conditional distribution of rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.types.experimental import TensorLike

from tfp_flows.distributions.distribution_wrapper import DistributionWrapper
from tfp_flows.distributions.mixture import Mixture
from tfp_flows.inference.amortized.calibration import CalibrationReport
from tfp_flows.inference.amortized.conditioned import Conditioned
from tfp_flows.inference.amortized.data_form import DataForm
from tfp_flows.inference.amortized.features import Features, Scale
from tfp_flows.inference.amortized.observation_checks import Surroundings
from tfp_flows.inference.amortized.truncation import TruncatedPrior
from tfp_flows.inference.parts import (
    from_arguments,
    named,
    parts_from_rows,
    rows_from_parts,
)
from tfp_flows.inference.support import (
    JointSupport,
    log_prob_of_parts,
    without_functions,
)


class PosteriorOfRows(DistributionWrapper):
    """The posterior of parameters given data, both as rows of numbers.

    ```none
    p(theta | x) = density(u | features(x)) |det d support^-1 / d theta|
    ```

    With a truncated prior, it is normalised on the prior's region.

    Files of an `AmortizedPosterior` hold it. It has the context and methods of every
    conditional distribution of rows, so that files can be scored and sampled as others.

    The distribution is that of the unconstrained parameters u given features; after a fit
    with `focus`, before it is truncated. The prior is that of the last round, and None if
    it is that of the model. The likelihood is a learned density, given u, of the features
    that vary among simulations, `varies`, `[S]`; None if there is none. The ranges of
    the simulations are those of `Pairs`, and None if they are not known.
    """

    def __init__(
        self,
        distribution: Mixture,
        support: JointSupport,
        form: DataForm,
        features: Features,
        *,
        report: CalibrationReport,
        surroundings: Surroundings,
        prior: TruncatedPrior | None = None,
        likelihood: Mixture | None = None,
        varies: np.ndarray | None = None,
        ranges: np.ndarray | None = None,
        name: str = "posterior_of_rows",
    ) -> None:
        super().__init__(distribution, name=name)
        self.support, self.form, self.features = support, form, features
        self.report, self.surroundings = report, surroundings
        self.prior, self.ranges = prior, ranges
        self.likelihood, self.varies = likelihood, varies
        self._shapes = support.event_shapes

    @property
    def dtype(self) -> tf.DType:
        """The dtype of the parameters."""
        return self.support.dtype

    @property
    def event_shape(self) -> tf.TensorShape:
        """`[M]`: the numbers of all parameters."""
        sizes = [shape.num_elements() for shape in tf.nest.flatten(self._shapes)]
        return tf.TensorShape([sum(sizes)])

    @property
    def context_size(self) -> int:
        """K, the numbers of an observation."""
        return self.form.size

    @property
    def columns(self) -> list[dict[str, Any]]:
        """Descriptions of the M numbers of the parameters, and of the K of the data."""
        rows = [("modelled", key or "theta", shape) for key, shape in _leaves(self._shapes)]
        rows += [("context", key or "x", shape) for key, shape in self.form.shapes.items()]
        columns: list[dict[str, Any]] = [
            {"name": f"{key}{list(index) or ''}", "role": role}
            for role, key, shape in rows
            for index in np.ndindex(*shape)
        ]
        ranges = np.full([2, len(columns)], np.nan) if self.ranges is None else self.ranges
        for column, (least, greatest) in zip(columns, ranges.T.tolist(), strict=True):
            if least <= greatest:  # some simulation has the number
                column |= {"least": least, "greatest": greatest}
        return columns

    def conditioned(self, row: TensorLike) -> Conditioned:
        """Returns the density of the unconstrained parameters given data, `[..., K]`."""
        features = self.features(np.asarray(row, np.float64))
        return Conditioned(self.distribution, features, dtype=self.dtype, prior=self.prior)

    def learned_log_prob(self, log_prior: Callable, features: tf.Tensor) -> Callable:
        """Returns the log-density of N parameters and the features `[S]` of an observation.

        ```none
        log p(theta, features) = log likelihood(features | u) + log prior(theta)
        ```

        It is a function of the parts of the parameters, as `Simulator.pin` returns it.
        `log_prior` is a function of parameters.
        """
        likelihood: Any = self.likelihood
        varies = np.flatnonzero(np.asarray(self.varies))
        own = tf.gather(tf.cast(features, likelihood.dtype), varies)

        def log_prob(*parts: Any, **named_parts: Any) -> tf.Tensor:
            theta = from_arguments(self._shapes, parts, named_parts)
            u = tf.cast(self.support.bijector.inverse(theta), likelihood.dtype)
            x = tf.broadcast_to(own, [tf.shape(u)[0], own.shape[0]])
            prior = log_prior(theta)
            return prior + tf.cast(likelihood.log_prob(x, context=u), prior.dtype)

        return log_prob

    def log_prob(
        self, value: TensorLike, *, context: TensorLike, training: bool = False
    ) -> tf.Tensor:
        """Returns log-densities of parameters, `[..., M]`, given data, `[..., K]`."""
        del training  # nothing is trained
        value = tf.convert_to_tensor(value, self.dtype)
        parts = parts_from_rows(value, self._shapes)
        is_nan = tf.reduce_any(tf.math.is_nan(value), axis=-1)
        log_prob = self.conditioned(context).log_prob
        return log_prob_of_parts(parts, is_nan, self.support.bijector, log_prob)

    def sample(
        self,
        sample_shape: int | Sequence[int] = (),
        seed: int | TensorLike | None = None,
        *,
        context: TensorLike,
    ) -> tf.Tensor:
        """Draws parameters, `[*sample_shape, ..., M]`, given data, `[..., K]`."""
        u = self.conditioned(context).sample(sample_shape, seed=seed)
        return rows_from_parts(self.support.bijector.forward(u), self._shapes)

    def get_config(self) -> dict:
        """Returns the entries of a file, from which `from_config` builds the posterior."""
        description = {
            "dtype": self.dtype.name,
            "form": self.form.to_plain(),
            "scale": _as_lists(self.features.scale._asdict()),
            "report": self.report.to_plain(),
            "surroundings": _as_lists(vars(self.surroundings)),
        }
        if self.prior is not None:
            description["prior"] = self.prior.to_plain()
        if self.varies is not None:
            description["varies"] = self.varies.tolist()
        if self.ranges is not None:
            description["ranges"] = self.ranges.tolist()
        return {
            "distribution": self.distribution,
            "support": without_functions(self.support.bijector),
            "network": self.features.network,
            "description": description,
            "previous": self.prior and self.prior.previous,
            "likelihood": self.likelihood,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict) -> PosteriorOfRows:
        """Builds the posterior from the result of `get_config`."""
        distribution, description = config["distribution"], config["description"]
        prior = varies = ranges = None
        if (previous := config.get("previous")) is not None:
            prior = TruncatedPrior.from_plain(previous, description["prior"])
        if (likelihood := config.get("likelihood")) is not None:
            varies = np.asarray(description["varies"])
        if "ranges" in description:
            ranges = np.asarray(description["ranges"])
        size, dtype = distribution.event_shape[0], tf.as_dtype(description["dtype"])
        return cls(
            distribution,
            JointSupport.from_bijector(config["support"], size, dtype),
            DataForm.from_plain(description["form"]),
            Features(Scale(**_as_arrays(description["scale"])), config["network"]),
            report=CalibrationReport.from_plain(description["report"]),
            surroundings=Surroundings(**_as_arrays(description["surroundings"])),
            prior=prior,
            likelihood=likelihood,
            varies=varies,
            ranges=ranges,
            name=config["name"],
        )

    @property
    def _parts(self):
        previous = self.prior and self.prior.previous
        return (self.distribution, self.features.network, previous, self.likelihood)


def _as_lists(arrays: Mapping[str, np.ndarray]) -> dict[str, list]:
    return {name: array.tolist() for name, array in arrays.items()}


def _as_arrays(lists: Mapping[str, list]) -> dict[str, np.ndarray]:
    return {name: np.asarray(entries) for name, entries in lists.items()}


def _leaves(shapes, key=""):
    """Names and shapes of all parts, such as "outer.inner" of nested ones."""
    parts = named(shapes)
    if not parts:
        yield key, shapes
    for name, part in parts.items():
        yield from _leaves(part, f"{key}.{name}" if key else str(name))
