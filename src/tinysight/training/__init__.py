"""Training: turn a recipe and a dataset into a run."""
