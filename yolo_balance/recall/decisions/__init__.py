"""Decisions from recall: thresholds of the line, the gate of a pipeline, the epoch kept as best.pt, calibration."""
