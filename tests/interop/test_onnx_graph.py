"""The ONNX graph prepares images of any size as `predict` does, and decides as it does."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from tinysight._util.errors import InputError
from tinysight._util.onnx_session import open_session
from tinysight.data.crops import CENTER_CROP, SIX_CROP, Crop
from tinysight.data.image_io.image_file import extract_crops
from tinysight.interop.exporters import get_exporter
from tinysight.interop.onnx.runtime import Metadata
from tinysight.models.tta import IDENTITY_VIEW, tta_views

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")
assembly = pytest.importorskip("tinysight.interop.onnx.assembly")
assemble, serialize = assembly.assemble, assembly.serialize

SIZE = 16
CROPS = {"one": CENTER_CROP, "six": SIX_CROP, "off center": (Crop(0.1, 0.3), Crop(0.4, 0.9))}


def identity_network(scale=1.0, offset=0.0):
    """Return a network whose logits are all values of the square, times a scale, plus an offset."""
    from onnx import TensorProto, helper

    nodes = [
        helper.make_node("Flatten", ["squares"], ["flat"], axis=1),
        helper.make_node("Mul", ["flat", "scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "offset"], ["logits"]),
    ]
    values = {"scale": np.float32(scale), "offset": np.float32(offset)}
    constants = [onnx.numpy_helper.from_array(np.array(value), name) for name, value in values.items()]
    squares = helper.make_tensor_value_info("squares", TensorProto.FLOAT, ["n", 3, SIZE, SIZE])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", SIZE * SIZE * 3])
    graph = helper.make_graph(nodes, "network", [squares], [logits], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


@pytest.fixture(scope="module", params=CROPS)
def sessions(request):
    """The crops, and sessions of a graph that shows the squares as its logits: plain and with TTA."""
    names = tuple(map(str, range(SIZE * SIZE * 3)))
    sessions = []
    for tta in (False, True):
        metadata = Metadata(class_names=names, image_size=SIZE, crops=CROPS[request.param], tta=tta, abstain_below=0.5)
        model = assemble(identity_network(), metadata, tta_shift=2)
        logits = next(name for node in model.graph.node for name in node.output if name == "network/logits")
        model.graph.output.append(onnx.helper.make_tensor_value_info(logits, onnx.TensorProto.FLOAT, None))
        sessions.append(open_session(serialize(model)))
    return CROPS[request.param], sessions


def softmax(logits):
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def used(crops, squares, height, width):
    """Return the crops that are not copies of the first one, which the graph leaves out."""
    fits = [min(height, width) * (1 - 2 * crop.margin) >= SIZE and (height, width) != (SIZE, SIZE) for crop in crops]
    return np.stack([square for square, fit in zip(squares, [True, *fits[1:]], strict=True) if fit])


@settings(max_examples=10)
@given(st.integers(1, 70), st.integers(1, 70), st.integers(0, 2**32))
@example(1, 1, 0)
@example(SIZE, SIZE, 1)
@example(SIZE, 3 * SIZE, 2)
@example(SIZE + 1, SIZE, 3)  # the vertical pass first
@example(300, 19, 4)
@example(19, 300, 5)
def test_squares_are_those_of_pillow_bit_for_bit(sessions, height, width, seed):
    crops, (plain, with_tta) = sessions
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    squares = extract_crops(Image.fromarray(pixels), (SIZE, SIZE), crops)
    for session, views in ((plain, [IDENTITY_VIEW]), (with_tta, tta_views(2))):
        kept = torch.from_numpy(used(crops, squares, height, width)).float()
        expected = torch.stack([view(kept) for view in views], 1).flatten(2).flatten(0, 1).numpy()
        probabilities, _, logits = session.run(None, {"images": pixels[None]})
        np.testing.assert_array_equal(logits, expected)
        weights = np.array(list(tta_views(2).values()) if session is with_tta else [1.0])
        all_views = np.stack([view(torch.from_numpy(squares).float()).flatten(1).numpy() for view in views], 1)
        mean = softmax((all_views * weights[:, None]).sum(1)).mean(0)
        np.testing.assert_allclose(probabilities[0], mean, atol=1e-5)


def test_images_of_a_batch_do_not_mix(sessions):
    _, (session, _) = sessions
    pixels = np.random.default_rng(0).integers(0, 256, (3, 40, 30, 3), np.uint8)
    together, _, _ = session.run(None, {"images": pixels})
    for image, probabilities in zip(pixels, together, strict=True):
        np.testing.assert_allclose(session.run(None, {"images": image[None]})[0][0], probabilities, atol=1e-6)


@pytest.mark.parametrize(("threshold", "unsure"), [(0.0, False), (2.0, True)])
def test_threshold_decides_about_unsure(threshold, unsure):
    metadata = Metadata(class_names=tuple(map(str, range(SIZE * SIZE * 3))), image_size=SIZE, abstain_below=threshold)
    session = open_session(serialize(assemble(identity_network(), metadata)))
    assert session.run(["unsure"], {"images": np.zeros((2, 20, 30, 3), np.uint8)})[0].tolist() == [unsure, unsure]


@pytest.mark.parametrize("tta", [False, True])
def test_labels_are_decided_by_the_mean_sigmoid_of_the_crops(tta):
    """On an image whose crops differ; the thresholds lie next to the probabilities."""
    pixels = np.random.default_rng(0).integers(0, 256, (60, 50, 3), np.uint8)
    squares = torch.from_numpy(extract_crops(Image.fromarray(pixels), (SIZE, SIZE), SIX_CROP)).float() / 16 - 8
    views = tta_views(2) if tta else {IDENTITY_VIEW: 1.0}
    logits = sum(weight * view(squares).double() for view, weight in views.items())
    expected = logits.sigmoid().mean(0).flatten().numpy()
    above = np.arange(len(expected)) % 2 == 0
    metadata = Metadata(
        class_names=tuple(map(str, range(len(expected)))),
        image_size=SIZE,
        crops=SIX_CROP,
        tta=tta,
        task="multi-label",
        thresholds=tuple(np.clip(np.where(above, expected - 1e-4, expected + 1e-4), 0, 1).tolist()),
    )
    session = open_session(serialize(assemble(identity_network(scale=1 / 16, offset=-8.0), metadata, tta_shift=2)))
    probabilities, labels = session.run(["probabilities", "labels"], {"images": pixels[None]})
    np.testing.assert_allclose(probabilities[0], expected, atol=1e-5)
    np.testing.assert_array_equal(labels[0], above | (expected >= 1 - 1e-4))


@pytest.mark.parametrize("option", ["tta", "int8"])
def test_keras_refuses_the_options_that_it_lacks(option, tmp_path):
    with pytest.raises(InputError, match=rf"export: keras has no {option}\. Leave it out, or export to onnx\."):
        get_exporter("keras").check(tmp_path / "exported", **{option: True})
