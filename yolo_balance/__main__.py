"""`python -m yolo_balance` is the `yolo_balance` command."""

from yolo_balance.cli import main

raise SystemExit(main())
