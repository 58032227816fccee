"""Network architectures and the classifier that wraps a network."""
