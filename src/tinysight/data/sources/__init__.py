"""Data sources. Each module or package here defines one, as `SOURCE`; `tinysight.data.load` finds them."""
