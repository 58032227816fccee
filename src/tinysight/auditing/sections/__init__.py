"""Audit sections, one per file; see `tinysight.auditing.section` for the interface."""
