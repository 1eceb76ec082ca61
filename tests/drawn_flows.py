"""Chains of steps that hypothesis draws: who stays, who looks, which map, how many."""

import dataclasses

import numpy as np
from hypothesis import strategies as st
from random_weights import randomize
from transformer_cases import CASES as TRANSFORMERS
from vector_steps import autoregressive, coupling

import tfp_flows as tff

BATCH_SHAPES = [(), (1,), (5,), (2, 3)]
ACTIVATIONS = ["tanh", "softplus", "elu"]  # smooth, so that derivatives exist everywhere
_CONSTRUCTORS = {"masked": tff.MaskedAutoregressive, "inverse": tff.InverseAutoregressive}


@dataclasses.dataclass(frozen=True)
class DrawnFlow:
    """What hypothesis prints of an example: all that it takes to build it again."""

    size: int
    context_size: int
    steps: tuple  # (kind, mask or ordering, transformer, network) of each
    batch_shape: tuple
    seed: int

    def build(self, dtype):
        """The chain in `dtype`, with random weights that depend on the seed alone."""
        chain = tff.FlowChain([self._step(*step, dtype=dtype) for step in self.steps])
        return randomize(chain, self.seed)

    def rows(self):
        """Points at the data end, `[*batch_shape, size]`, and a context for each."""
        rng = np.random.default_rng(self.seed)
        x = rng.normal(size=(*self.batch_shape, self.size))
        c = rng.normal(size=(*self.batch_shape, self.context_size))
        return x, {"context": c} if self.context_size else {}

    def _step(self, kind, who, transformer, network, dtype):
        if kind == "permutation":
            return tff.Permutation(np.array(who) - 1, dtype=dtype)
        if kind in ("linear", "act_norm"):
            return {"linear": tff.InvertibleLinear, "act_norm": tff.ActNorm}[kind](
                self.size, dtype=dtype
            )
        options = {
            "transformer": TRANSFORMERS[transformer].build(),
            "context_size": self.context_size,
            **dict(network),
        }
        if kind == "coupling":
            return coupling(np.array(who), dtype, **options)
        return autoregressive(_CONSTRUCTORS[kind], who, dtype, **options)


@st.composite
def _networks(draw, is_masked):
    residual = draw(st.booleans())
    if residual:
        units = (draw(st.integers(1, 7)),) * draw(st.integers(1, 3))
    else:
        units = tuple(draw(st.lists(st.integers(1, 7), max_size=3)))
    network = {"hidden_units": units, "residual": residual, "seed": 1}
    network["activation"] = draw(st.sampled_from(ACTIVATIONS))
    if is_masked:
        network["direct"] = draw(st.booleans())
        network["degree_seed"] = draw(st.none() | st.integers(0, 99))
    return tuple(network.items())


def _orderings(size):
    return st.permutations(range(1, size + 1)).map(tuple)


@st.composite
def _steps(draw, size, transformers):
    kinds = ["masked", "inverse", "permutation", "linear", "act_norm"]
    kind = draw(st.sampled_from([*["coupling"] * (2 * (size > 1)), *kinds]))
    who = draw(_orderings(size))
    if kind == "coupling":
        stay = draw(st.integers(1, size - 1))
        who = tuple(degree <= stay for degree in who)
    transformer = draw(st.sampled_from(transformers))
    return kind, who, transformer, draw(_networks(kind != "coupling"))


@st.composite
def drawn_flows(draw, transformers=tuple(TRANSFORMERS)):
    """Chains of one to four steps, on one to six variables."""
    size = draw(st.integers(1, 6))
    steps = draw(st.lists(_steps(size, transformers), min_size=1, max_size=4))
    has_network = any(kind in {"coupling", *_CONSTRUCTORS} for kind, *_ in steps)
    return DrawnFlow(
        size,
        draw(st.integers(0, 3)) if has_network else 0,
        tuple(steps),
        draw(st.sampled_from(BATCH_SHAPES)),
        draw(st.integers(0, 2**20)),
    )
