"""Explanations of predictions: occlusion maps and nearest training images."""
