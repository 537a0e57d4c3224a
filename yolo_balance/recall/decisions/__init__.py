"""What is decided by recall: images at a threshold, a promise kept or not, the epoch that is kept."""
