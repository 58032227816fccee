"""ONNX export gives the probabilities of the run, in onnxruntime."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinysight._util.errors import InputError, ModelError
from tinysight.data.sources import shapes
from tinysight.evaluation.predict import ImagePredictor
from tinysight.interop.onnx.exporter import EXPORTER
from tinysight.interop.onnx.runtime import OnnxFile
from tinysight.runs.run import Run

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def ours(trained):
    return Run(trained).classifier()


@pytest.fixture(scope="module")
def file(ours, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    EXPORTER.export(ours, path)
    return path


@pytest.fixture(scope="module")
def pixels():
    return shapes.render_shapes(70, seed=3).pixels


def test_onnxruntime_gives_the_same_probabilities(ours, file, pixels):
    session = onnxruntime.InferenceSession(str(file))
    for n in (1, 70):  # the batch dimension is dynamic
        probabilities, unsure = session.run(None, {"images": pixels[:n].transpose(0, 2, 3, 1)})
        assert np.abs(probabilities - ours.probabilities(pixels[:n])).max() < 1e-4
        assert (unsure == (probabilities.max(1) < ours.abstain_below)).all()
    names = json.loads(session.get_modelmeta().custom_metadata_map["class_names"])
    assert tuple(names) == ours.class_names


def test_an_onnx_file_predicts_like_the_run(ours, file, pixels, photos):
    opened = OnnxFile(file).classifier()
    assert opened.class_names == ours.class_names
    assert opened.abstain_below == ours.abstain_below
    assert opened.notes == ours.notes
    assert opened.image_size == 32
    assert np.abs(opened.probabilities(pixels) - ours.probabilities(pixels)).max() < 1e-4
    assert opened.probabilities(pixels[:0]).shape == (0, 10)
    (prediction,) = ImagePredictor(OnnxFile(file)).predict([str(photos / "cat" / "00.png")])
    assert len(prediction["top"]) == 3


def test_an_onnx_file_has_no_test_images(file):
    with pytest.raises(InputError, match="not a run, so it has no test images"):
        list(ImagePredictor(OnnxFile(file)).predict([], [0]))


@pytest.mark.parametrize("content", [b"", b"no network", None])
def test_invalid_files_are_rejected(tmp_path, content):
    path = tmp_path / "x.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match="missing, damaged or not an ONNX file"):
        OnnxFile(path).classifier()


def changed(file, path, change):
    model = onnx.load(file)
    change(model)
    onnx.save(model, path)
    return OnnxFile(path)


def without_names(model):
    del model.metadata_props[:]


def with_property(name, value):
    def change(model):
        properties = {entry.key: entry.value for entry in model.metadata_props}
        onnx.helper.set_model_props(model, properties | {name: value})

    return change


def renamed_input(model):
    model.graph.input[0].name = "inputs"
    for node in model.graph.node:
        for index, name in enumerate(node.input):
            if name == "images":
                node.input[index] = "inputs"


@pytest.mark.parametrize(
    "change",
    [
        without_names,
        renamed_input,
        with_property("class_names", '["cat", "dog"]'),
        with_property("class_names", "{not json"),
        with_property("abstain_below", "NaN"),
        with_property("format", "0"),
    ],
)
def test_onnx_files_of_other_programs_are_rejected(file, tmp_path, change):
    with pytest.raises(ModelError, match="not written by `tinysight export`"):
        changed(file, tmp_path / "x.onnx", change).classifier()


def test_external_weights_are_rejected(file, tmp_path):
    model = onnx.load(file)
    onnx.save(model, tmp_path / "x.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    with pytest.raises(ModelError, match="missing, damaged or not an ONNX file"):
        OnnxFile(tmp_path / "x.onnx").classifier()


@given(st.integers(0, 2**32), st.binary(min_size=1, max_size=8))
def test_a_damaged_file_is_rejected_or_opened(file, tmp_path_factory, offset, noise):
    content = bytearray(file.read_bytes())
    offset %= len(content)
    content[offset : offset + len(noise)] = noise
    path = tmp_path_factory.mktemp("damaged") / "x.onnx"
    path.write_bytes(content[: len(content)])
    try:
        opened = OnnxFile(path).classifier()
    except ModelError:
        return
    assert len(opened.class_names) == 10
