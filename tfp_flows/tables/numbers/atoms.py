"""Atoms: probabilities that a number of a row is exactly equal to an earlier one."""

from __future__ import annotations

import dataclasses
import functools
import math
import typing
from collections.abc import Iterable, Sequence

import numpy as np
import tensorflow as tf

from tfp_flows.distributions import draws
from tfp_flows.tables.numbers.number_conditionals import NumberConditionals, log_mean
from tfp_flows.tables.numbers.number_maps import NumberMaps

_CLOSED = -1e9  # logit of a closed atom
_NATS_OF_FEATURE = 3.0  # nats of frequency in a unit of the feature of common numbers
_MOST_COMMON = 2.0  # bound of this feature


@dataclasses.dataclass(frozen=True)
class AtomSpec:
    """An atom of one number at another number of its row or context: plain values.

    ```none
    grid:      steps = place + number of spikes up to it,   place = steps - spikes below
    no grid:   steps = place = number
    ```

    Args:
      number: index of the number that has the atom.
      cell: index of the other number among the entries of a row and its context.
      code: index of the other number's code; -1 if it is always present.
      spikes_there: spikes of the other column in steps, in the order of its codes.
      spikes: spikes of the number's own column in steps, at which there is no atom.
      logit: initial logarithm of the atom's weight divided by the weight of the rest.
    """

    number: int
    cell: int
    code: int = -1
    spikes_there: Sequence[float] = ()
    spikes: Sequence[float] = ()
    logit: float = 0.0

    def __post_init__(self) -> None:
        for name in ("spikes_there", "spikes"):  # lists in files
            object.__setattr__(self, name, tuple(getattr(self, name)))


