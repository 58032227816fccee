"""Classifiers as single ONNX files: written from runs, and asked like runs."""
