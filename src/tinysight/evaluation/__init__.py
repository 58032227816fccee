"""Evaluation: metrics, calibration, robustness, OOD detection, significance."""