class Atoms:
    """Atoms of D numbers, up to A each, beside the density of the rest.

    ```none
    P(y | before) = sum over a of w_a [y = v_a] + (1 - sum over a of w_a) p_rest(y | before)
    w_a = o_a exp(l_a) / (1 + sum over b of o_b exp(l_b))
    ```

    The v_a are numbers before y, or of the context. `o_a` is 1 where y can have the number
    v_a and no atom before a has it, else 0: it depends on the entries before y only, so the
    total probability is one. An integer has the sum of both terms; another number has
    probability w_a at v_a, and a density elsewhere. The members' weights of atoms are
    averaged; the density of the rest is their recalibrated mean (`NumberConditionals`).

    Args:
      specs: the atoms.
      maps: the `NumberMaps` of the D numbers.
      first: index of the first parameter of atoms among the parameters of a number.

    Attributes:
      num_slots: A; 0 if there are no atoms.
      pairs: slot a and number of each atom, by number, `[atoms, 2]`.
    """

    def __init__(self, specs: Sequence[AtomSpec], maps: NumberMaps, first: int = 0) -> None:
        self.specs, self._first = list(specs), first
        self.maps = maps
        size = len(maps.specs)
        self._specs_of_number = [
            [spec for spec in self.specs if spec.number == j] for j in range(size)
        ]
        self.num_slots = max(map(len, self._specs_of_number), default=0)
        shape = self.num_slots, size
        self.is_there = np.zeros(shape, bool)
        self.logits = np.zeros(shape, np.float64)
        self._cell, self._code = np.zeros(shape, int), np.full(shape, -1)
        counts = [(len(s.spikes), len(s.spikes_there)) for s in self.specs]
        widths = np.max([(0, 0), *counts], axis=0)
        self._spikes, self._spikes_there = (np.full([*shape, w], np.nan) for w in widths)
        for j, number_specs in enumerate(self._specs_of_number):
            for a, spec in enumerate(number_specs):
                self.is_there[a, j], self.logits[a, j] = True, spec.logit
                self._cell[a, j], self._code[a, j] = spec.cell, spec.code
                self._spikes[a, j, : len(spec.spikes)] = spec.spikes
                self._spikes_there[a, j, : len(spec.spikes_there)] = spec.spikes_there
        self.pairs = np.argwhere(self.is_there.T)[:, ::-1]
        self._numbers_with_atoms = [j for j, has in enumerate(self._specs_of_number) if has]
        self._maps_with_atoms = maps.from_columns(self._numbers_with_atoms)
        plain = [spec.without_frequencies() for spec in self._maps_with_atoms.specs]
        self._maps_without_frequencies = NumberMaps(plain)

    def from_columns(self, columns: Iterable[int]) -> Atoms:
        """Returns the atoms of some of the numbers."""
        columns = list(columns)
        specs = [
            dataclasses.replace(spec, number=place)
            for place, column in enumerate(columns)
            for spec in self._specs_of_number[column]
        ]
        return Atoms(specs, self.maps.from_columns(columns), self._first)

    def reversed(self, num_codes: int, num_entries: int) -> Atoms:
        """Returns atoms with swapped roles: an atom of y at v becomes one of v at y.

        Atoms at numbers of the context, from entry K + D on, are left out.
        """
        codes = [spec.code for spec in self.maps.specs]
        specs = [
            AtomSpec(
                number=spec.cell - num_codes,
                cell=spec.number + num_codes,
                code=codes[spec.number],
                spikes=spec.spikes_there,
            )
            for spec in self.specs
            if spec.cell < num_entries
        ]
        return Atoms(specs, self.maps)

    def measured(self, x: np.ndarray, num_codes: int) -> tuple[list[AtomSpec], np.ndarray]:
        """Returns atoms with initial weights from rows, and which numbers are atoms.

        The rows are entries and their context, `[N, K + D + C]`. The second result is True
        for numbers that are counted as atoms, not as the rest, booleans `[N, D]`.
        """
        codes = np.array([spec.code for spec in self.maps.specs])
        is_present = (x[:, np.maximum(codes, 0)] == 0.0) | (codes < 0)
        row_atoms = self.at(tf.constant(x))
        numbers = tf.constant(x[:, num_codes : num_codes + len(codes)])
        is_equal = row_atoms.is_equal(numbers).numpy() & is_present[:, None]
        is_any = is_equal.any(axis=1)
        is_free = is_present & ~is_any
        rest = np.sum(row_atoms.is_open.numpy() & is_free[:, None], axis=0)
        logits = np.log(is_equal.sum(axis=0) + 0.5) - np.log(rest + 0.5)
        specs = [
            dataclasses.replace(spec, logit=float(logits[a, j]))
            for j, specs in enumerate(self._specs_of_number)
            for a, spec in enumerate(specs)
        ]
        weights = np.sum(is_equal * (1.0 / (1.0 + np.exp(-logits))), axis=1)
        columns = zip(numbers.numpy().T, weights.T, is_any.T, is_free.T, strict=True)
        return specs, np.stack([_counted_as_atom(*column) for column in columns], axis=1)

    def at(self, row: tf.Tensor) -> AtomsOfRows:
        """Returns the atoms of rows, which are entries and their context, `[N, K + D + C]`.

        The atoms of a number depend on earlier entries and the context only.
        """
        steps = self._steps_of_cells(row)
        is_integer = self.maps.is_integer
        below = _count(_on_grid(self._spikes) < steps[..., None])
        places = steps - tf.where(is_integer, below, tf.zeros_like(below))
        is_spike = tf.reduce_any(tf.equal(self._spikes, steps[..., None]), axis=-1)
        low, high = self.maps.ends
        is_whole = tf.equal(places, tf.floor(places)) & (places >= low)
        is_inside = tf.where(is_integer, is_whole, places > low) & (places < high)
        is_open = self.is_there & is_inside & ~is_spike & tf.math.is_finite(places)
        repeats = tf.zeros_like(is_open[:, :0])
        for a in range(self.num_slots):  # only the first of several equal atoms is open
            same = tf.equal(places[:, :a], places[:, a : a + 1]) & is_open[:, :a]
            repeats = tf.concat([repeats, tf.reduce_any(same, 1, keepdims=True)], axis=1)
        return AtomsOfRows(tf.where(is_open, places, 0.0), is_open & ~repeats)

    def _steps_of_cells(self, row):
        """The other numbers of the atoms, `[N, A, D]`; on a grid, in steps (`AtomSpec`)."""
        steps = tf.gather(row, self._cell, axis=1)
        before = np.sort(_on_grid(self._spikes_there), axis=-1)
        before -= np.arange(before.shape[-1])
        passed = _count(steps[..., None] >= before)  # as `Grid.at`; NaN counts nothing
        steps += tf.where(self.maps.is_integer, passed, tf.zeros_like(passed))
        if not (self._code >= 0).any():
            return steps
        code = tf.gather(row, np.maximum(self._code, 0), axis=1)
        code = tf.where(self._code >= 0, code, 0.0)
        spike = tf.fill(tf.shape(steps), tf.constant(np.nan, tf.float64))
        for index in range(self._spikes_there.shape[-1]):
            at = tf.equal(code, index + 1.0)
            spike = tf.where(at, self._spikes_there[..., index], spike)
        return tf.where(tf.equal(code, 0.0), steps, spike)

    def features(self, atoms: AtomsOfRows) -> tf.Tensor:
        """Returns how common the numbers at atoms are, `[N, atoms]`, 0 for closed ones.

        Weights of atoms depend on it, since round amounts repeat more often. The
        feature is a third of the logarithm of the number's frequency relative to numbers
        near it.
        """
        values, is_open = (tf.gather(t, self._numbers_with_atoms, axis=2) for t in atoms)
        y = self._maps_with_atoms.middle(values)
        common = (
            self._maps_with_atoms.forward(y).log_slope
            - self._maps_without_frequencies.forward(y).log_slope
        )
        common = tf.clip_by_value(common / _NATS_OF_FEATURE, -_MOST_COMMON, _MOST_COMMON)
        columns = np.searchsorted(self._numbers_with_atoms, self.pairs[:, 1])
        return self._by_pair(tf.where(is_open, common, 0.0), columns)

    def equal(self, atoms: AtomsOfRows, y: tf.Tensor) -> tf.Tensor:
        """Returns which atoms numbers y, `[N, D]`, are at, booleans `[N, atoms]`."""
        return self._by_pair(atoms.is_equal(y), self.pairs[:, 1])

    def _by_pair(self, values, columns):
        """Values, `[N, A, columns]`, of each atom in `pairs`, `[N, atoms]`."""
        index = np.stack([self.pairs[:, 0], columns], axis=1)
        return tf.transpose(tf.gather_nd(tf.transpose(values, [1, 2, 0]), index))

    def log_weights(
        self, atoms: AtomsOfRows, parameters: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns logarithms of the weights of atoms, `[N, M, A, D]`, and of the rest.

        They are arbitrary for closed atoms; those of the rest are `[N, M, D]`.
        """
        logits = tf.split(parameters, [self._first, self.num_slots, -1], axis=2)[1]
        logits += tf.constant(self.logits, logits.dtype)
        closed = tf.constant(_CLOSED, logits.dtype)
        logits = tf.where(atoms.is_open[:, None], logits, closed)
        with_rest = tf.concat([tf.zeros_like(logits[:, :, :1]), logits], axis=2)
        log_rest = -tf.reduce_logsumexp(with_rest, axis=2)
        return logits + log_rest[:, :, None], log_rest

    def mixed(
        self,
        atoms: AtomsOfRows,
        y: tf.Tensor,
        weights: Sequence[tf.Tensor],
        from_rest: tf.Tensor,
    ) -> tf.Tensor:
        """Returns log-densities of numbers, `[N, D]` or `[N, M, D]`, of atoms and the rest.

        The weights are those of `log_weights`, and `from_rest` the log-densities of the
        rest: both of each member, or both of the mean over the members.
        """
        log_weights, log_rest = weights[0], weights[1] + from_rest
        is_equal = atoms.is_equal(y)
        is_any = tf.reduce_any(is_equal, axis=1)
        if log_weights.shape.rank > is_equal.shape.rank:
            is_equal, is_any = is_equal[:, None], is_any[:, None]
        chosen = tf.where(is_equal, log_weights, tf.zeros([], log_weights.dtype))
        log_atom = tf.reduce_sum(chosen, axis=-2)
        both = tf.reduce_logsumexp(tf.stack([log_atom, log_rest]), axis=0)
        with_atom = tf.where(self.maps.is_integer, both, log_atom)
        return tf.where(is_any, with_atom, log_rest)


class AtomsOfRows(typing.NamedTuple):
    """Atoms of rows: their numbers, and which are open, `[N, A, D]` both."""

    values: tf.Tensor  # numbers; arbitrary for closed atoms
    is_open: tf.Tensor  # which atoms the row has; no two of a number are equal

    def is_equal(self, y: tf.Tensor) -> tf.Tensor:
        """Returns which atoms numbers y, `[N, D]`, are at, booleans `[N, A, D]`."""
        return self.is_open & tf.equal(self.values, y[:, None])


@dataclasses.dataclass(frozen=True)
class NumbersWithAtoms:
    """The distributions of numbers, `[N, D]`, given the entries before them.

    Args:
      conditionals: the `NumberConditionals` of the numbers at no atom.
      parameters: their parameters, `[N, M, P, D]`.
      atoms: the `Atoms` of the numbers.
      row_atoms: the atoms of the rows; None if there are none.
    """

    conditionals: NumberConditionals
    parameters: tf.Tensor
    atoms: Atoms
    row_atoms: AtomsOfRows | None

    @functools.cached_property
    def log_weights(self) -> list[tf.Tensor]:
        """Logarithms of the mean weights of atoms, `[N, A, D]`, and the rest, `[N, D]`."""
        assert self.row_atoms is not None
        return list(map(log_mean, self.atoms.log_weights(self.row_atoms, self.parameters)))

    @property
    def values_and_weights(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Values and weights of one number's atoms, `[N, A]`; the rest's weight, `[N, 1]`.

        Closed atoms have the weight 0.
        """
        if self.row_atoms is None:
            none = np.zeros([self.parameters.shape[0], 0])
            return none, none, np.ones([len(none), 1])
        weights, rest = (np.exp(log_weight.numpy()) for log_weight in self.log_weights)
        weights = np.where(self.row_atoms.is_open.numpy(), weights, 0.0)
        return self.row_atoms.values.numpy()[..., 0], weights[..., 0], rest

    def is_equal(self, y: tf.Tensor) -> tf.Tensor:
        """Returns which atoms y, `[N, D]`, are at, booleans `[N, A, D]`."""
        if self.row_atoms is None:
            return tf.zeros([tf.shape(y)[0], 0, y.shape[1]], tf.bool)
        return self.row_atoms.is_equal(y)

    def log_prob(self, y: tf.Tensor) -> tf.Tensor:
        """Returns log-densities of numbers, `[N, D]`."""
        from_rest = self.conditionals.log_prob(y, self.parameters)
        if self.row_atoms is None:
            return from_rest
        return self.atoms.mixed(self.row_atoms, y, self.log_weights, from_rest)

    def log_prob_of_members(self, y: tf.Tensor) -> tf.Tensor:
        """Returns the members' log-densities of numbers, `[N, M, D]`, of `[N, D]`."""
        from_rest = self.conditionals.evaluate(y, self.parameters).log_prob
        if self.row_atoms is None:
            return from_rest
        weights = self.atoms.log_weights(self.row_atoms, self.parameters)
        return self.atoms.mixed(self.row_atoms, y, weights, from_rest)

    def draw(self, seed: tf.Tensor) -> tf.Tensor:
        """Draws one number, `[N, 1]`."""
        if self.row_atoms is None:
            return self.conditionals.draw(self.parameters, seed)
        rest_seed, choice_seed, _ = draws.split(seed, 3)
        y = self.conditionals.draw(self.parameters, rest_seed)
        weights = tf.where(self.row_atoms.is_open, tf.exp(self.log_weights[0]), 0.0)
        return _chosen(y, self.row_atoms, weights[..., 0], choice_seed)

    def moved(
        self, y: tf.Tensor, atoms: AtomsOfRows, seed: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Moves half of one number's draws, `[N, 1]`, to observed numbers with an atom.

        Otherwise a draw would seldom or never be equal to a later number. The second result
        is the logarithm of the density divided by that of the proposal, `[N, 1]`.
        """
        # `draw` has used the parts of `split(seed, 3)`.
        choice_seed = draws.fold_in(seed, -1)
        is_open = tf.cast(atoms.is_open[..., 0], tf.float64)
        count = tf.reduce_sum(is_open, axis=1, keepdims=True)
        y = _chosen(y, atoms, 0.5 * is_open / tf.maximum(count, 1.0), choice_seed)
        log_prob = self.log_prob(y)
        is_there = tf.reduce_any(atoms.is_equal(y), axis=1)
        is_mass = tf.reduce_any(self.is_equal(y), axis=1)
        is_mass |= self.conditionals.maps.is_integer
        # Away from the atoms, the proposal's density is half of the number's own.
        half = math.log(0.5)
        log_atom = half - tf.math.log(tf.maximum(count, 1.0))
        both = tf.reduce_logsumexp(tf.stack([half + log_prob, log_atom]), axis=0)
        at_atom = log_prob - tf.where(is_mass, both, log_atom)
        ratio = tf.where(is_there, at_atom, -half)
        return y, tf.where(count > 0.0, ratio, 0.0)


def _chosen(y, atoms, weights, seed):
    """Returns y, `[N, 1]`, or with probabilities `weights`, `[N, A]`, numbers at atoms."""
    up_to = tf.cumsum(weights, axis=1)
    uniform = draws.uniform([tf.shape(y)[0], 1], seed, tf.float64)
    is_chosen = (uniform < up_to) & (uniform >= up_to - weights)
    values = tf.reduce_sum(tf.where(is_chosen, atoms.values[..., 0], 0.0), 1, keepdims=True)
    return tf.where(tf.reduce_any(is_chosen, axis=1, keepdims=True), values, y)


def _counted_as_atom(y, weights, is_at_atom, is_free):
    """Which of the numbers at an atom, `[N]`, are counted as the atom, not as the rest.

    Some numbers of the rest are at the atom by chance. Among the rows with one number, the
    atom has the share `w / (w + P(number of the rest))`.
    """
    _, index = np.unique(y, return_inverse=True)
    by_chance = np.bincount(index, weights=is_free) / max(len(y), 1)
    shares = is_at_atom * weights / np.maximum(weights + by_chance[index], 1e-300)
    counts = np.round(np.bincount(index, weights=shares))
    rows = np.flatnonzero(is_at_atom)
    rows = rows[np.argsort(index[rows], kind="stable")]
    first = np.searchsorted(index[rows], index[rows])  # first row with the same number
    is_atom = np.zeros(len(y), bool)
    is_atom[rows] = np.arange(len(rows)) - first < counts[index[rows]]
    return is_atom


def _on_grid(spikes):
    """Spikes in steps, NaN where they are not on the grid."""
    return np.where(spikes == np.floor(spikes), spikes, np.nan)


def _count(booleans):
    return tf.reduce_sum(tf.cast(booleans, tf.float64), axis=-1)
