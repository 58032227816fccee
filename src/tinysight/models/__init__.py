"""Networks, and the classifier that wraps one."""
