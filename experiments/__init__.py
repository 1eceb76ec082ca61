"""What one runs from the command line: data, training, evaluation and pictures."""
