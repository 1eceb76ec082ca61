"""Calls of bijectors, masks and transformers that are refused: a row for each rule."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
from refusals import all_refused
from small_parts import CONTEXT, ROWS, TINY, conditional_flow, flow, unconditional

import tfp_flows as tff
from tfp_flows import bijectors, masks, transformers
from tfp_flows.bijectors.scan import Scan

tfb = tfp.bijectors
per_variable = transformers.PerVariable

MASK = np.array([True, False, True])
OUTSIDE = np.array([[0.5, 0.5], [0.5, 3.0]], np.float32)


def conditioner(inputs=2, outputs=2, **options):
    return tff.Conditioner(tff.MLP(outputs, (4,)), inputs, **options)


def masked(size, outputs):
    return tff.Conditioner(tff.MaskedMLP(outputs, (4,), tff.natural_ordering(size)), size)


def image_coupling(mask, seen_shape, units):
    """A network of a wrong shape, which would broadcast to a density that is wrong."""
    return tff.Coupling(mask, tff.Conditioner(keras.layers.Dense(units), seen_shape))


def whiten(mean=(3.0, -1.0), factor=((2.0, 0.0), (-1.0, 0.5))):
    bijectors.Whiten(2).assign(mean, factor)


def elementwise(conditioner):
    return bijectors.Elementwise(3, tff.Affine(), conditioner, context_size=2)


BAD_CALLS = [
    # Constructors, masks and transformers.
    (lambda: tff.ActNorm(0), "`event_size` | got 0"),
    (lambda: tff.ActNorm(3, event_ndims=0), "`event_ndims` | [3] | got 0"),
    (lambda: tff.BatchNorm(3, mask=[True, False]), "`mask`"),
    (lambda: tff.HeavyTails(2, kind="cauchy"), "`kind` of 'student' | 'cauchy'"),
    (lambda: tff.Bounds([0.0], [1.0, 2.0]), "`low` and `high` | (1,) and (2,)"),
    (lambda: tff.Bounds([1.0], [0.0]), "`low` < `high` | [1.0] and [0.0]"),
    (lambda: tff.Logit(0.5), "`alpha` | 0.5"),
    (lambda: bijectors.NormalScores((2, 2, 1), 1), "`num_bins` | got 1"),
    (lambda: bijectors.NormalScores((2, 0, 1)), "`event_shape` | (2, 0, 1)"),
    (lambda: bijectors.Gaussianize(0), "`event_size` | got 0"),
    (lambda: bijectors.Gaussianize(2, 1), "`num_quantiles` | got 1"),
    (lambda: tff.Permutation([0, 0]), "`permutation` | [0, 0]"),
    (lambda: tff.Permutation([0.0, 1.0]), "integers | `permutation` | [0.0, 1.0]"),
    (lambda: tff.InvertibleLinear(1, permutation=[0], seed=0), "one of `seed` and `perm"),
    (lambda: tff.Squeeze((5, 8, 1)), "`image_shape` | divisible by 2 | (5, 8, 1)"),
    (lambda: elementwise(conditioner(2, 4)), "`output_shape` | (6,) | (4,)"),
    (lambda: per_variable([tff.Affine()], [1]), "`which` | 0 to 0 | [1]"),
    (lambda: per_variable([tff.Affine()], [0.5]), "integer `which` | 0.5"),
    (lambda: per_variable([], []), "at least one of `transformers`"),
    (lambda: per_variable([per_variable([tff.Affine()], [0])], [0]), "`transformers`"),
    (
        lambda: tff.MultiScale([tfb.Shift([1.0])] * 2, (4, 4, 2), fraction=0.3),
        "`fraction` of a whole number | of level 1; got",
    ),
    (lambda: tff.MultiScale([tff.ActNorm(2)], (4, 4, 2)), "`levels` | act_norm | of 1"),
    (
        lambda: tff.MultiScale([tfb.Reshape([4, 4, 2], [32])] * 2, (4, 4, 2)),
        "`levels` between images | [32]",
    ),
    (lambda: tff.FlowChain([]), "`bijectors` | got none"),
    (lambda: tff.FlowChain(tff.ActNorm(3)), "list | `bijectors` | act_norm"),
    (
        lambda: tff.FlowChain([tff.ActNorm(3), tff.ActNorm(3, dtype="float64")]),
        "one dtype | float32 | float64",
    ),
    (
        lambda: tff.FlowChain([tff.MAF(3, context_size=c, **TINY) for c in (1, 2)]),
        "one `context_size` | [1, 2]",
    ),
    (
        lambda: tff.FlowChain([tff.Invert(tff.BatchNorm(3))], recompute=True),
        "without batch statistics | batch_norm",
    ),
    (lambda: tff.Invert(tfb.Exp()), "`bijector` | FlowBijector | exp"),
    (lambda: bijectors.TFPBijector(tf.exp), "`bijector` | tfp.bijectors.Bijector"),
    (
        lambda: tff.FlowChain([tfb.Scale([[1.0], [2.0], [3.0]]), tff.NICE(2)]),
        "`scale` without batch axes | (3,)",
    ),
    (lambda: Scan([tff.ActNorm(3), tff.InvertibleLinear(3)]), "`bijectors`"),
    (lambda: tff.Coupling(MASK, keras.layers.Dense(2)), "wrap it in `Conditioner` | Dense"),
    (lambda: tff.Coupling(MASK, conditioner(1)), "`input_shape` (2,) | got (1,)"),
    (lambda: tff.Coupling(MASK, conditioner(2, 3)), "`output_shape` (2,) | got (3,)"),
    (lambda: tff.Coupling([1, 0, 1], conditioner()), "boolean `mask` | int"),
    (
        lambda: tff.Coupling(MASK, conditioner(), tfb.Exp()),
        "`transformer` | num_parameters",
    ),
    (
        lambda: image_coupling(masks.channel_half((2, 4, 3)), (2, 4, 1), 2),
        "`output_shape` (2, 4, 4) | got (2, 4, 2)",
    ),
    (lambda: tff.MaskedAutoregressive(5, masked(4, 2)), "`input_shape` (5,) | got (4,)"),
    (lambda: tff.Affine("exp"), "`log_scale` | 'exp'"),
    (lambda: tff.Permutation([[0], [1, 2]]), "an array `permutation` | [[0], [1, 2]]"),
    (lambda: tff.Coupling([[True], []], conditioner()), "an array `mask` | [[True], []]"),
    (lambda: tff.BatchNorm(3, mask=[[True], []]), "an array `mask` | [[True], []]"),
    (lambda: tff.BatchNorm(3, epsilon=np.inf), "`epsilon` | got inf"),
    (
        lambda: tff.MultiScale([tff.Squeeze((4, 4, 1))] * 2, (4, 4, 1), fraction=np.inf),
        "inf",
    ),
    (lambda: bijectors.NormalScores(()), "`event_shape` | ()"),
    (lambda: bijectors.TFPBijector(tfb.Exp(), "1"), "integer `event_ndims` | '1'"),
    (
        lambda: bijectors.TFPBijector(tfb.SoftmaxCentered(), 0),
        "`event_ndims` of at least 1",
    ),
    (lambda: tff.FlowChain([tfb.AbsoluteValue()]), "one inverse | `absolute_value`"),
    (
        lambda: tff.Coupling([True, False], lambda x, c: np.zeros([1, 2], np.float32)),
        "`conditioner` | a tensor of float32 | numpy.ndarray",
    ),
    (
        lambda: tff.Coupling([True, False], lambda x, c: tf.zeros([1, 2], tf.float64)),
        "`conditioner` | float32 | one of float64",
    ),
    # Methods.
    (lambda: flow().forward_and_log_det(ROWS, training="no"), "`training` | 'no'"),
    (lambda: whiten("a"), "`mean` | 'a'"),
    (lambda: flow().inverse(ROWS + 1j), "`y` of real numbers | complex"),
    (lambda: flow().inverse(tf.sparse.from_dense(ROWS)), "`y` | a SparseTensor of float32"),
    (lambda: flow().forward(ROWS, context=[[1.0], []]), "no `context` | a list"),
    (
        lambda: flow().forward_log_det_jacobian(ROWS, event_ndims=3),
        "`event_ndims` of at least 1 and at most the axes of the input; got 3",
    ),
    (
        lambda: tff.Coupling([True, False], lambda x, c: tf.zeros([1, 2])).forward(
            ROWS[:, :2]
        ),
        "log_det of shape (None,), one a row | (1,)",
    ),
    (lambda: whiten([1.0]), "`mean` of shape [2]; got [1.]"),
    (lambda: whiten(factor=[[1.0, 0.5], [0.0, 1.0]]), "lower triangular"),
    (lambda: whiten(factor=[[1.0, 0.0], [0.0, 0.0]]), "positive diagonal"),
    (lambda: flow().forward(ROWS[:, :2]), "`x` of shape [..., 3] | 2)"),
    (lambda: flow().inverse("abc"), "`y` | 'abc'"),
    (lambda: conditional_flow().inverse(ROWS, context=CONTEXT[:5]), "`context` | (5, 2)"),
    (lambda: tff.ActNorm(3).initialize(ROWS[0]), "`data` of shape [N, 3] | (3,)"),
    (lambda: tff.Standardize(3).initialize(ROWS[:0]), "`data` | at least one row"),
    (lambda: bijectors.NormalScores(2).initialize(1.0 + OUTSIDE), "1.5"),
    (
        lambda: tff.FlowChain([tff.Bounds([0.0] * 2, [1.0] * 2)]).initialize(OUTSIDE),
        "`data` | column 1 | 0 | 3",
    ),
    (lambda: tff.check_bijector(unconditional(), ROWS), "`bijector"),
]


test_bad_call_is_refused_in_words = all_refused(BAD_CALLS)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("bijector", [tff.ActNorm, tff.Standardize])
def test_statistics_of_data_that_are_not_finite_are_refused(bijector, bad):
    with pytest.raises(ValueError, match=r"finite `data`.*\[0, 1, 2\]"):
        bijector(3).initialize(np.full([4, 3], bad))


@pytest.mark.parametrize(
    ("bijector", "bad"),
    [
        (bijectors.NormalScores, np.nan),  # infinity is outside of its support
        (bijectors.Gaussianize, np.nan),
        (bijectors.Gaussianize, np.inf),
    ],
)
def test_frequencies_of_rows_that_are_not_finite_are_refused(bijector, bad):
    with pytest.raises(ValueError, match="finite `data`; got (nan|inf) in row 1 "):
        bijector(2).initialize([[0.5, 0.5], [0.5, bad]])
