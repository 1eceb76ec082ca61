"""What holds of every autoregressive distribution's weights: trained, copied, unchanged."""

import copy
import pickle

import keras
import numpy as np
import pytest
import tensorflow as tf
from distribution_cases import CASES
from distribution_cases import built
from random_weights import perturb
from random_weights import values
from slow_cases import representatives
from subject import close
from subject import differ

import tfp_flows as tff

# The random weights of one variable without a context are those of constants.
WITH_GRADIENTS = [name for name in CASES if name != "binary_of_one_variable"]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", WITH_GRADIENTS)
@pytest.mark.usefixtures("op_by_op")
def test_every_weight_has_a_gradient(name, training):
    case, distribution = CASES[name], built(name)
    weights = distribution.trainable_variables
    assert weights
    with tf.GradientTape() as tape:
        log_prob = distribution.log_prob(
            case.points((7,)), training=training, **case.context((7,))
        )
        loss = tf.reduce_mean(log_prob)
    for gradient in tape.gradient(loss, weights):
        assert np.isfinite(gradient).all()
        assert np.abs(gradient).max() > 0.0


@pytest.mark.slow_ids("mixture_masks")
@pytest.mark.parametrize("name", ["mixture_masks", "mixture_context"])
@pytest.mark.usefixtures("op_by_op")
def test_gradient_of_the_density_of_samples_is_that_at_fixed_samples(name):
    case, distribution = CASES[name], built(name)
    context = {k: tf.constant(v) for k, v in case.context((4,)).items()}
    sources = [*distribution.trainable_variables, *context.values()]
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(sources)
        x, log_prob = distribution.sample_and_log_prob(5, seed=2, **context)
        again = distribution.log_prob(x.numpy(), **context)
    expected = tape.gradient(again, sources)
    for a, b in zip(tape.gradient(log_prob, sources), expected, strict=True):
        close(a, b)


@pytest.mark.parametrize("name", representatives(CASES))
@pytest.mark.usefixtures("op_by_op")
def test_seed_determines_weights_masks_and_samples(name):
    first, same = (CASES[name].build("float32") for _ in range(2))
    for a, b in zip(values(first), values(same), strict=True):
        np.testing.assert_array_equal(a, b)
    context = CASES[name].context(())
    x = built(name).sample(50, seed=1, **context)
    np.testing.assert_array_equal(built(name).sample(50, seed=1, **context), x)
    assert differ(built(name).sample(50, seed=2, **context), x)


@pytest.mark.parametrize("name", representatives(CASES))
@pytest.mark.usefixtures("op_by_op")
def test_copies(name):
    case, distribution = CASES[name], built(name)
    x, context = case.points((7,)), case.context((7,))
    original = distribution.log_prob(x, **context)
    assert distribution.copy().log_prob(x, **context).numpy() == pytest.approx(original)
    for other in (copy.deepcopy(distribution), pickle.loads(pickle.dumps(distribution))):
        close(other.log_prob(x, **context), original)
        perturb(other)
        other.sample(2, seed=1, **case.context(()))
        if name in WITH_GRADIENTS:
            assert differ(other.log_prob(x, **context), original)
    close(distribution.log_prob(x, **context), original)


@pytest.mark.parametrize("name", representatives(CASES))
@pytest.mark.usefixtures("op_by_op")
def test_evaluation_changes_no_variable(name):
    case, distribution = CASES[name], built(name)
    before = values(distribution)
    distribution.log_prob(case.points((3,)), **case.context((3,)))
    distribution.sample_and_log_prob(3, seed=1, **case.context(()))
    for now, then in zip(values(distribution), before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize("name", representatives(CASES))
@pytest.mark.usefixtures("op_by_op")
def test_model_shares_all_variables_and_learns(name):
    case = CASES[name]
    distribution = case.build("float32")
    model = tff.DensityEstimator(distribution)
    assert len(model.weights) == len(distribution.variables)
    model.compile(keras.optimizers.Adam(0.05), jit_compile=False)
    x = case.points((64,)).astype(np.float32)
    context = [v.astype(np.float32) for v in case.context((64,)).values()]
    inputs = (x, *context) if context else x
    loss = model.fit(inputs, epochs=4, batch_size=16, verbose=0).history["loss"]
    if name in WITH_GRADIENTS:
        assert loss[-1] < loss[0]
    keywords = dict(zip(["context"], context, strict=False))
    expected = -np.mean(distribution.log_prob(x, **keywords))
    evaluated = model.evaluate(inputs, verbose=0)
    assert np.ravel(evaluated)[0] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("name", [n for n in CASES if "masks" in n])
def test_training_goes_through_the_cycle(name):
    case, distribution = CASES[name], copy.deepcopy(built(name))
    x, context = case.points((5,)), case.context((5,))
    seen = [distribution.log_prob(x, training=True, **context) for _ in range(4)]
    count = distribution.num_masks
    each = [distribution.log_prob(x, mask_index=i, **context) for i in range(count)]
    start = int(built(name)._ensemble._num_steps)
    for step, log_prob in enumerate(seen):
        close(log_prob, each[(start + step) % count])
    assert differ(each[0], each[1])
    mean = np.log(np.mean(np.exp(each), axis=0))
    close(distribution.log_prob(x, **context), mean)
    with pytest.raises(ValueError, match=f"`mask_index` from 0 to {count - 1}; got 9"):
        distribution.log_prob(x, mask_index=9, **context)
