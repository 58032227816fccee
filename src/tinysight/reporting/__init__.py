"""Plots, model cards and HTML reports of runs."""
