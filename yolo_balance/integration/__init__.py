"""Everything that touches Ultralytics, which no other room imports; `protocols` lists all that it touches."""

from yolo_balance.integration.compat import check_release

check_release()
