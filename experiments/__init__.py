"""What one runs from the command line: data, training, evaluation and pictures."""

from experiments import quiet_tensorflow

quiet_tensorflow.install()
