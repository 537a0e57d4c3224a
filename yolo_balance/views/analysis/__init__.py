"""A data analysis for people: the console tables and analysis.html."""
