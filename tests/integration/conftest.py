"""Ultralytics keeps its files in temporary folders in this room's tests."""

from helpers.ultralytics_folders import ultralytics_folders

__all__ = ["ultralytics_folders"]  # a fixture
