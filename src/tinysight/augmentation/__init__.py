"""Random augmentation of training images, on batches of tensors.

`config`, `transform` and `transforms` do not import torch, so recipes can be validated without it.
"""
