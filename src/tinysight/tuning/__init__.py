"""Tuning: looking for values of a recipe that come further on the validation images, by many trainings."""
