"""Datasets: sources, decoding, splits and memory-mapped pixels."""
