"""Random changes to training images, in batches, on tensors.

`config` (the settings) and `describe` need no torch, so that recipes are checked without loading it.
"""
