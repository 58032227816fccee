"""scikit-learn estimator for image classification."""
