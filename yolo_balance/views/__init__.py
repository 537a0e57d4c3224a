"""What people see: console tables, HTML pages and plots. The only room that imports rich, jinja2 and matplotlib."""
