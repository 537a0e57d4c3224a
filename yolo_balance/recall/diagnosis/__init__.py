"""Why objects are missed and what false boxes are: error types, size, curves over all thresholds."""
