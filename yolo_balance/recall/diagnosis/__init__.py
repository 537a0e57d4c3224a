"""Diagnosis of misses and false boxes: error types, sizes, curves over all thresholds."""
