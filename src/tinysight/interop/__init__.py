"""To and from what other programs read."""
