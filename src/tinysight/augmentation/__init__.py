"""Random augmentation of training images, on batches of tensors.

`config` and `describe` do not import torch, so recipes can be validated without it.
"""
