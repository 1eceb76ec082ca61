"""Models in the scope of a `tf.distribute` strategy equal those of one device."""

import itertools

import keras
import numpy as np
import pytest
import small_vae

import tfp_flows as tff

# With batches of 32, the last one of an epoch has a single row, and a replica none.
NUM_ROWS = 65
WEIGHT = np.linspace(0.0, 2.0, NUM_ROWS).astype(np.float32)


def estimator(**options):
    flow = tff.RealNVP(2, num_steps=2, hidden_units=(8,), seed=0, **options)
    return tff.DensityEstimator(tff.FlowDistribution(tff.standard_normal(2), flow))


def regularised():
    layers = keras.layers
    network = keras.Sequential(
        [
            layers.Dense(4, "tanh", kernel_initializer="ones", kernel_regularizer="l2"),
            layers.Dense(2, kernel_initializer="zeros", bias_regularizer="l1"),
        ]
    )
    step = tff.Coupling(tff.masks.half(2), tff.Conditioner(network, 1))
    return tff.DensityEstimator(tff.FlowDistribution(tff.standard_normal(2), step))


def descent(**options):
    # Plain, since Adam would hide a gradient of another size.
    return lambda: keras.optimizers.SGD(0.05, **options)


def loss_scaling():
    return keras.optimizers.LossScaleOptimizer(descent(global_clipnorm=0.1)())


CASES = {
    "act_norm": (lambda: estimator(act_norm=True), descent()),
    "batch_norm": (lambda: estimator(batch_norm=True), descent(clipnorm=0.1)),
    "regularised": (regularised, descent()),
    "clipped": (estimator, descent(global_clipnorm=0.1)),
    "loss_scaling": (estimator, loss_scaling),
    "free_bits": (small_vae.MODELS["full"], descent()),
    "several_draws": (small_vae.MODELS["importance_weighted"], descent()),
    "flow_as_prior": (small_vae.MODELS["real_nvp_prior"], descent(clipvalue=0.01)),
}
FAST = {
    *(("batch_norm", True), ("regularised", False), ("loss_scaling", True)),
    *(("free_bits", True), ("several_draws", False)),
}


def rows(model, rng):
    if isinstance(model, tff.VAE):
        return small_vae.rows(model, NUM_ROWS)
    return rng.normal(size=(NUM_ROWS, 2)).astype(np.float32)


def answers(build, optimizer, x, weight):
    """All numbers of a training, named."""
    model = build()
    model.compile(optimizer(), jit_compile=False)
    fitted = model.fit(
        x,
        sample_weight=weight,
        validation_data=(x, None, weight) if weight is not None else (x,),
        validation_batch_size=9,
        epochs=2,
        shuffle=False,
        verbose=0,
    )
    found = {k: np.array(v) for k, v in fitted.history.items()}
    found |= {f"weight {i}": w for i, w in enumerate(model.get_weights())}
    if weight is None:
        found["predicted"] = model.predict(x, batch_size=32, verbose=0)
    return found


@pytest.mark.slow_ids(
    "free_bits-True", "loss_scaling-True", "regularised-False", "several_draws-False"
)
@pytest.mark.parametrize(
    ("name", "is_weighted"),
    [
        pytest.param(*case, marks=() if case in FAST else pytest.mark.slow)
        for case in itertools.product(CASES, (False, True))
    ],
)
def test_replicas_train_as_one_device(name, is_weighted, rng, replicas):
    build, optimizer = CASES[name]
    weight = WEIGHT if is_weighted else None
    x = rows(build(), rng)
    expected = answers(build, optimizer, x, weight)
    assert replicas.num_replicas_in_sync == 2
    with replicas.scope():
        found = answers(build, optimizer, x, weight)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        np.testing.assert_allclose(found[key], value, rtol=1e-4, atol=2e-5, err_msg=key)


def misuse(part, strategy):
    model, optimizer = estimator(), keras.optimizers.SGD()
    with strategy.scope():
        inside = tff.DensityEstimator(model.distribution)
        other = estimator()
        if part == "distribution":
            inside.compile("sgd")
        if part == "model":
            model.compile("sgd")
        if part == "optimizer":
            other.compile(optimizer)
        other.compile("sgd", **{part: 2 if part == "steps_per_execution" else True})


REFUSED = {
    "distribution": "`model` and all its parts made in the scope",
    "model": "`model` and all its parts made in the scope",
    "optimizer": "`optimizer` and all its parts made in the scope",
    "jit_compile": "no `jit_compile` and no `steps_per_execution` with several replicas",
    "steps_per_execution": "no `jit_compile` and no `steps_per_execution` with several",
}


@pytest.mark.parametrize("part", REFUSED)
def test_what_replicas_cannot_do_is_refused(part, replicas):
    with pytest.raises(ValueError, match=REFUSED[part]):
        misuse(part, replicas)


def test_the_scope_counts_where_the_model_is_made(rng, replicas):
    with replicas.scope():
        model = estimator()
    model.compile("adam")
    history = model.fit(rows(model, rng), verbose=0).history
    assert history["loss"][0] == pytest.approx(2.8, abs=0.5)
