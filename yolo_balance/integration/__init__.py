"""Everything that touches Ultralytics, which no other room imports; `protocols` lists all that it touches."""
