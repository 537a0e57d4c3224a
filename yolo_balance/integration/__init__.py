"""Everything that touches Ultralytics. No other room imports it; what differs between its releases is in `host`."""
