"""Cost of imbalance before any training: labels -> figures, findings, a page for people, a YAML to start from.

Pure: labels come in as arrays, whoever read them.
"""
