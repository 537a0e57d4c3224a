"""Finished runs and models: reports, calibration and the files they leave."""
