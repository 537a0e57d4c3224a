"""Hooks into Ultralytics, one file for each object: criterion, DETR loss, data set, loader, validator."""
