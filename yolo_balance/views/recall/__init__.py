"""A recall report for people: the console table, recall.html and its plots."""
