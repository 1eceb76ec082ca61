"""Predictions by quantiles: their scores, and what has to be beaten."""
