"""What a fitted model makes of new tables: scores, samples and predictions."""
