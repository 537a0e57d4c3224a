"""A comparison of arms for people: the console tables and compare.html."""
