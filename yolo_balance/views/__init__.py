"""Console tables, HTML pages and plots. No other room imports rich, jinja2 or matplotlib."""
