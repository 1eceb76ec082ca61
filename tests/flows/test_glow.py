import numpy as np
import pytest
import tensorflow as tf
from random_weights import perturb, randomize, values
from subject import close

import tfp_flows as tff

pytestmark = pytest.mark.usefixtures("all_op_by_op")

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(size=(40, 4, 8, 1)).astype(np.float32)
TINY = {"hidden_channels": 4, "seed": 1}


def glow(image_shape=(4, 8, 1), num_levels=2, num_steps=2, **arguments):
    return tff.Glow(image_shape, num_levels, num_steps, **{**TINY, **arguments})


def distribution_of(flow):
    size = flow.inverse_event_shape([4, 8, 1])[0]
    return tff.FlowDistribution(tff.standard_normal(size), flow)


@pytest.mark.parametrize("is_bounded", [False, True])
def test_step_equals_the_papers_formulas(is_bounded):
    chosen = {} if is_bounded else {"transformer": None}
    step = tff.flows.GlowStep((2, 2, 3), dtype="float64", **TINY, **chosen)
    randomize(step)
    act_norm, mixing, coupling = step.bijectors
    y = np.random.default_rng(1).normal(size=(5, 2, 2, 3))
    (weights,) = act_norm.trainable_variables
    shift, log_scale = weights.numpy()
    matrix = mixing.bijectors[0].matrix().numpy()
    h = np.einsum("ij,nhwj->nhwi", matrix, (y - shift) * np.exp(-log_scale))
    h_a, h_b = h[..., :1], h[..., 1:]
    t, s = np.split(coupling.conditioner(tf.constant(h_a)).numpy(), 2, axis=-1)
    scale = 1.0 / (1.0 + np.exp(-(s + 2.0)))
    scale = 0.1 + 0.9 * scale if is_bounded else scale
    x, log_det = step.inverse_and_log_det(y)
    close(x, np.concatenate([h_a, (h_b - t) * scale], axis=-1))
    per_pixel = -log_scale.sum() + np.linalg.slogdet(matrix)[1]
    close(log_det, 4 * per_pixel + np.log(scale).sum(axis=(1, 2, 3)))


def test_draws_do_not_overflow_by_default_and_files_keep_the_map_they_were_saved_with():
    base = tff.standard_normal(32)
    for chosen, is_finite in (({}, True), ({"transformer": None}, False)):
        flow = randomize(glow(num_levels=1, num_steps=8, **chosen))
        copy = tff.Glow.from_config(flow.get_config())
        for variable, value in zip(copy.variables, flow.variables, strict=True):
            variable.assign(value)
        draws = tff.FlowDistribution(base, copy).sample(200, seed=0)
        assert bool(np.isfinite(draws).all()) == is_finite


def test_parts_of_the_paper_are_where_they_should_be():
    flow = glow((8, 8, 3), num_levels=2, num_steps=3)
    (multi_scale,) = flow.bijectors
    assert multi_scale.latent_shapes == ((4, 4, 6), (2, 2, 24))
    first, last = (
        [type(b).__name__ for b in level.bijectors] for level in multi_scale.levels
    )
    assert first == ["Squeeze", "Scan", "Coupling"]
    assert last == ["Squeeze", "Scan", "Elementwise"]
    steps = multi_scale.levels[0].bijectors[1].bijectors
    assert [type(step).__name__ for step in steps] == ["GlowStep"] * 3
    plain = glow(learned_prior=False, conditional_prior=False).bijectors[0]
    for level in plain.levels:
        assert [type(b).__name__ for b in level.bijectors] == ["Squeeze", "Scan"]


def test_every_act_norm_is_initialized_once_and_never_by_samples():
    flow = glow()
    distribution = distribution_of(flow)
    distribution.sample(2, seed=0)
    distribution.log_prob(IMAGES)
    assert not flow.is_initialized
    flow.initialize(IMAGES)
    flags = [v for v in flow.variables if v.dtype == tf.bool]
    # Each step has an act norm and a network; the prior's network has no hidden layer.
    assert len(flags) == 4 * 2 + 1
    assert all(flag.numpy() for flag in flags)
    before = values(flow)
    flow.initialize(3.0 + 5.0 * IMAGES)
    for now, then in zip(values(flow), before, strict=True):
        np.testing.assert_array_equal(now, then)


HARD_IMAGES = {
    "black": np.zeros_like(IMAGES),
    "half of the columns constant": np.where(np.indices(IMAGES.shape)[2] % 2, 0.5, IMAGES),
    "outliers": np.where(RNG.uniform(size=IMAGES.shape) < 0.01, np.float32(1e3), IMAGES),
}
FLOWS = {
    "glow": lambda: glow(num_levels=1, num_steps=2),
    "real_nvp_image": lambda: tff.RealNVPImage(
        (4, 8, 1), 1, hidden_channels=4, num_blocks=1, seed=1, logit_alpha=None
    ),
}


@pytest.mark.slow_ids("real_nvp_image-black", "real_nvp_image-half of the columns constant")
@pytest.mark.parametrize("name", HARD_IMAGES)
@pytest.mark.parametrize("flow", FLOWS)
def test_hard_images_give_finite_losses_gradients_and_samples(flow, name):
    images = HARD_IMAGES[name].astype(np.float32)
    distribution = distribution_of(FLOWS[flow]())
    distribution.initialize(images)
    perturb(distribution.bijector, 0.02)
    weights = distribution.trainable_variables
    with tf.GradientTape() as tape:
        loss = -tf.reduce_mean(distribution.log_prob(images))
    assert np.isfinite(loss)
    assert all(np.isfinite(g).all() for g in tape.gradient(loss, weights))
    assert np.isfinite(distribution.sample(8, seed=0)).all()
