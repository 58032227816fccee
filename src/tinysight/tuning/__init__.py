"""Hyperparameter search: many short training runs, compared on the validation set."""
