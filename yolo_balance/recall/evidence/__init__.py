"""What n objects can show: intervals, effective sizes, verdicts and the numbers needed for them."""
