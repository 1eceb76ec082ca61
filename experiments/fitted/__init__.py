"""Scores, samples and predictions of a fitted model for new tables."""
