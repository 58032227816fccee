"""Audit sections, one per file; see `tinysight.audit.section` for the interface."""
