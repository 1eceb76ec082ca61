"""keras.io's RealNVP on our couplings, tested on a program of the same structure."""

import pytest

from experiments.compatibility import keras_real_nvp

# Names and roles of its parts are those of keras.io; its formulas are not.
EXAMPLE = """
import keras
import numpy as np
import tensorflow as tf
import matplotlib.pyplot as plt

rows = np.random.normal(size=(80, 2)).astype("float32")

def Coupling(input_shape):
    inputs = keras.layers.Input(shape=input_shape)
    return keras.Model(inputs, keras.layers.Dense(input_shape)(inputs))

class RealNVP(keras.Model):
    def __init__(self):
        super().__init__()
        self.masks = np.array([[0, 1], [1, 0], [0, 1]], "float32")
        self.layers_list = [Coupling(2) for _ in self.masks]

    def call(self, x, training=True):
        for network, mask in zip(self.layers_list, self.masks):
            x = x + 1.0 + (1.0 - mask) * network(mask * x)
        return x, tf.zeros(len(x))

    def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
        z, log_det = y_pred
        return tf.reduce_mean(0.5 * tf.reduce_sum(z**2, axis=1) - log_det)

model = RealNVP()
model.compile(keras.optimizers.SGD(0.0))
history = model.fit(rows, epochs=30, validation_split=0.2, verbose=0)
plt.plot(history.history["loss"])
"""

# The weights are moved, so that the flow is not the identity.
CHECKS = """
for variable in model.trainable_variables:
    variable.assign_add(0.05 * np.random.normal(size=variable.shape))
x = tf.constant(rows[:4])
with tf.GradientTape() as tape:
    tape.watch(x)
    z, log_det = model(x)
assert abs(z - x).numpy().max() > 0.01
jacobian = tape.batch_jacobian(z, x)
np.testing.assert_allclose(log_det, np.linalg.slogdet(jacobian)[1], atol=1e-5)
back, back_log_det = model(z, training=False)
np.testing.assert_allclose(back, x, atol=1e-5)
np.testing.assert_allclose(back_log_det, -log_det, atol=1e-5)
standard = 0.5 * (rows[-16:] ** 2).sum(axis=1).mean()
np.testing.assert_allclose(history.history["val_loss"], standard, rtol=1e-5)
"""


@pytest.fixture
def example(tmp_path):
    """Function that writes a text to a file and returns its path."""

    def write(text):
        path = tmp_path / "real_nvp.py"
        path.write_text(text)
        return str(path)

    return write


def test_the_example_runs_on_our_couplings(example, op_by_op):
    """The couplings are inverted, have the right log-det, and start as the identity."""
    losses = keras_real_nvp.run_example(example(EXAMPLE + CHECKS), epochs=2)
    assert losses.keys() == {"loss", "val_loss"}
    assert [len(values) for values in losses.values()] == [2, 2]


def test_the_command_runs_it_on_its_own_and_keeps_its_pictures(
    example, op_by_op, tmp_path, capsys
):
    """The couplings of this example move each row by three."""
    arguments = ["", example(EXAMPLE), "--stock", "--epochs=1"]
    arguments.append(f"--output_dir={tmp_path / 'pictures'}")
    assert keras_real_nvp.main(arguments) == 0
    assert (tmp_path / "pictures" / "1.png").stat().st_size > 1000
    printed = capsys.readouterr().out
    assert "On the example's couplings" in printed
    assert float(printed.split("validation: ")[1].split()[0]) > 3.0


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("def Coupling", "def Layer", "`Coupling`; got no `Coupling` among ['Layer', 'R"),
        ("def call", "def run", "`RealNVP.call`; got no `call` among ['__init__', 'com"),
        ("epochs=30, ", "", "to call `fit` with `epochs`; got none."),
        ("class", "clas", "invalid syntax (real_nvp.py, line"),
    ],
)
def test_what_is_not_the_example_is_refused(
    example, op_by_op, capsys, tmp_path, old, new, message
):
    text = EXAMPLE.split("plt.plot")[0].replace(old, new)
    arguments = ["", example(text), "--epochs=1", f"--output_dir={tmp_path}"]
    assert keras_real_nvp.main(arguments) == 1
    assert message in capsys.readouterr().err
