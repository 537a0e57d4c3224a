"""One hook for each Ultralytics object: criterion, DETR loss, dataset, loader, validator."""
