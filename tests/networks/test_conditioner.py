"""What a network would do in training only: warned of, refused, or dropout on demand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfp_flows as tff


def with_layers(*layers, units=2):
    dense = [keras.layers.Dense(16, activation="tanh"), *layers, keras.layers.Dense(units)]
    return keras.Sequential(dense)


NO_EFFECT = {
    "dropout": (keras.layers.Dropout(0.5), "dropout is never applied"),
    "noise": (keras.layers.GaussianNoise(1.0), "dropout is never applied"),
    "nested": (with_layers(keras.layers.Dropout(0.5)), "dropout is never applied"),
    "batch norm": (keras.layers.BatchNormalization(), "never updates its averages"),
    "activity": (keras.layers.ActivityRegularization(0.1), "not part of any loss"),
    "spectral": (
        keras.layers.SpectralNormalization(keras.layers.Dense(2)),
        "spectral normalisation divides",
    ),
}


@pytest.mark.parametrize("name", NO_EFFECT)
def test_layers_without_effect_are_warned_of(name):
    layer, message = NO_EFFECT[name]
    with pytest.warns(UserWarning, match=message):
        conditioner = tff.Conditioner(with_layers(layer), 1)
    # Networks are called in evaluation mode.
    np.testing.assert_array_equal(*[conditioner(tf.ones([3, 1])) for _ in range(2)])


@pytest.mark.filterwarnings("error")
def test_ordinary_networks_are_not_warned_of():
    tff.Conditioner(with_layers(keras.layers.LayerNormalization()), 1)
    tff.Conditioner(with_layers(keras.layers.Dropout(0.0)), 1)  # as attention has it
    tff.Conditioner(with_layers(keras.layers.GaussianNoise(0.0)), 1)
    tff.Conditioner(tff.MLP(2, (4,)), 1)
    tff.Conditioner(tff.networks.ConvNet(2, 2), (4, 4, 1))
    tff.Conditioner(tff.networks.ResNet(2, 2), (4, 4, 1))


def test_arrays_and_lists_are_taken():
    conditioner = tff.Conditioner(with_layers(), 3, context_size=2)
    x, context = np.full([4, 3], 0.5, np.float32), np.ones([4, 2], np.float32)
    expected = conditioner(tf.constant(x), tf.constant(context))
    np.testing.assert_array_equal(conditioner(x, context), expected)
    np.testing.assert_array_equal(conditioner(x.tolist(), context.tolist()), expected)
    # In the dtype of the input, they would be rounded.
    of_integers = tff.Conditioner(with_layers(), 3)(np.ones([4, 3], int))
    assert of_integers.dtype == tf.float32


def dropping(**options):
    network = with_layers(keras.layers.Dropout(0.5, seed=1))
    return tff.Conditioner(network, 1, dropout_in_training=True, **options)


@pytest.mark.filterwarnings("error")
def test_dropout_is_applied_in_training_only(rng):
    step = tff.Coupling(tff.masks.half(2), dropping())
    y = rng.normal(size=(64, 2)).astype(np.float32)
    x, log_det = step.inverse_and_log_det(y)
    np.testing.assert_array_equal(step.inverse_and_log_det(y)[0], x)
    np.testing.assert_allclose(step.forward_and_log_det(x)[0], y, atol=1e-5)
    np.testing.assert_allclose(step.forward_and_log_det(x)[1], -log_det, atol=1e-5)
    dropped = [step.inverse_and_log_det(y, training=True) for _ in range(2)]
    assert np.abs(dropped[0][0] - x).max() > 1e-2
    assert np.abs(dropped[0][0] - dropped[1][0]).max() > 1e-2
    # What passes, passes: whatever is dropped, the step is a coupling.
    np.testing.assert_array_equal(dropped[0][0][:, :1], y[:, :1])


def test_what_dropout_in_training_refuses():
    with pytest.raises(ValueError, match="with dropout for `dropout_in_training`"):
        tff.Conditioner(with_layers(), 1, dropout_in_training=True)
    both = with_layers(keras.layers.Dropout(0.5), keras.layers.BatchNormalization())
    with pytest.raises(ValueError, match="without batch normalisation"):
        tff.Conditioner(both, 1, dropout_in_training=True)
    # Gradients would call a step again.
    steps = [tff.Coupling(tff.masks.half(2), dropping()) for _ in range(2)]
    with pytest.raises(ValueError, match="without `dropout_in_training` for `recompute`"):
        tff.FlowChain(steps, recompute=True)


def estimator(step):
    return tff.DensityEstimator(tff.FlowDistribution(tff.standard_normal(2), step))


@pytest.mark.usefixtures("op_by_op")
def test_dropout_trains_and_is_saved(tmp_path, banana):
    model = estimator(tff.Coupling(tff.masks.half(2), dropping()))
    model.compile("adam", jit_compile=False)
    history = model.fit(banana, epochs=2, batch_size=256, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    # Evaluation drops nothing.
    assert model.evaluate(banana, verbose=0) == model.evaluate(banana, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.distribution.bijector.conditioner.dropout_in_training
    np.testing.assert_array_equal(loaded(banana), model(banana))


@keras.saving.register_keras_serializable(package="tests")
class Subclassed(keras.Model):
    def __init__(self, units=8, **kwargs):
        super().__init__(**kwargs)
        self.blocks = [[keras.layers.Dense(units, "tanh")], [keras.layers.Dense(4)]]
        self.attention = keras.layers.MultiHeadAttention(1, 2)
        self.last = keras.layers.Dense(2)

    def call(self, x):
        for block in self.blocks:
            for layer in block:
                x = layer(x)
        return self.last(x + self.attention(x[:, None], x[:, None])[:, 0])


def two_inputs():
    inputs = [keras.Input((1,)), keras.Input((3,))]
    joined = keras.layers.Concatenate()(inputs)
    return keras.Model(inputs, keras.layers.Dense(2)(joined))


@pytest.mark.filterwarnings("ignore:Layers")
@pytest.mark.parametrize(("make", "count"), [(Subclassed, 14), (two_inputs, 2)])
@pytest.mark.usefixtures("op_by_op")
def test_networks_of_ones_own_are_trained_and_saved(make, count, tmp_path, rng):
    step = tff.Coupling([True, False], tff.Conditioner(make(), 1, context_size=3))
    assert len(step.trainable_variables) == count
    model = estimator(step)
    model.compile(keras.optimizers.SGD(0.1))
    x, context = (rng.normal(size=(32, d)).astype(np.float32) for d in (2, 3))
    before = [v.numpy() for v in step.trainable_variables]
    model.fit((x, context), verbose=0)
    after = [v.numpy() for v in step.trainable_variables]
    assert all(np.any(a != b) for a, b in zip(after[-2:], before[-2:], strict=True))
    model.save(tmp_path / "m.keras")
    for load in (tff.load, keras.saving.load_model):
        loaded = load(tmp_path / "m.keras")
        np.testing.assert_array_equal(loaded((x, context)), model((x, context)))


class Unconfigured(keras.Model):
    def __init__(self, layers):
        super().__init__()
        self.all = layers

    def call(self, x):
        for layer in self.all:
            x = layer(x)
        return x


class WithoutItsUnits(Unconfigured):
    def __init__(self, units=2, **kwargs):
        super().__init__([keras.layers.Dense(units), keras.layers.Dense(2)])

    def get_config(self):
        return {}


def half_of_tanh(x):
    return 0.5 * tf.tanh(x)


def test_an_activation_of_ones_own_is_saved_and_found_in_its_module(tmp_path):
    network = keras.Sequential([keras.layers.Dense(3, half_of_tanh), keras.layers.Dense(2)])
    model = estimator(tff.Coupling([True, False], tff.Conditioner(network, 1)))
    model.save(tmp_path / "m.keras")
    loaded = tff.load(tmp_path / "m.keras", custom_modules=[__name__])
    rows = np.eye(2, dtype=np.float32)
    np.testing.assert_array_equal(loaded(rows), model(rows))


def test_networks_that_cannot_be_rebuilt_are_not_saved(tmp_path):
    for network, match in (
        (Unconfigured([keras.layers.Dense(2)]), "must override `get_config"),
        (WithoutItsUnits(7), "weights of shapes"),
    ):
        step = tff.Coupling([True, False], tff.Conditioner(network, 1))
        with pytest.raises(ValueError, match=match):
            estimator(step).save(tmp_path / "m.keras")


class InEachCall(keras.layers.Layer):
    def call(self, x):
        return keras.layers.Dense(2)(x)


class OfTensorFlow(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.kernel = tf.Variable([[1.0, 2.0]])

    def call(self, x):
        return x @ self.kernel


REFUSED = {
    "in each call": (InEachCall, "neither trained nor saved"),
    "tf.Variable": (OfTensorFlow, "neither trained nor saved"),
    "two arguments": (lambda: keras.layers.MultiHeadAttention(1, 2), "whose call fails"),
    "no rows": (lambda: keras.layers.Lambda(tf.reduce_sum), "a row for each"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_networks_whose_weights_would_be_lost_are_refused(name):
    make, match = REFUSED[name]
    with pytest.raises(ValueError, match=match):
        tff.Conditioner(make(), 1)


def test_weights_that_are_not_a_conditioners_own_are_warned_of():
    network = keras.layers.Dense(2)
    with pytest.warns(UserWarning, match="2 trainable variables that are not its own"):
        tff.Coupling([True, False], lambda x, context: network(x))


def test_encoders_and_decoders_have_their_weights(tmp_path):
    encoder = Unconfigured([keras.layers.Dense(2)])
    parts = tff.posteriors.DiagonalGaussian(1), keras.layers.Dense(3)
    vae = tff.VAE(encoder, *parts, tff.likelihoods.Bernoulli(3))
    assert len(vae.trainable_variables) == 4
    with pytest.raises(ValueError, match="must override `get_config"):
        vae.save(tmp_path / "m.keras")
