"""A balanced training run, from its YAML to its last file."""
