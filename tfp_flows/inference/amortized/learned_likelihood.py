"""A learned density of the data, which weighs draws of an amortised posterior."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfp_flows.distributions.mixture import Mixture
from tfp_flows.inference.parts import from_arguments
from tfp_flows.inference.support import JointSupport


@dataclasses.dataclass(frozen=True)
class LearnedLikelihood:
    """A learned density of the data given parameters.

    Attributes:
      density: density, given unconstrained parameters, of the features that vary.
      varies: which features vary among simulations, `[S]`.
      log_prior: function of parameters that returns their log-densities under the prior;
        None as long as it is not known, since files do not hold it.
    """

    density: Mixture
    varies: np.ndarray
    log_prior: Callable | None = None

    def pin(self, support: JointSupport) -> Callable:
        """Returns a function that pins the joint density to the features of an observation.

        ```none
        log p(theta, features) = log density(features | u) + log prior(theta)
        ```

        Its result is the log-density as a function of the parts of N parameters.
        """
        log_prior: Any = self.log_prior
        shapes, dtype = support.event_shapes, self.density.dtype
        varying = np.flatnonzero(np.asarray(self.varies))

        def pinned(features: tf.Tensor) -> Callable:
            observed = tf.gather(tf.cast(features, dtype), varying)

            def log_prob(*parts: Any, **named_parts: Any) -> tf.Tensor:
                theta = from_arguments(shapes, parts, named_parts)
                u = tf.cast(support.bijector.inverse(theta), dtype)
                x = tf.broadcast_to(observed, [tf.shape(u)[0], observed.shape[0]])
                prior = log_prior(theta)
                return prior + tf.cast(self.density.log_prob(x, context=u), prior.dtype)

            return log_prob

        return pinned
