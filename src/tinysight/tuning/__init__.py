"""Hyperparameter search: many short trainings, compared on the validation set."""
