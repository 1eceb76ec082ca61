"""Models in the scope of a `tf.distribute` strategy equal those of one device."""

import keras
import numpy as np
import pytest
import small_vae

import tfp_flows as tff

# With batches of 32, the last one of an epoch has a single row, and a replica none.
NUM_ROWS = 65
WEIGHT = np.linspace(0.0, 2.0, NUM_ROWS).astype(np.float32)


def estimator(**options):
    flow = tff.RealNVP(2, num_steps=1, hidden_units=(8,), seed=0, **options)
    return tff.DensityEstimator(tff.FlowDistribution(tff.standard_normal(2), flow))


def regularised():
    dense = keras.layers.Dense
    first = dense(4, "tanh", kernel_initializer="ones", kernel_regularizer="l2")
    last = dense(2, kernel_initializer="zeros", bias_regularizer="l1")
    network = tff.Conditioner(keras.Sequential([first, last]), 1)
    step = tff.Coupling(tff.masks.half(2), network)
    return tff.DensityEstimator(tff.FlowDistribution(tff.standard_normal(2), step))


def descent(**options):
    # Plain descent, since Adam would hide a wrong scale of the gradient.
    return lambda: keras.optimizers.SGD(0.05, **options)


def loss_scaling():
    return keras.optimizers.LossScaleOptimizer(descent(global_clipnorm=0.1)())


CASES = {
    "act_norm": (lambda: estimator(act_norm=True), descent()),
    "batch_norm": (lambda: estimator(batch_norm=True), descent(clipnorm=0.1)),
    "regularised": (regularised, descent()),
    "loss_scaling": (estimator, loss_scaling),
    "free_bits": (small_vae.MODELS["full"], descent()),
    "free_bits_of_layers": (lambda: small_vae.ladder(free_bits=0.1), descent()),
    "several_draws": (small_vae.MODELS["importance_weighted"], descent()),
    "flow_as_prior": (small_vae.MODELS["real_nvp_prior"], descent(clipvalue=0.01)),
}


def rows(model, rng):
    if isinstance(model, tff.VAE):
        return small_vae.rows(model, NUM_ROWS)
    return rng.normal(size=(NUM_ROWS, 2)).astype(np.float32)


def answers(build, optimizer, x, weight):
    """Metrics, weights and predictions of a training, by name."""
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


@pytest.mark.slow_ids("[!b]*", "batch_norm-False")
@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize("name", CASES)
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
        if part == "distribution":
            tff.DensityEstimator(model.distribution).compile("sgd")
        elif part == "model":
            model.compile("sgd")
        elif part == "optimizer":
            estimator().compile(optimizer)
        else:
            estimator().compile(
                "sgd", **{part: 2 if part == "steps_per_execution" else True}
            )


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("distribution", "`model` and all its parts made in the scope"),
        ("model", "`model` and all its parts made in the scope"),
        ("optimizer", "`optimizer` and all its parts made in the scope"),
        ("jit_compile", "no `jit_compile` and no `steps_per_execution` with several"),
        ("steps_per_execution", "no `jit_compile` and no `steps_per_execution` with sev"),
    ],
)
def test_what_replicas_cannot_do_is_refused(part, message, replicas):
    with pytest.raises(ValueError, match=message):
        misuse(part, replicas)


def test_a_network_made_under_a_strategy_serves_outside_of_it(replicas):
    with replicas.scope():
        network = keras.layers.Dense(4)
        network.build((None, 2))
    assert tff.Conditioner(network, 2).output_shape == (4,)
