"""Recipes: how to train, as data that can be listed, copied, checked and run."""
