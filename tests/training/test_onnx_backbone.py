"""A user's ONNX file as a backbone: what is accepted, the probe, and what is refused."""

import numpy as np
import pytest
import torch
from PIL import Image

import tinysight as ts
from tinysight._util.errors import InputError, ModelError, RecipeError
from tinysight.models.network import embed
from tinysight.models.pretrained import IMAGENET_MEAN, IMAGENET_STD

onnx = pytest.importorskip("onnx", reason="the extra 'onnx' is not installed")
pytest.importorskip("onnxruntime", reason="the extra 'onnx' is not installed")
helper, FLOAT = onnx.helper, onnx.TensorProto.FLOAT

DATA = "shapes:train=60,test=20"
FILTERS = np.random.default_rng(0).normal(size=(6, 3, 4, 4)).astype(np.float32)


def write(path, shape=("n", 3, "height", "width"), pool=True, channels_last=False, kind=FLOAT, outputs=1, to=None):
    """Write a network of one convolution with stride 4 and ReLU, and global average pooling, "flatten" or neither."""
    nodes = [helper.make_node("Transpose", ["images"], ["planes"], perm=[0, 3, 1, 2])] if channels_last else []
    nodes += [
        helper.make_node("Conv", ["planes" if channels_last else "images", "filters"], ["maps"], strides=[4, 4]),
        helper.make_node("Relu", ["maps"], ["active"]),
    ]
    last = "active"
    if pool == "flatten":
        nodes += [helper.make_node("Flatten", ["active"], ["flat"])]
        last = "flat"
    elif pool:
        nodes += [helper.make_node("ReduceMean", ["active", "sides"], ["pooled"], keepdims=0)]
        last = "pooled"
    elif channels_last:
        nodes += [helper.make_node("Transpose", ["active"], ["last"], perm=[0, 2, 3, 1])]
        last = "last"
    results = [helper.make_tensor_value_info(last, FLOAT, None), helper.make_tensor_value_info("maps", FLOAT, None)]
    graph = helper.make_graph(
        nodes,
        "features",
        [helper.make_tensor_value_info("images", kind, shape)],
        results[:outputs],
        [
            onnx.numpy_helper.from_array(FILTERS, "filters"),
            onnx.numpy_helper.from_array(np.array([2, 3]), "sides"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path, save_as_external_data=to is not None, location=to, size_threshold=0)
    return path


def reference(pixels, mean, std):
    """The features of uint8 images (n, 3, height, width), computed by torch."""
    images = (torch.from_numpy(pixels).float() - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    return torch.nn.functional.conv2d(images, torch.from_numpy(FILTERS), stride=4).relu().mean((2, 3))


def probe(path, file, *overrides, recipe="probe", **options):
    changes = [f"model.backbone={file}", "data.normalization=imagenet", *overrides]
    return ts.train(recipe, DATA, out=path, overrides=changes, **options)


def features(run, pixels):
    classifier = run.classifier()
    with torch.inference_mode():
        return embed(classifier.network.eval(), classifier.spec.normalization(torch.from_numpy(pixels).float()))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A probe of a file that no longer exists."""
    folder = tmp_path_factory.mktemp("probe")
    file = write(folder / "features.onnx")
    run = probe(folder / "run", file, "data.image_size=32")
    file.unlink()
    return run


def test_run_contains_the_file(run):
    pixels = ts.load_dataset(DATA, image_size=32).test.pixels
    torch.testing.assert_close(
        features(run, pixels), reference(pixels, IMAGENET_MEAN, IMAGENET_STD), atol=1e-4, rtol=1e-4
    )


def test_run_is_evaluated_and_predicts(run, tmp_path):
    assert ts.evaluate(run).n == 20
    pixels = ts.load_dataset(DATA, image_size=32).test.pixels
    Image.fromarray(pixels[0].transpose(1, 2, 0)).save(tmp_path / "shape.png")
    (alone,) = ts.predict(run, [tmp_path / "shape.png"]).probabilities
    assert alone == pytest.approx(ts.predict(run, pixels).probabilities[0], abs=1e-5)


def test_card_names_the_file_and_its_checksum(run):
    sha256 = run.recipe().model.extractor.sha256
    assert (
        f"The features come from the ONNX file features.onnx (SHA-256 {sha256}), which is a part of the run. Its "
        "license and the images that it was trained on are not stated."
    ) in ts.card(run).to_markdown()


def test_run_is_a_backbone_of_other_probes(run, tmp_path):
    later = ts.train("probe", DATA, out=tmp_path / "run", overrides=[f"model.backbone={run.path}"])
    pixels = ts.load_dataset(DATA, image_size=32).test.pixels
    assert torch.equal(features(later, pixels), features(run, pixels))


@pytest.mark.parametrize(
    "layout",
    [
        {"shape": (1, 3, "height", "width")},
        {"shape": ("n", "height", "width", 3), "channels_last": True},
        {"pool": False},
        {"shape": ("n", "height", "width", 3), "channels_last": True, "pool": False},
    ],
    ids=str,
)
def test_features_do_not_depend_on_the_layout_of_the_file(layout, run, tmp_path):
    other = probe(tmp_path / "run", write(tmp_path / "other.onnx", **layout), "data.image_size=32")
    pixels = ts.load_dataset(DATA, image_size=32).test.pixels
    torch.testing.assert_close(features(other, pixels), features(run, pixels), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("normalization", "mean", "std"),
    [("scale", 0.0, 255.0), ("symmetric", 127.5, 127.5), ("none", 0.0, 1.0)],
)
def test_normalization_is_that_of_the_recipe(normalization, mean, std, tmp_path):
    file = write(tmp_path / "features.onnx")
    run = probe(tmp_path / "run", file, "data.image_size=16", f"data.normalization={normalization}")
    pixels = ts.load_dataset(DATA, image_size=16).test.pixels
    torch.testing.assert_close(features(run, pixels), reference(pixels, [mean] * 3, [std] * 3), atol=1e-3, rtol=1e-4)


def test_images_get_the_size_that_the_file_takes(tmp_path):
    run = probe(tmp_path / "run", write(tmp_path / "features.onnx", ("n", 3, 48, 48)))
    assert run.recipe().data.image_size == 48


def test_images_of_another_fixed_size_are_resized_by_the_network(tmp_path):
    dataset = ts.load_dataset(DATA, image_size=16)
    file = write(tmp_path / "features.onnx", ("n", 3, 32, 32))
    run = ts.train(
        "probe", dataset, out=tmp_path / "run", overrides=[f"model.backbone={file}", "data.normalization=none"]
    )
    assert (run.recipe().data.image_size, run.recipe().model.input_size) == (16, 32)
    images = torch.nn.functional.interpolate(torch.from_numpy(dataset.test.pixels).float(), (32, 32), mode="bilinear")
    torch.testing.assert_close(features(run, dataset.test.pixels), reference(images.numpy(), [0.0] * 3, [1.0] * 3))


@pytest.mark.parametrize("recipe", ["finetune", "auto"])
def test_training_of_the_file_is_refused(recipe, run, tmp_path):
    for backbone in (write(tmp_path / "features.onnx"), run.path):
        with pytest.raises(RecipeError) as caught:
            probe(tmp_path / "run", backbone, recipe=recipe, minutes=1)
        assert str(caught.value) == (
            f"training.method {recipe}: the network of an ONNX file cannot be trained. Set training.method to probe, "
            "or use another backbone."
        )


def test_export_is_refused(run, tmp_path):
    with pytest.raises(ModelError) as caught:
        ts.export(run, "onnx", tmp_path / "model.onnx")
    assert str(caught.value) == (
        "export: the features of this run come from an ONNX file of yours, which is not merged with the last layer. "
        "Use the run itself."
    )


def test_unknown_normalization_is_refused(tmp_path):
    file = write(tmp_path / "features.onnx")
    with pytest.raises(RecipeError) as caught:
        ts.train("probe", DATA, out=tmp_path / "run", overrides=[f"model.backbone={file}"])
    assert str(caught.value) == (
        "data.normalization: features.onnx does not state how the images of its training were normalized. Set it to "
        "imagenet, symmetric, scale or none."
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"shape": ("n", 4, 8, 8)},
            r"its input has the shape \('n', 4, 8, 8\), which is neither \(n, 3, height, width\)",
        ),
        ({"shape": (8, 3, 8, 8)}, r"its input has the shape \(8, 3, 8, 8\), .* takes batches of any size"),
        ({"shape": ("n", 3, 8, 16)}, r"takes images of 8x16\. Export a network that takes squares, or any size"),
        ({"outputs": 2}, r"has 1 inputs and 2 outputs\. Export a network with one input, the images, and one output"),
        ({"kind": onnx.TensorProto.FLOAT16}, r"damaged, not an ONNX file, or in several files"),
        ({"to": "weights.bin"}, r"damaged, not an ONNX file, or in several files"),
        ({"shape": ("n", 3, 2, 2)}, r"fails at images of 3x2x2 .*Set data\.image_size to the size"),
    ],
    ids=str,
)
def test_files_that_do_not_fit_are_refused(change, sentence, tmp_path):
    with pytest.raises(ModelError, match=rf"features\.onnx: {sentence}"):
        probe(tmp_path / "run", write(tmp_path / "features.onnx", **change))


def test_features_whose_number_depends_on_the_size_are_refused(tmp_path):
    with pytest.raises(ModelError) as caught:
        probe(tmp_path / "run", write(tmp_path / "features.onnx", pool="flatten"), "data.image_size=32")
    assert str(caught.value) == (
        "model.backbone: returns 384 features for images of 32x32, and 18816 for 224x224. Export the pooled features."
    )


def test_exported_run_is_refused(trained, tmp_path):
    pytest.importorskip("onnxscript", reason="the extra 'onnx' is not installed")
    file = ts.export(ts.Run.open(trained), "onnx", tmp_path / "run.onnx")
    with pytest.raises(ModelError, match=r"run\.onnx: "):
        probe(tmp_path / "run", file)


def test_file_that_changed_is_refused(tmp_path, monkeypatch):
    """As in an audit, which trains again."""
    from tinysight.models.registry import build_network
    from tinysight.recipes.loading import load_with_overrides
    from tinysight.training.backbone import OnnxBackbone, with_backbone

    file = write(tmp_path / "features.onnx")
    recipe = with_backbone(load_with_overrides("probe", [f"model.backbone={file}", "data.normalization=none"]))
    network = build_network(recipe.model, 3, 32)
    write(file, pool=False)
    with pytest.raises(ModelError, match=r"features\.onnx: was changed since the recipe was resolved"):
        OnnxBackbone(file).load_into(network, ("a", "b", "c"))


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(RecipeError, match=r"model\.backbone: 'none\.onnx' is neither a run, nor an ONNX file"):
        probe(tmp_path / "run", "none.onnx")


def test_architecture_without_a_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="architecture 'onnx' and extractor require each other"):
        ts.train("simple", DATA, out=tmp_path / "run", overrides=["model.architecture=onnx"])
