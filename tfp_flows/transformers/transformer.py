"""The protocol that every transformer follows."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import tensorflow as tf

from tfp_flows.core.arguments import check_instance, check_size, require
from tfp_flows.core.serialization import ConfiguredByAttributes

ValueAndLogDet: TypeAlias = tuple[tf.Tensor, tf.Tensor]


class Transformer(ConfiguredByAttributes, abc.ABC):
    """An elementwise map that a conditioner parameterises.

    A transformer in the sense of the flow literature is a map `x -> y` of one variable. It
    is not the attention model, and knows neither the network nor the mask. A subclass has

    ```none
    num_parameters                                      P, the parameters of one variable
    forward_and_log_det(x, parameters) -> y, log_det    x, y and log_det [..., D]
    inverse_and_log_det(y, parameters) -> x, log_det    parameters [..., P, D]
    ```

    The batch axes of `x` and `parameters` broadcast; a log-det may lack batch axes that
    only `x` has. D is not fixed, and there may be no batch axis: a sequential direction
    passes one variable of N rows as `x`, `[N]`, and `parameters`, `[P, N]`. A network's
    output starts at zero, where the map should be the identity. Parameters are unbounded
    numbers; `constrain` maps them to their bounds. A new transformer, with lighter or
    heavier tails:

    >>> import tensorflow as tf
    >>> import tfp_flows
    >>> class Tails(tfp_flows.transformers.Transformer):
    ...     '''y = sinh(exp(s) * asinh(x))'''
    ...
    ...     num_parameters = 1
    ...
    ...     def forward_and_log_det(self, x, parameters):
    ...         (s,) = self.constrain(parameters)
    ...         y = tf.sinh(tf.exp(s) * tf.asinh(x))
    ...         return y, s + 0.5 * (tf.math.log1p(y**2) - tf.math.log1p(x**2))
    ...
    ...     def inverse_and_log_det(self, y, parameters):
    ...         return self.forward_and_log_det(y, -parameters)
    >>> flow = tfp_flows.MAF(3, transformer=Tails(), seed=0)

    `check_bijector` checks its log-det, with a network that does not start at zero:

    >>> network = tfp_flows.MLP(1, (8,), zero_last_layer=False, seed=0)
    >>> conditioner = tfp_flows.Conditioner(network, input_shape=2)
    >>> step = tfp_flows.Coupling([True, True, False], conditioner, Tails())
    >>> tfp_flows.check_bijector(step, tf.random.stateless_normal([32, 3], [0, 1])).passed
    True

    If the inverse has no formula, `inverse_by_root` takes any root finder.

    Attributes:
      num_parameters: P.
      is_monotone: whether the map is monotone on the whole line, as the `cdf` of a flow of
        one variable needs; a map of a circle is not.
      knows_variables: whether the map differs between variables, so that D is fixed.
    """

    is_monotone = True
    knows_variables = False

    if TYPE_CHECKING:  # a number or a property of the subclass

        @property
        def num_parameters(self) -> int:
            """P, the number of parameters of one variable."""

    @abc.abstractmethod
    def forward_and_log_det(self, x: tf.Tensor, parameters: tf.Tensor) -> ValueAndLogDet:
        """Maps `x`, `[..., D]`, by `parameters`, `[..., P, D]`; log-dets `[..., D]`."""

    @abc.abstractmethod
    def inverse_and_log_det(self, y: tf.Tensor, parameters: tf.Tensor) -> ValueAndLogDet:
        """Undoes `forward_and_log_det`, with the log-dets of the inverse."""

    def constrain(self, parameters: tf.Tensor) -> Sequence[tf.Tensor]:
        """Maps `parameters`, `[..., P, D]`, to the quantities in the formulas.

        By default these are the P numbers unchanged, `[..., D]` each.
        """
        self._check_parameters(parameters, self.num_parameters)
        return tf.unstack(parameters, self.num_parameters, axis=-2)

    def parameters_of(self, outputs: tf.Tensor, size: int) -> tf.Tensor:
        """Reshapes the output of a conditioner, `[..., P * D]`, to `[..., P, D]`.

        Args:
          outputs: D numbers for the first parameter, then D for the second, and so on.
          size: D.

        Raises:
          ValueError: if the last axis of `outputs` is not P * D long.
        """
        count, fits = self.num_parameters, outputs.shape[-1:].is_compatible_with
        words = f"a conditioner that returns parameters of shape [..., {count * size}]"
        words = f"{words}, {count} for each of {size} variables"
        require(fits([count * size]), words, outputs.shape)
        leading = outputs.shape[:-1]
        if leading.rank is None or leading.as_list().count(None) > 1:
            leading = tf.shape(outputs)[:-1]
            shape = tf.concat([leading, [count, size]], axis=0)
        else:  # without an operation
            shape = [*(-1 if n is None else n for n in leading), count, size]
        return tf.reshape(outputs, shape)

    def _check_parameters(self, parameters, count, hint=""):
        """Refuses `parameters` whose static shape is not `[..., count, D]`."""
        shape = tf.TensorShape(parameters.shape)
        words = f"`parameters` of shape [..., {count}, D] for `{type(self).__name__}`"
        require(shape[-2:-1].is_compatible_with([count]), words, shape, hint)

    def inverse_by_root(
        self, find_root: Callable, y: tf.Tensor, parameters: tf.Tensor
    ) -> ValueAndLogDet:
        """Returns the inverse, computed by a root finder, and its log-det.

        Gradients follow from the implicit function theorem and not through `find_root`:
        `y = T(x; p)` implies `dx/dy = 1 / T'` and `dx/dp = -T_p / T'`.

        Args:
          find_root: function of `y` and `parameters`, which returns `x`, `[..., D]`.
          y: `[..., D]`.
          parameters: `[..., P, D]`.
        """
        y += tf.zeros_like(parameters[..., 0, :])
        x = _implicit_root(self, find_root, y, parameters)
        return x, -self.forward_and_log_det(x, parameters)[1]


def _implicit_root(transformer, find_root, y, parameters):
    """Returns `find_root(y, parameters)`, with the gradient of the inverse."""

    @tf.custom_gradient
    def root(y, parameters):
        solution = find_root(y, parameters)

        def gradient(x_bar):
            # The solution again, as a function with a gradient, for second derivatives.
            x = _implicit_root(transformer, lambda *_: solution, y, parameters)
            with tf.GradientTape() as tape:
                tape.watch(parameters)
                mapped, log_slope = transformer.forward_and_log_det(x, parameters)
            # Keeps gradients finite where the map is flat to all digits.
            most = x.dtype.max**0.4
            y_bar = x_bar * tf.minimum(tf.exp(-log_slope), most)
            return y_bar, tape.gradient(mapped, parameters, -y_bar)

        return solution, gradient

    return root(y, parameters)


def check_transformer(value: Any) -> None:
    """Refuses an argument `transformer` that is not an instance of `Transformer`."""
    words = "an instance of `tfp_flows.transformers.Transformer` such as Affine()"
    check_instance("transformer", value, Transformer, words, _hint(value))
    check_size("num_parameters", getattr(value, "num_parameters", None))


def _hint(value):
    """Says what to do with a value that resembles a transformer."""
    if isinstance(value, type):
        return ""
    if hasattr(value, "forward_log_det_jacobian"):
        return (
            " A bijector has no parameters (`num_parameters`) that a network sets; it is a "
            "step of its own in a `FlowChain`."
        )
    if hasattr(value, "forward_and_log_det"):
        return f" Make `{type(value).__name__}` a subclass of it."
    return ""
