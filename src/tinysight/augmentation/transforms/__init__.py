"""Transforms, found by `tinysight.augmentation.config`. The modules are imported without torch and numpy."""
