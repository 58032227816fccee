"""Transforms, found by `tinysight.augmentation.config`. The modules are importable without torch."""
