"""Evaluation. Not built yet."""
