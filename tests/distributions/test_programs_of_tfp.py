"""Programs of TFP's documentation, with only the flow exchanged."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp
import tf_keras

import tfp_flows as tff

tfb, tfd, tfpl = tfp.bijectors, tfp.distributions, tfp.layers
BASE = tfd.Sample(tfd.Normal(0.0, 1.0), 2)


class Flow(tf_keras.layers.Layer):
    """The log-density of rows, as a layer of TF-Keras that tracks the weights of a flow."""

    def __init__(self, flow):
        super().__init__()
        self.dist = tfd.TransformedDistribution(BASE, flow)

    def call(self, inputs):
        return self.dist.log_prob(inputs)


def test_a_loop_over_the_trainable_variables_fits(banana):
    flow = tff.MAF(2, num_steps=2, hidden_units=(8,), seed=0)
    dist = tfd.TransformedDistribution(BASE, tfb.Chain([tfb.Shift([1.0, 0.0]), flow]))
    optimizer = tf_keras.optimizers.Adam(0.01)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(dist.log_prob(banana))
        weights = dist.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return loss

    flow.initialize(banana - [1.0, 0.0])
    losses = [float(step()) for _ in range(40)]
    assert losses[-1] < losses[0] - 0.1


@pytest.mark.slow
def test_a_layer_of_tf_keras_trains_a_flow(banana):
    flow = tff.RealNVP(2, num_steps=2, hidden_units=(8,), seed=0)
    flow.initialize(banana)
    model = tf_keras.Sequential([tf_keras.layers.InputLayer([2]), Flow(flow)])
    assert len(model.trainable_variables) == len(flow.trainable_variables) > 0
    model.compile(tf_keras.optimizers.Adam(0.01), loss=lambda _, log_prob: -log_prob)
    zeros = np.zeros(len(banana))
    losses = model.fit(banana, zeros, epochs=20, verbose=0).history["loss"]
    assert losses[-1] < losses[0] - 0.1


def test_symbols_of_keras_are_refused_by_name():
    dist = tfd.TransformedDistribution(BASE, tff.MAF(2, hidden_units=(4,), seed=0))
    with pytest.raises(ValueError, match="got a symbolic KerasTensor.*a `Layer` of your"):
        dist.log_prob(tf_keras.Input([2]))
    with pytest.raises(ValueError, match="got a symbolic KerasTensor.*`DensityEstimator`"):
        tff.FlowDistribution(BASE, dist.bijector).log_prob(keras.Input([2]))


@pytest.mark.slow
def test_a_vae_of_tfp_layers_takes_flows_as_prior_and_posterior(banana):
    prior = tfd.TransformedDistribution(BASE, tff.IAF(2, hidden_units=(8,), seed=0))
    iaf = tff.IAF(2, num_steps=1, hidden_units=(8,), context_size=4, seed=1)

    class Posterior(tf_keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = tf_keras.layers.Dense(4)
            self.iaf = iaf

        def call(self, x):
            given = self.dense(x)
            scale = tf.nn.softplus(given[:, 2:])
            base = tfd.MultivariateNormalDiag(given[:, :2], scale)
            return base, given

    encoder = Posterior()
    decoder = tf_keras.Sequential([tf_keras.layers.Dense(4), tfpl.IndependentNormal([2])])
    optimizer = tf_keras.optimizers.Adam(0.01)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            base, given = encoder(banana)
            posterior = tfd.TransformedDistribution(base, iaf)
            z = posterior.sample(bijector_kwargs={"context": given})
            log_q = posterior.log_prob(z, bijector_kwargs={"context": given})
            elbo = decoder(z).log_prob(banana) + prior.log_prob(z) - log_q
            loss = -tf.reduce_mean(elbo)
        weights = [
            *encoder.trainable_variables,
            *decoder.trainable_variables,
            *prior.trainable_variables,
        ]
        gradients = tape.gradient(loss, weights)
        assert all(gradient is not None for gradient in gradients)
        optimizer.apply_gradients(zip(gradients, weights, strict=True))
        return loss

    losses = [float(step()) for _ in range(60)]
    assert losses[-1] < losses[0] - 0.1
    assert len(iaf.trainable_variables) > 0
    found = {id(weight) for weight in encoder.trainable_variables}
    assert {id(weight) for weight in iaf.trainable_variables} <= found
