"""Evaluation: how good a classifier is, and what it says of new images."""
