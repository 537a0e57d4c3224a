"""Evidence in n objects: intervals, effective sizes, verdicts and the numbers of objects they need."""
