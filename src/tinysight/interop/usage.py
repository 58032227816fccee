"""Example programs that use an exported model."""

from __future__ import annotations

from pathlib import Path

_IMAGE = """import numpy as np
from PIL import Image, ImageOps

image = ImageOps.fit(Image.open("cat.jpg").convert("RGB"), ({size}, {size}))
"""

_ONNX = """import json
import onnxruntime

session = onnxruntime.InferenceSession({path!r})
images = np.asarray(image).transpose(2, 0, 1)[None]  # uint8, (n, 3, {size}, {size}), 0..255
(probabilities,) = session.run(None, {{"images": images}})
names = json.loads(session.get_modelmeta().custom_metadata_map["class_names"])
print(names[probabilities[0].argmax()], probabilities[0].max())
"""

_KERAS = """import json
import keras

model = keras.models.load_model({model!r})
names = json.load(open({names!r}))
probabilities = model.predict(np.asarray(image, "float32")[None])  # (n, {size}, {size}, 3), 0..255
print(names[probabilities[0].argmax()], probabilities[0].max())
"""


def onnx_usage(path: Path, image_size: int) -> str:
    """Return a program that classifies `cat.jpg` with an exported ONNX file."""
    return (_IMAGE + _ONNX).format(path=str(path), size=image_size)


def keras_usage(directory: Path, image_size: int) -> str:
    """Return a program that classifies `cat.jpg` with an exported Keras model."""
    model, names = str(directory / "model.keras"), str(directory / "class_names.json")
    return (_IMAGE + _KERAS).format(model=model, names=names, size=image_size)
