"""Evaluation: comparisons of schedulers on the user's data or the embedded model's tasks."""
