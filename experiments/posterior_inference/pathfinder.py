"""Pathfinder: draws from the best normals along the paths of L-BFGS."""

import dataclasses

import numpy as np
import scipy.optimize
import tensorflow as tf

import tfp_flows
from experiments.command_line.flag_settings import TrainingError

_MEMORY = 6
_ELBO_DRAWS = 5
_MAX_ITERATIONS = 1000


@dataclasses.dataclass(frozen=True)
class Draws:
    """Draws of the best normal of each path.

    Attributes:
      parts: draws of the target's parts, `[N, *event]` each.
      log_weights: log importance weights, `[N]`, each for the normal of its path.
      num_gradients: evaluations of the target's gradient.
    """

    parts: object
    log_weights: np.ndarray
    num_gradients: int


def pathfinder(pinned, *, num_paths, draws_of_a_path, seed):
    """Runs L-BFGS from random points and draws from the best normal of each path.

    ```none
    start:          uniform in (-2, 2)
    along a path:   N(x + H g, H),  H the inverse Hessian of L-BFGS at x, g the gradient
    best normal:    that with the highest ELBO
    ```

    Reference:
      Zhang et al. (2022), Pathfinder: parallel quasi-Newton variational inference.
      https://arxiv.org/abs/2108.03782
    """
    rng = np.random.default_rng(seed)
    density = _Density(pinned)
    draws, log_weights = [], []
    for _ in range(num_paths):
        best = _best_normal(density, rng.uniform(-2.0, 2.0, density.event_size), rng)
        if best is not None:
            x, log_q = best.draw(draws_of_a_path, rng)
            draws.append(x)
            log_weights.append(density.log_prob(x) - log_q)
    if not draws:
        raise TrainingError("No path of L-BFGS has a normal with a finite ELBO.")
    parts = density.support.forward(tf.constant(np.concatenate(draws), density.dtype))
    log_weights = np.nan_to_num(np.concatenate(log_weights), nan=-np.inf, posinf=-np.inf)
    return Draws(parts, log_weights, density.num_gradients)


class _Density:
    """The log-density of the unconstrained vector, as float64 NumPy arrays."""

    def __init__(self, pinned):
        plain = tfp_flows.flow_posterior(
            pinned, num_steps=1, hidden_units=(1,), whiten=False
        )
        self.support, self.dtype = plain.support, plain.distribution.dtype
        self.event_size = plain.distribution.event_shape[0]
        self.num_gradients = 0
        self._target = pinned.unnormalized_log_prob
        rows, row = (tf.TensorSpec([n, self.event_size], self.dtype) for n in (None, 1))
        self._log_probs = tf.function(self._log_prob, [rows], autograph=False)
        self._gradients = tf.function(
            self._gradient, [row], autograph=False, jit_compile=True
        )

    def log_prob(self, x):
        """Log-densities, `[N]`, of points, `[N, D]`."""
        return self._log_probs(tf.constant(x, self.dtype)).numpy().astype(np.float64)

    def value_and_gradient(self, x):
        """The negative log-density of a point, `[D]`, and its gradient."""
        self.num_gradients += 1
        value, gradient = self._gradients(tf.constant(x[None], self.dtype))
        value, gradient = np.float64(value[0]), gradient[0].numpy().astype(np.float64)
        if not (np.isfinite(value) and np.isfinite(gradient).all()):
            return 1e30, np.zeros_like(gradient)  # L-BFGS steps back
        return -value, -gradient

    def _log_prob(self, x):
        log_det = self.support.forward_log_det_jacobian(x, event_ndims=1)
        return self._target(self.support.forward(x)) + log_det

    def _gradient(self, x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = self._log_prob(x)
        return value, tape.gradient(value, x)


@dataclasses.dataclass(frozen=True)
class _Normal:
    mean: np.ndarray
    factor: np.ndarray  # lower triangular, [D, D]

    def draw(self, count, rng):
        noise = rng.normal(size=(count, len(self.mean)))
        log_prob = -0.5 * (noise**2 + np.log(2.0 * np.pi)).sum(axis=1)
        log_prob -= np.log(np.diag(self.factor)).sum()
        return self.mean + noise @ self.factor.T, log_prob


def _best_normal(density, start, rng):
    """The normal with the highest ELBO along a path; None if no ELBO is finite."""
    normals = list(_normals(*_path(density, start)))
    if not normals:
        return None
    x, log_q = zip(*(normal.draw(_ELBO_DRAWS, rng) for normal in normals), strict=True)
    log_weights = density.log_prob(np.concatenate(x)) - np.concatenate(log_q)
    elbos = log_weights.reshape(-1, _ELBO_DRAWS).mean(axis=1)
    best = np.argmax(np.nan_to_num(elbos, nan=-np.inf, posinf=-np.inf))
    return normals[best] if np.isfinite(elbos[best]) else None


def _path(density, start):
    """Iterates of L-BFGS and the gradients of the negative log-density there."""
    known, points = {}, [start]

    def evaluate(x):
        value, gradient = density.value_and_gradient(x)
        known[x.tobytes()] = gradient
        return value, gradient

    scipy.optimize.minimize(
        evaluate,
        start,
        jac=True,
        method="L-BFGS-B",
        callback=lambda x: points.append(x.copy()),
        options={"maxcor": _MEMORY, "maxiter": _MAX_ITERATIONS, "ftol": 1e-13},
    )
    found = [(x, known[x.tobytes()]) for x in points if x.tobytes() in known]
    return [x for x, _ in found], [gradient for _, gradient in found]


def _normals(points, gradients):
    """Normals at all points but the first, if the inverse Hessian is positive definite."""
    inverse = _InverseHessian(len(points[0]))
    for i in range(1, len(points)):
        inverse.update(points[i] - points[i - 1], gradients[i] - gradients[i - 1])
        covariance = inverse.matrix()
        try:
            factor = np.linalg.cholesky(0.5 * (covariance + covariance.T))
        except np.linalg.LinAlgError:
            continue
        yield _Normal(points[i] - covariance @ gradients[i], factor)


class _InverseHessian:
    """The inverse Hessian of L-BFGS: a diagonal, and the last steps."""

    def __init__(self, size):
        self._diagonal, self._steps = np.ones(size), []

    def update(self, step, change):
        """Adds a step and the change of the gradient, if the curvature is positive."""
        curvature = step @ change
        if not curvature > 1e-12 * (change @ change):
            return
        diagonal = self._diagonal
        a, c = change @ (diagonal * change), step @ (step / diagonal)
        inverse = a / (curvature * diagonal) + change**2 / curvature
        inverse -= a * step**2 / (curvature * c * diagonal**2)
        if (inverse > 0.0).all():
            self._diagonal = 1.0 / inverse
        self._steps = [*self._steps, (step, change)][-_MEMORY:]

    def matrix(self):
        """The estimate, `[D, D]`, by the updates of BFGS from the diagonal."""
        found = np.diag(self._diagonal)
        for step, change in self._steps:
            left = np.eye(len(step)) - np.outer(step, change) / (step @ change)
            found = left @ found @ left.T + np.outer(step, step) / (step @ change)
        return found
