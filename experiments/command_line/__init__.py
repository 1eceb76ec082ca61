"""Command lines: flags made of settings, their bounds, and refusals."""
