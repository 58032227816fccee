"""Batch prediction of large image collections, on one machine or a Ray cluster."""
