"""ONNX export, and prediction with exported ONNX files."""
