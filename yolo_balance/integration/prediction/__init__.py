"""Prediction at the thresholds of a model."""
