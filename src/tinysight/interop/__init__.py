"""Import from and export to other model formats: Keras and ONNX."""
