"""What readers of an exported ONNX file rely on: names, types, shapes, metadata, temperature and threshold."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tinysight._util.errors import ModelError
from tinysight.data.crops import SIX_CROP
from tinysight.interop.onnx.runtime import Metadata, OnnxFile
from tinysight.models.classifier import Classifier, ClassifierSpec
from tinysight.models.registry import build_network
from tinysight.recipes.schema import ModelSection

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")
pytest.importorskip("onnxscript")

LAYERS = [
    {"kind": "convolution", "channels": 4, "kernel": (3, 3)},
    {"kind": "global_average_pooling"},
    {"kind": "dense", "outputs": 3},
]


@pytest.fixture(scope="module")
def source():
    """A small classifier with values that differ from the defaults."""
    torch.manual_seed(0)
    model = ModelSection(architecture="layers", layers=LAYERS)
    spec = ClassifierSpec(
        model=model,
        class_names=("été", "b c", '"'),
        image_size=12,
        mean=(120.0, 110.0, 100.0),
        std=(6.0, 6.1, 6.2),
        temperature=0.4,
        abstain_below=0.625,
        notes=("first note", "second note"),
        crops=SIX_CROP,
        set_threshold=0.25,
    )
    return Classifier(spec, build_network(model, 3, 12).eval())


@pytest.fixture(scope="module")
def file(source, tmp_path_factory):
    from tinysight.interop.onnx.exporter import EXPORTER

    path = tmp_path_factory.mktemp("contract") / "model.onnx"
    EXPORTER.export(source, path)
    return OnnxFile(path)


@pytest.fixture(scope="module")
def pixels():
    return np.random.default_rng(0).integers(0, 256, (9, 3, 12, 12), np.uint8)


def test_file_takes_uint8_images_of_any_size_and_returns_probabilities_and_unsure(file):
    session = onnxruntime.InferenceSession(str(file.path))
    (images,), (probabilities, unsure) = session.get_inputs(), session.get_outputs()
    assert (images.name, images.type, images.shape) == ("images", "tensor(uint8)", ["n", "height", "width", 3])
    assert (probabilities.name, probabilities.type, probabilities.shape[1]) == ("probabilities", "tensor(float)", 3)
    assert (unsure.name, unsure.type, len(unsure.shape)) == ("unsure", "tensor(bool)", 1)


def test_metadata_properties_are_json_of_the_classifier(file):
    session = onnxruntime.InferenceSession(str(file.path))
    values = {key: json.loads(text) for key, text in session.get_modelmeta().custom_metadata_map.items()}
    descriptions = values.pop("inputs") | values.pop("outputs")
    assert list(descriptions) == [node.name for node in (*session.get_inputs(), *session.get_outputs())]
    assert values == {
        "format": 3,
        "class_names": ["été", "b c", '"'],
        "task": "multi-class",
        "thresholds": [],
        "abstain_below": 0.625,
        "notes": ["first note", "second note"],
        "crops": [[margin, position] for margin in (0.0, 0.125) for position in (0.5, 0.0, 1.0)],
        "set_threshold": 0.25,
        "ood_threshold": None,
        "image_size": 12,
        "tta": False,
        "int8": None,
    }


def test_file_of_several_labels_returns_and_describes_them(multi_label, tmp_path):
    from tinysight.interop.onnx.exporter import EXPORTER

    EXPORTER.export(multi_label, tmp_path / "model.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    probabilities, labels = session.get_outputs()
    assert (probabilities.name, labels.name, labels.type, labels.shape[1]) == (
        "probabilities",
        "labels",
        "tensor(bool)",
        3,
    )
    values = {key: json.loads(text) for key, text in session.get_modelmeta().custom_metadata_map.items()}
    assert list(values["outputs"]) == ["probabilities", "labels"]
    assert (values["task"], values["thresholds"]) == ("multi-label", list(multi_label.thresholds))
    opened = OnnxFile(tmp_path / "model.onnx").classifier()
    assert (opened.task, opened.thresholds) == (multi_label.task, multi_label.thresholds)


def test_file_does_not_contain_paths_of_the_machine_that_wrote_it(file):
    content = file.path.read_bytes()
    assert b"site-packages" not in content
    assert str(file.path.parent).encode() not in content


def test_opened_file_has_the_values_of_the_classifier(file, source):
    opened = file.classifier()
    for name in ("class_names", "image_size", "abstain_below", "set_threshold", "notes", "crops"):
        assert getattr(opened, name) == getattr(source, name), name


def test_probabilities_include_normalization_and_temperature(file, source, pixels):
    """The softmax of the divided logits of the normalized images, computed in NumPy from the network."""
    normalized = (pixels - np.reshape(source.spec.mean, (3, 1, 1))) / np.reshape(source.spec.std, (3, 1, 1))
    with torch.no_grad():
        logits = source.network(torch.from_numpy(normalized).float()).numpy() / 0.4
    powers = np.exp(logits - logits.max(1, keepdims=True))
    probabilities = file.classifier().probabilities(pixels)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, powers / powers.sum(1, keepdims=True), atol=1e-4)


def test_probabilities_do_not_depend_on_the_batch_or_the_memory_layout(file, pixels):
    opened = file.classifier()
    together = opened.probabilities(pixels)
    np.testing.assert_allclose(
        np.concatenate([opened.probabilities(image[None]) for image in pixels]), together, atol=1e-6
    )
    fortran = np.asfortranarray(pixels)
    np.testing.assert_allclose(opened.probabilities(fortran[::-1]), together[::-1], atol=1e-6)


def test_file_of_nothing_is_refused_with_the_sentence(tmp_path):
    path = tmp_path / "none.onnx"
    with pytest.raises(ModelError) as caught:
        OnnxFile(path).weights_checksum()
    assert str(caught.value) == f"{path}: cannot be read. Give the path of an exported ONNX file."
    with pytest.raises(ModelError) as caught:
        OnnxFile(path).classifier()
    assert str(caught.value) == (
        f"{path}: missing, damaged or not an ONNX file. Give the path of an exported ONNX file."
    )


@given(st.lists(st.text(), min_size=2, max_size=5), st.floats(0, 2, allow_nan=False), st.lists(st.text(), max_size=3))
def test_any_metadata_survives_writing_and_reading(names, threshold, notes):
    metadata = Metadata(
        image_size=32, class_names=tuple(names), abstain_below=threshold, notes=tuple(notes), crops=SIX_CROP
    )
    assert Metadata.from_properties(metadata.to_properties()) == metadata
    assert (metadata.class_names, metadata.abstain_below) == (tuple(names), threshold)


@pytest.mark.parametrize("name", Metadata.model_fields)
def test_each_property_is_required(name):
    properties = Metadata(class_names=("a", "b"), image_size=8).to_properties()
    del properties[name]
    with pytest.raises(KeyError, match=name):
        Metadata.from_properties(properties)
