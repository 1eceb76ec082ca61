"""The distribution of a table's rows: codes and numbers, some of which may be absent."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.types.experimental import TensorLike

from tfp_flows.core.arguments import check_name, check_seed, check_widths
from tfp_flows.core.compiled import CompiledCall
from tfp_flows.core.inputs import align_batch_axes, check_context, check_value
from tfp_flows.core.rows import map_parts, on_flat_rows
from tfp_flows.core.serialization import RebuiltFromConfig
from tfp_flows.distributions import draws
from tfp_flows.distributions.distribution_wrapper import DistributionWrapper
from tfp_flows.distributions.made import CategoricalMADE
from tfp_flows.distributions.univariate import refuse_several_variables
from tfp_flows.networks.conditioner import Conditioner
from tfp_flows.networks.layer_arguments import split_seed
from tfp_flows.tables.networks import KNOTS, ColumnMLPs, EntryFeatures
from tfp_flows.tables.numbers.atoms import Atoms, AtomSpec, NumbersWithAtoms
from tfp_flows.tables.numbers.number_conditionals import (
    TAIL_BOUNDS,
    Evaluated,
    NumberConditionals,
    log_mean,
)
from tfp_flows.tables.numbers.number_maps import NumberSpec
from tfp_flows.tables.presence import Presence, PresenceSpec
from tfp_flows.tables.rules.compositions import RoomSpec

# Largest number of parameters in one call; each array that follows takes some 100 MB.
_MOST_PARAMETERS = 2**25


class TableDistribution(RebuiltFromConfig, DistributionWrapper):
    """The distribution of K codes and D numbers, perhaps given a context of others.

    ```none
    p(row) = P(codes | context)
             product over j of  p(number_j | codes, numbers before, context)
    P(codes)    = mean over M members of a CategoricalMADE
    p(number_j) = recalibrated mean over M members of a spline density on the line or the
                  circle; the probability of its bin if it is an integer; perhaps with
                  atoms at numbers before (`Atoms`), or within a room that numbers
                  before leave (`RoomSpec`)
    ```

    Arguments `x` are the entries of rows, `[N, K + D]`: all codes, then all numbers.
    `context` is `[N, C]`, or None, and `from_context` are its features, `[N, F]`.

    A number with a code is present where the code is 0. Elsewhere its entry is ignored, and
    nothing depends on it. So the density is exact, whichever numbers are absent. In
    training, the log-density is the mean over the members: each is fitted by itself.

    Args:
      num_values: number of values of each of the K codes.
      numbers: a `NumberSpec`, or its dictionary, for each of the D numbers.
      context_values: number of values of each code of the context.
      context_numbers: the same as `numbers`, for the context.
      num_members: M, number of members.
      num_bins: bins of each spline.
      hidden_units: widths of the hidden layers of each network, all equal.
      code_units: the same of the networks of codes; empty: `hidden_units`.
      dropout: share of their units that a step of training drops.
      knots: see `EntryFeatures`.
      fine_knots: see `EntryFeatures`. Every second member sees features between them: on
        some tables these gain much, on others networks overfit to them.
      seed: integer that determines the initial weights.
      recalibration: recalibration weight of each number (`NumberConditionals`), `[D]`;
        empty: 0 for all.
      tail_bounds: bounds on the weights of the tails (`NumberConditionals`).
      are_tails_first: order of tails and splines (`NumberConditionals`); files that do not
        name it have splines first.
      atoms: an `AtomSpec`, or its dictionary, for each pair of numbers that may be equal.
      presence: a `PresenceSpec`, or its dictionary, for each code that only some rows
        have; elsewhere it drops out of the density.
      rooms: a `RoomSpec`, or its dictionary, for each number whose share of a room is
        modelled; with the form "logit" from 0 to 1, and without atoms.
      description: plain values about the table, which are saved too.
      name: name of the module.
    """

    def __init__(
        self,
        num_values: Sequence[int],
        numbers: Sequence[Any],
        *,
        context_values: Sequence[int] = (),
        context_numbers: Sequence[Any] = (),
        num_members: int = 1,
        num_bins: int = 8,
        hidden_units: Sequence[int] = (64, 64),
        code_units: Sequence[int] = (),
        dropout: float = 0.0,
        knots: Sequence[float] = KNOTS,
        fine_knots: Sequence[float] = (),
        seed: int | None = None,
        recalibration: Sequence[float] = (),
        tail_bounds: Sequence[float] = TAIL_BOUNDS,
        are_tails_first: bool = False,
        atoms: Sequence[Any] = (),
        presence: Sequence[Any] = (),
        rooms: Sequence[Any] = (),
        description: dict | None = None,
        name: str = "table_distribution",
    ) -> None:
        parameters = {k: v for k, v in locals().items() if k not in ("self", "__class__")}
        check_widths("hidden_units", hidden_units)
        code_units = code_units or hidden_units
        check_widths("code_units", code_units)
        check_seed("seed", seed)
        check_name("name", name)
        super().__init__(name=name)
        self._set_untracked("parameters", parameters)
        self.features, self.context_features = (
            EntryFeatures(values, _specs(specs, NumberSpec), knots, fine_knots)
            for values, specs in ((num_values, numbers), (context_values, context_numbers))
        )
        self.presence = Presence(_specs(presence, PresenceSpec), num_values)
        self._rooms = {spec.number: spec for spec in _specs(rooms, RoomSpec)}
        self.num_members = num_members
        self.centers = self.features.maps.centers  # in place of absent numbers
        num_parameters = NumberConditionals(self.features.maps, num_bins).num_parameters
        self.atoms = Atoms(_specs(atoms, AtomSpec), self.features.maps, num_parameters)
        num_parameters += self.atoms.num_slots
        self._parameters_per_row = num_members * max(num_parameters * len(numbers), 1)
        codes_seed, numbers_seed = split_seed(seed, 2)
        self._mades = self._networks_of_codes(codes_seed, code_units, dropout)
        self._networks = self._networks_of_numbers(
            num_parameters, numbers_seed, hidden_units, dropout
        )
        self._set_transient_state()

    dtype = tf.float64

    @property
    def event_shape(self) -> tf.TensorShape:
        """Shape of one row: K codes, then D numbers."""
        return tf.TensorShape([self.features.num_entries])

    @property
    def context_size(self) -> int:
        """Number of entries of the context."""
        return self.context_features.num_entries

    def log_prob(
        self,
        value: TensorLike,
        *,
        context: TensorLike | None = None,
        training: bool = False,
    ) -> tf.Tensor:
        """Returns log-densities of codes and numbers, `[..., K + D]`, in nats, `[...]`.

        The density is with respect to the lengths of the numbers that are present, and a
        count of integers and codes. It is zero outside the support, NaN for NaN. In
        training, it is the mean of the members' log-densities, with dropout.
        """
        x = check_value(value, "value", 1, self.event_shape, self.dtype)
        method = self._in_parts if tf.executing_eagerly() else self._log_prob
        return self._on_flat_rows(method, x, context, training)

    def cdf(self, value: TensorLike, *, context: TensorLike | None = None) -> tf.Tensor:
        """Returns `P(Y <= value)`, `[...]`, of rows that are one number, without codes."""
        self._refuse_other_rows("cdf")
        x = check_value(value, "value", 1, self.event_shape, self.dtype)
        method = self._compiled_cdf if tf.executing_eagerly() else self._cdf
        return self._on_flat_rows(method, x, context)

    def quantile(
        self, probability: TensorLike, *, context: TensorLike | None = None
    ) -> tf.Tensor:
        """Returns the least `y`, `[..., 1]`, with `P(Y <= y) >= probability`; see `cdf`."""
        self._refuse_other_rows("quantile")
        probability = tf.convert_to_tensor(probability, self.dtype)[..., None]
        method = self._compiled_quantile if tf.executing_eagerly() else self._quantile
        return self._on_flat_rows(method, probability, context)[..., None]

    def sample(
        self,
        sample_shape: int | Sequence[int] = (),
        seed: int | TensorLike | None = None,
        *,
        context: TensorLike | None = None,
    ) -> tf.Tensor:
        """Draws rows, `[*sample_shape, ..., K + D]`, of contexts `[..., context_size]`."""
        context = check_context(context, self.context_size, self.dtype, self.name)
        shape = draws.joint_shape(sample_shape, context)
        context = draws.context_rows(context, shape)
        x = tf.zeros([tf.reduce_prod(shape), self.features.num_entries], self.dtype)
        x, _ = self.complete(x, None, draws.stateless(seed), context)
        return tf.reshape(x, tf.concat([shape, self.event_shape], axis=0))

    def complete(
        self,
        x: tf.Tensor,
        observed: tf.Tensor | None,
        seed: tf.Tensor,
        context: tf.Tensor | None = None,
        solve: Callable | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Draws missing entries, each given those before it; observed ones give weights.

        It runs op by op in eager code: tracing all columns takes longer than many draws.

        Args:
          x: `[N, K + D]`; any numbers where entries are missing.
          observed: booleans, `[N, K + D]`; None if all are missing.
          seed: stateless seed.
          context: `[N, C]`, if there is one.
          solve: returns values of a number, `[N]`, and where it is known before it is
            drawn, for the index of the number, the codes and the list of numbers before.

        Returns:
          Rows, `[N, K + D]`, and their log-weights, `[N]`: the log-densities of observed
          entries given all entries before them.
        """
        seeds = draws.split(seed, 2)
        from_context = self.features_of_context(x, context)
        codes, numbers = self.features.split(x)
        is_known = [None] * 2 if observed is None else self.features.split(observed)
        contexts = context, from_context
        codes, log_weight = self._draw_codes(codes, is_known[0], *contexts, seeds[0])
        if self._networks is None:
            return codes, log_weight
        numbers, log_ratio = self._draw_numbers(
            codes, numbers, is_known[1], *contexts, seeds[1], solve
        )
        return tf.concat([codes, numbers], axis=1), log_weight + log_ratio

    def log_prob_of_codes(
        self,
        codes: tf.Tensor,
        context: tf.Tensor | None,
        from_context: tf.Tensor,
        training: bool = False,
    ) -> tf.Tensor:
        """Returns the members' log-probabilities, `[N, M]`, of codes, `[N, K]`."""
        if not self._mades:
            return tf.zeros([tf.shape(codes)[0], self.num_members], from_context.dtype)
        log_probs = []
        seen = [self._seen_context(from_context, m) for m in range(len(self._mades))]
        cells = tf.cast(codes, from_context.dtype)
        if not self.presence.specs:
            for made, features in zip(self._mades, seen, strict=True):
                only = features[0] if features else None
                log_probs.append(made.log_prob(cells, context=only, training=training))
            return tf.stack(log_probs, axis=1)
        present = self.presence.present(codes, context)
        for made, features in zip(self._mades, seen, strict=True):
            each = made.log_probs(cells, present, *features, training=training)
            log_probs.append(tf.reduce_sum(each, axis=1))
        are_right = self.presence.are_right(codes, present)[:, None]
        return tf.where(are_right, tf.stack(log_probs, axis=1), -math.inf)

    def log_prob_of_networks(
        self, x: tf.Tensor, context: tf.Tensor | None, training: bool
    ) -> tf.Tensor:
        """Returns each network's log-densities, `[N, M, 1 + D]`: of codes, then numbers."""
        codes, _ = self.features.split(x)
        from_context = self.features_of_context(x, context)
        log_prob = self.log_prob_of_codes(codes, context, from_context, training)
        log_prob = log_prob[..., None]
        if self._networks is None:
            return log_prob
        y, is_present, numbers = self._numbers(x, context, from_context, training)
        from_numbers = numbers.log_prob_of_members(y)
        zero = tf.zeros([], from_numbers.dtype)
        from_numbers = tf.where(is_present[:, None], from_numbers, zero)
        return tf.concat([log_prob, from_numbers], axis=2)

    def evaluate_numbers(
        self, x: tf.Tensor, context: tf.Tensor | None
    ) -> tuple[Evaluated, tf.Tensor]:
        """Returns the members' densities of the numbers without atoms, `[N, M, D]`.

        They are arbitrary for absent numbers. The second result is which numbers are
        present and at no atom, `[N, D]`.
        """
        from_context = self.features_of_context(x, context)
        y, is_present, numbers = self._numbers(x, context, from_context)
        is_free = is_present & ~tf.reduce_any(numbers.is_equal(y), axis=1)
        return numbers.conditionals.evaluate(y, numbers.parameters), is_free

    def first_number(
        self, context: tf.Tensor | None, from_context: tf.Tensor
    ) -> NumbersWithAtoms:
        """Returns the distribution of the first number, `[N, 1]`, for codes of 0."""
        x = tf.zeros([tf.shape(from_context)[0], self.features.num_entries], self.dtype)
        from_codes = self.features.from_codes(self.features.split(x)[0], from_context.dtype)
        seen = _Seen(from_context, from_codes, self)
        return self._number(0, x, context, seen)

    def features_of_context(self, x: tf.Tensor, context: tf.Tensor | None) -> tf.Tensor:
        """Returns features of the context of rows x, `[N, F]`; F is 0 without context."""
        if context is None:
            return tf.zeros([tf.shape(x)[0], 0], tf.float32)
        return self.context_features(tf.convert_to_tensor(context), tf.float32)

    def get_config(self) -> dict:
        """Returns the constructor's arguments."""
        kinds: dict[str, Any] = {"atoms": AtomSpec, "presence": PresenceSpec}
        kinds |= {"rooms": RoomSpec, "numbers": NumberSpec, "context_numbers": NumberSpec}
        plain = {
            name: [vars(spec) for spec in _specs(self.parameters[name], kind)]
            for name, kind in kinds.items()
        }
        return {**self.parameters, **plain}

    def start_at_frequencies(self, x: np.ndarray, weights: np.ndarray) -> None:
        """Starts each member's codes at their frequencies in its own training rows.

        Only ratios of the weights of the rows by member, `[N, M]`, count.
        """
        for made, weight in zip(self._mades, weights.T, strict=False):
            scale = np.count_nonzero(weight) / weight.sum()
            made.start_at_frequencies(x[:, : self.features.num_codes], weight * scale)

    def recalibrate(self, weights: Sequence[float]) -> None:
        """Sets the recalibration weights, `[D]`, which are saved too."""
        self.parameters["recalibration"] = [float(weight) for weight in weights]
        self._set_transient_state()

    @property
    def networks(self) -> tuple[list, Any]:
        """One `CategoricalMADE` a member, or none; the `Conditioner` of numbers or None."""
        return self._mades, self._networks

    @property
    def _parts(self):
        return [part for part in (*self._mades, self._networks) if part is not None]

    def _networks_of_codes(self, seed, hidden_units, dropout):
        """Returns one `CategoricalMADE` a member; none without codes."""
        num_values = self.features.num_values
        seeds = split_seed(seed, self.num_members if num_values else 0)
        return [
            CategoricalMADE(
                num_values,
                residual=True,
                direct=True,
                context_size=int(self._sees(self.context_features.is_fine)[member].sum()),
                standardize_context=False,
                hidden_units=hidden_units,
                dropout=dropout,
                seed=member_seed,
            )
            for member, member_seed in enumerate(seeds)
        ]

    def _sees(self, is_fine):
        """Which features members see, `[M, F]`: fine ones only every second member."""
        return ~is_fine | (np.arange(self.num_members) % 2 == 1)[:, None]

    def _seen_context(self, from_context, member):
        """A list of the features of the context that a member sees, `[N, F]`, if any."""
        if not self.context_features.size:
            return []
        is_seen = self._sees(self.context_features.is_fine)[member]
        if is_seen.all():
            return [from_context]
        return [tf.gather(from_context, np.flatnonzero(is_seen), axis=1)]

    def _networks_of_numbers(self, num_parameters, seed, hidden_units, dropout):
        """Returns the `Conditioner` of all numbers; None if there are none.

        A number's network sees the context and the features of the numbers before it. Two
        features of each atom follow: how common its value is, which also the network of its
        own number sees, and whether its number has this value, which only later ones see.
        """
        if not self.features.num_numbers:
            return None
        has_atom = self.atoms.pairs[:, 1]
        columns = np.concatenate([self.features.column_of_each, has_atom - 1, has_atom])
        seen = columns < np.arange(self.features.num_numbers)[:, None]
        width = [[0, 0], [self.context_features.size, 0]]
        seen = np.pad(seen, width, constant_values=True)
        from_atoms = np.zeros(2 * len(has_atom), bool)
        features = self.context_features, self.features
        is_fine = np.concatenate([*(f.is_fine for f in features), from_atoms])
        if is_fine.any():
            seen = seen & self._sees(is_fine)[:, None]
        network = ColumnMLPs(
            num_parameters,
            hidden_units,
            seen,
            num_members=self.num_members,
            dropout=dropout,
            dtype="float32",
            seed=seed,
        )
        drops = network.dropout > 0.0
        return Conditioner(network, seen.shape[-1], dropout_in_training=drops)

    def _on_flat_rows(self, method, x, context, training=False):
        """Calls a method on rows, `[N, K + D]`, and their contexts, `[N, C]`."""
        context = check_context(context, self.context_size, self.dtype, self.name)
        return on_flat_rows(method, *align_batch_axes(x, context, 1), training)

    def _log_prob(self, x, context, training):
        if training:
            log_prob = self.log_prob_of_networks(x, context, training)
            mean = tf.reduce_mean(log_prob, axis=1)
            return tf.reduce_sum(tf.cast(mean, self.dtype), axis=1)
        codes, _ = self.features.split(x)
        from_context = self.features_of_context(x, context)
        log_prob = log_mean(self.log_prob_of_codes(codes, context, from_context))
        if self._networks is None:
            return log_prob
        y, is_present, numbers = self._numbers(x, context, from_context)
        from_numbers = tf.where(is_present, numbers.log_prob(y), tf.zeros([], self.dtype))
        return log_prob + tf.reduce_sum(from_numbers, axis=1)

    def _cdf(self, x, context, training):
        from_context = self.features_of_context(x, context)
        y, _, numbers = self._numbers(x, context, from_context, training)
        return self.conditionals.cdf(y, numbers.parameters)[:, 0]

    def _quantile(self, probability, context, training):
        del training  # `CompiledCall` gives it
        from_context = self.features_of_context(probability, context)
        parameters = self.first_number(context, from_context).parameters
        return self.conditionals.quantile(probability, parameters)[:, 0]

    def _in_parts(self, x, context, training):
        """Returns log-densities, computed on parts of the rows to bound the memory."""
        size = max(_MOST_PARAMETERS // self._parameters_per_row, 1)
        if x.shape[0] <= size:
            return self._compiled(x, context, training)
        return map_parts(
            lambda _, x, context=None: self._compiled(x, context, training),
            size,
            *([x] if context is None else [x, context]),
        )

    def _refuse_other_rows(self, function):
        refuse_several_variables(self, function)
        has_angle = self.features.maps.is_circle.any()
        if self.features.num_codes or has_angle or self.atoms.num_slots:
            raise NotImplementedError(
                f"Expected rows of a number on the line for `{function}`; got codes, an "
                "angle, or atoms. `TableDensity.predict` has their distributions."
            )

    def _numbers(self, x, context, from_context, training=False):
        """Returns numbers, `[N, D]`, which are present, and their `NumbersWithAtoms`."""
        codes, numbers = self.features.split(x)
        is_present = self.features.is_present(codes)
        room = self._room(x)
        features, atoms = self._features(x, context, from_context, room)
        parameters = self._networks(features, training=training)
        y = tf.where(is_present, numbers, self.centers)
        conditionals = self.conditionals.within(room)
        given = NumbersWithAtoms(conditionals, parameters, self.atoms, atoms)
        return y, is_present, given

    def _room(self, x, column=None):
        """Returns rooms of the numbers, `[N, D]`, or of one of them, `[N, 1]`, if any."""
        columns = range(self.features.num_numbers) if column is None else [column]
        if self._rooms.keys().isdisjoint(columns):
            return None
        codes, numbers = self.features.split(x)
        numbers = tf.where(self.features.is_present(codes), numbers, 0.0)
        rooms = []
        for j in columns:
            spec = self._rooms.get(j, RoomSpec(j, 1.0))
            parts = tf.gather(numbers, list(spec.parts), axis=1) if spec.parts else None
            taken = 0.0 if parts is None else tf.reduce_sum(parts, axis=1)
            rooms.append(spec.total - taken + tf.zeros_like(x[:, 0]))
        return tf.stack(rooms, axis=1)

    def _features(self, x, context, from_context, room):
        """Returns features of rows, `[N, F]`, and their atoms, or None without atoms."""
        codes, numbers = self.features.split(x)
        features = [from_context, self.features(x, from_context.dtype, room)]
        atoms = None
        if self.atoms.num_slots:
            atoms = self.atoms.at(_with_context(x, context))
            # An absent number is at no atom.
            unknown = tf.constant(math.nan, x.dtype)
            y = tf.where(self.features.is_present(codes), numbers, unknown)
            more = [self.atoms.features(atoms), self.atoms.equal(atoms, y)]
            features += [tf.cast(block, from_context.dtype) for block in more]
        return tf.concat(features, axis=1), atoms

    def _draw_codes(self, x, observed, context, from_context, seed):
        """Draws codes, `[N, K]`, each row by one member, with log-weights, `[N]`."""
        num_rows = tf.shape(x)[0]
        if not self._mades:
            return x, tf.zeros([num_rows], tf.float64)
        choice_seed, *seeds = draws.split(seed, 1 + len(self._mades))
        observed = tf.zeros_like(x, tf.bool) if observed is None else observed
        drawn = []
        for member, (made, member_seed) in enumerate(zip(self._mades, seeds, strict=True)):
            seen = self._seen_context(from_context, member)
            cells = tf.cast(x, made.dtype)
            codes, log_weight = made.complete(cells, observed, member_seed, *seen)
            if self.presence.specs:

                def redraw(codes, is_final, made=made, seed=member_seed, seen=seen):
                    return made.complete(codes, is_final, seed, *seen)[0]

                given = cells, observed, context
                codes, present = self.presence.redrawn(codes, *given, redraw)
                each = made.log_probs(codes, present, *seen)
                log_weight = tf.reduce_sum(tf.where(observed, each, 0.0), axis=1)
            drawn.append((codes, log_weight))
        codes, weights = (tf.stack(parts, axis=1) for parts in zip(*drawn, strict=True))
        member = draws.integers(num_rows, len(self._mades), choice_seed)
        codes, weights = (tf.gather(t, member, batch_dims=1) for t in (codes, weights))
        return tf.cast(codes, tf.float64), tf.cast(weights, tf.float64)

    def _draw_numbers(self, codes, x, observed, context, from_context, seed, solve):
        """Draws numbers, `[N, D]`, with log-weights, `[N]`."""
        features, dtype = self.features, from_context.dtype
        is_present = features.is_present(codes)
        seen = _Seen(from_context, features.from_codes(codes, dtype), self)
        log_weight = tf.zeros([tf.shape(x)[0]], tf.float64)
        numbers: list[tf.Tensor] = []
        # Draws may be moved to later, observed numbers that have an atom at them.
        later_atoms = None
        if observed is not None and self.atoms.num_slots:
            later_atoms = self.atoms.reversed(features.num_codes, features.num_entries)
            unknown = tf.constant(math.nan, x.dtype)
            later = tf.concat([codes, tf.where(observed & is_present, x, unknown)], axis=1)
        for j, number_seed in enumerate(draws.split(seed, features.num_numbers)):
            present = is_present[:, j : j + 1]
            before = tf.concat([codes, *numbers, tf.zeros_like(x[:, j:])], axis=1)
            number = self._number(j, before, context, seen)
            y = number.draw(number_seed)
            log_ratio, is_known = tf.zeros_like(y), None
            if observed is not None:
                is_known = observed[:, j : j + 1]
                atoms = None if later_atoms is None else later_atoms.from_columns([j])
                if atoms is not None and atoms.num_slots:
                    y, log_ratio = number.moved(y, atoms.at(later), number_seed)
                y = tf.where(is_known, x[:, j : j + 1], y)
            if solve is not None:
                drawn = [column.numpy()[:, 0] for column in numbers]
                values, is_solved = solve(j, codes.numpy(), drawn)
                y = tf.where(is_solved[:, None], values[:, None], y)
                is_known |= is_solved[:, None]
            y = tf.where(present, y, self.centers[j])
            if is_known is not None:
                log_ratio = tf.where(is_known, number.log_prob(y), log_ratio)
                log_weight += tf.where(present, log_ratio, 0.0)[:, 0]
            maps = number.conditionals.maps
            u = maps.forward(maps.middle(y)).u
            seen.features.append(
                features.from_columns([j]).from_numbers(y, u, present, dtype)
            )
            seen.are_equal.append(tf.cast(number.is_equal(y)[..., 0] & present, dtype))
            numbers.append(y)
        return tf.concat(numbers, axis=1), log_weight

    def _number(self, j, before, context, seen):
        """The distribution of number j given the entries before it and their features."""
        room = self._room(before, j)
        atoms, row_atoms = self.atoms.from_columns([j]), None
        if atoms.num_slots:
            row_atoms = atoms.at(_with_context(before, context))
            seen.common.append(tf.cast(atoms.features(row_atoms), seen.dtype))
        parameters = self._networks.network.from_column(seen.inputs(), j)[..., None]
        conditionals = self.conditionals.from_columns([j]).within(room)
        return NumbersWithAtoms(conditionals, parameters, atoms, row_atoms)

    def _set_transient_state(self):
        names = "num_bins", "recalibration", "tail_bounds", "are_tails_first"
        options = (self.parameters[name] for name in names)
        conditionals = NumberConditionals(self.features.maps, *options)
        self._set_untracked("conditionals", conditionals)
        self._set_untracked("_compiled", CompiledCall(self._log_prob))
        self._set_untracked("_compiled_cdf", CompiledCall(self._cdf))
        self._set_untracked("_compiled_quantile", CompiledCall(self._quantile))


class _Seen:
    """Features of the entries before a number, in the blocks of `_features`."""

    def __init__(self, from_context, from_codes, distribution):
        self.dtype = from_context.dtype
        none = tf.zeros_like(from_context[:, :0])
        self.features = [from_context, from_codes]
        self.common, self.are_equal = [none], [none]
        num_pairs = len(distribution.atoms.pairs)
        size = from_context.shape[1] + distribution.features.size
        self._widths = size, num_pairs, num_pairs

    def inputs(self):
        """Returns all blocks, `[N, F]`, with zeros for the entries that follow."""
        padded = []
        parts = self.features, self.common, self.are_equal
        for part, width in zip(parts, self._widths, strict=True):
            block = tf.concat(part, axis=1)
            padded.append(tf.pad(block, [[0, 0], [0, width - block.shape[1]]]))
        return tf.concat(padded, axis=1)


def _with_context(x, context):
    """Returns rows, `[N, K + D]`, followed by the entries of their context."""
    if context is None:
        return x
    return tf.concat([x, tf.cast(context, x.dtype)], axis=1)


def _specs(specs, kind):
    return [spec if isinstance(spec, kind) else kind(**spec) for spec in specs]
