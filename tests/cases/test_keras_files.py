"""Cases A2, B4, B5 and B6: Keras models as people have them give the predictions of Keras."""

import dataclasses
import json
import os

import numpy as np
import pytest
from PIL import Image

import tinysight as ts
from tests.cases.conftest import save_keras_2
from tinysight._util.errors import DataError, InputError, ModelError

os.environ.setdefault("KERAS_BACKEND", "torch")
h5py = pytest.importorskip("h5py")
keras = pytest.importorskip("keras")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # raised inside Keras
L = keras.layers
GRAYS = {"dark": 45, "medium": 128, "white": 210}
PIXELS = np.random.default_rng(0).integers(0, 256, (40, 3, 16, 16), dtype=np.uint8)


def sequential(*layers, size=16):
    return keras.Sequential([L.Input((size, size, 3)), *layers])


def randomize(model, seed=0):
    """Set all floating-point weights to random values, with positive variances."""
    random = np.random.default_rng(seed)
    for weight in model.weights:
        if "seed" not in weight.path and weight.path.rpartition("/")[2] != "count":
            scale = 0.1 if len(weight.shape) < 2 else np.sqrt(2 / np.prod(weight.shape[:-1]))
            values = random.normal(0, scale, weight.shape)
            weight.assign(np.abs(values) + 0.5 if "variance" in weight.path else values)
    return model


def outputs_of(model, pixels=PIXELS, scale=255.0, offset=0.0):
    """What Keras returns for the pixels times 1 / scale, plus the offset."""
    images = pixels.transpose(0, 2, 3, 1).astype("float32") / np.float32(scale) + np.float32(offset)
    return np.asarray(model(images, training=False).detach())


def softmax(logits):
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    return exponentials / exponentials.sum(1, keepdims=True)


def save(model, path):
    model.save(path)
    return path


def gray_folder(root):
    """Write 12 noisy images of each gray level."""
    random = np.random.default_rng(0)
    for name, level in GRAYS.items():
        (root / name).mkdir(parents=True)
        for number in range(12):
            noise = random.integers(-30, 31, (40, 48, 3))
            Image.fromarray((level + noise).astype(np.uint8)).save(root / name / f"{number}.png")
    return root


def gray_classifier():
    """A model of pixels of -1..1 that chooses the nearest of the three gray levels; dark is -0.65."""
    levels = np.array([level / 127.5 - 1 for level in GRAYS.values()])
    model = sequential(L.GlobalAveragePooling2D(), L.Dense(3, activation="softmax"))
    model.layers[-1].set_weights([np.tile(20 * levels, (3, 1)), -30 * levels**2])
    return model


def evaluated(run, dataset=None):
    return ts.evaluate(run, dataset).accuracy


def test_a2_stated_pixels_give_the_accuracy_of_keras_and_the_default_warns(tmp_path, tinysight):
    data, path = gray_folder(tmp_path / "grays"), save(gray_classifier(), tmp_path / "m.keras")
    right = tinysight("import", path, "--data", data, "--pixels=-1..1", "--out", "right")
    assert right.code == 0, right.err
    assert "fit badly" not in right.err
    assert "It takes pixels of -1..1 (as given)" in right.out
    assert evaluated("right") == 1.0
    wrong = tinysight("import", path, "--data", data, "--out", "wrong")
    assert wrong.code == 0
    assert "It takes pixels of 0..1 (assumed)" in wrong.out
    assert "import it again with --pixels." in wrong.out
    assert "Pixels of 0..1 fit badly: 33.3% of 30 training images" in wrong.err.replace("\n", " ")
    assert "100.0% with --pixels -1..1." in wrong.err.replace("\n", " ")
    assert evaluated("wrong") == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("pixels", "scale", "offset"),
    [
        ("0..1", 255, 0),
        ("0..255", 1, 0),
        ("-1..1", 127.5, -1),
        ("120,60", 60, -2),
        ("120,120,120,60,60,60", 60, -2),
        ("0,255", 255, 0),
    ],
)
def test_stated_pixels_reach_predictions_exports_and_training_again(pixels, scale, offset, tmp_path):
    model = randomize(sequential(L.Conv2D(4, 3), L.ReLU(), L.Flatten(), L.Dense(3, activation="softmax")))
    run = ts.import_keras(save(model, tmp_path / "m.keras"), out=tmp_path / "run", pixels=pixels)
    expected = outputs_of(model, scale=scale, offset=offset)
    assert np.abs(run.classifier().probabilities(PIXELS) - expected).max() < 1e-4
    assert f"pixels of {'0..1' if pixels == '0,255' else '120,60' if '120' in pixels else pixels} " in (
        run.recipe().description
    )
    exported = keras.models.load_model(ts.export(run, "keras", tmp_path / "exported") / "model.keras")
    assert np.abs(outputs_of(exported, scale=1) - expected).max() < 1e-4
    first = run.recipe().model.layers[0].kind, run.recipe().data.normalization
    assert first == {
        "0..1": ("convolution", "scale"),
        "0,255": ("convolution", "scale"),
        "0..255": ("convolution", "none"),
    }.get(pixels, ("rescaling", "none"))


@pytest.mark.parametrize("text", ["", "0-1", "1", "1,2,3", "1,0", "1,-2", "nan,1", "1,inf", "a,b", "-1..2"])
def test_other_pixels_are_refused_before_anything_is_read(text, tmp_path, tinysight):
    with pytest.raises(InputError) as caught:
        ts.import_keras(tmp_path / "none.keras", pixels=text)
    assert str(caught.value) == (
        f"pixels: {text!r} is not a scaling. Pass 0..1, 0..255, -1..1, or MEAN,STD of pixels from 0 to 255."
    )
    refusal = tinysight("import", "none.keras", f"--pixels={text}").refusal()
    assert refusal.startswith("--pixels: ")


@pytest.mark.parametrize(
    ("layer", "raw"),
    [
        (L.Rescaling(1 / 255), True),
        (L.Rescaling(1 / 127.5, -1), True),
        (L.Rescaling(2.0, -1), False),  # of pixels of 0..1
        (L.Normalization(mean=[0.5, 0.5, 0.4], variance=[0.05, 0.06, 0.07]), False),
        (L.Normalization(mean=[120, 110, 100.0], variance=[4000, 3900.0, 4100]), True),
    ],
)
def test_pixels_are_assumed_by_what_the_first_active_layer_scales(layer, raw, tmp_path):
    model = randomize(sequential(L.RandomFlip(), layer, L.Flatten(), L.Dense(3, activation="softmax")))
    run = ts.import_keras(save(model, tmp_path / "m.keras"), out=tmp_path / "run")
    assert np.abs(run.classifier().probabilities(PIXELS) - outputs_of(model, scale=1 if raw else 255)).max() < 1e-4


@pytest.mark.parametrize("writer", [save, save_keras_2])
@pytest.mark.parametrize("name", ["model.h5", "model.hdf5", "without-suffix"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_b4_whole_h5_is_imported_alone(writer, name, tmp_path, tinysight):
    model = randomize(
        sequential(L.Conv2D(4, 3), L.BatchNormalization(), L.ReLU(), L.Flatten(), L.Dense(3), L.Softmax())
    )
    writer(model, tmp_path / "model.h5").rename(tmp_path / name)
    outcome = tinysight("import", tmp_path / name, "--out", "run")
    assert outcome.code == 0, outcome.err
    assert outcome.next == "tinysight evaluate run --data DIR"
    assert "Its 3 classes have no names. Pass --classes or --data to name them." in outcome.out
    classifier = ts.Run.open("run").classifier()
    assert classifier.class_names == ("class 0", "class 1", "class 2")
    assert np.abs(classifier.probabilities(PIXELS) - outputs_of(model)).max() < 1e-4


def test_b4_h5_of_weights_alone_is_refused_with_the_way_out(tmp_path):
    path = tmp_path / "m.weights.h5"
    sequential(L.Flatten(), L.Dense(3)).save_weights(path)
    with pytest.raises(ModelError, match=r"contains weights without an architecture\. Give the JSON file"):
        ts.import_keras(path, out=tmp_path / "run")


def test_b5_linear_outputs_are_read_as_logits(tmp_path, tinysight):
    model = randomize(sequential(L.Flatten(), L.Dense(3)))
    outcome = tinysight("import", save(model, tmp_path / "m.keras"), "--classes", "a,b,c", "--out", "run")
    assert "its outputs are read as logits." in outcome.out.replace("\n", " ")
    probabilities = ts.Run.open("run").classifier().probabilities(PIXELS)
    assert np.abs(probabilities - softmax(outputs_of(model))).max() < 1e-4


@pytest.mark.parametrize("activation", ["sigmoid", None])
@pytest.mark.parametrize("separate", [False, True])
def test_b5_one_output_is_the_second_of_two_classes(activation, separate, tmp_path):
    last = [L.Dense(1), L.Activation(activation or "linear")] if separate else [L.Dense(1, activation=activation)]
    model = randomize(sequential(L.Conv2D(3, 3), L.Flatten(), *last))
    run = ts.import_keras(save(model, tmp_path / "m.keras"), class_names=["no", "yes"], out=tmp_path / "run")
    second = outputs_of(model)[:, 0]
    expected = second if activation else 1 / (1 + np.exp(-second))
    probabilities = run.classifier().probabilities(PIXELS)
    assert np.abs(probabilities[:, 1] - expected).max() < 1e-4
    assert np.abs(probabilities.sum(1) - 1).max() < 1e-6
    assert {*ts.predict(run, PIXELS).labels} <= {"no", "yes"}


def test_b5_one_sigmoid_per_class_needs_logits_and_keeps_the_order(tmp_path, tinysight):
    model = randomize(sequential(L.Flatten(), L.Dense(3, activation="sigmoid")))
    path = save(model, tmp_path / "m.keras")
    refusal = tinysight("import", path, "--out", "run").refusal()
    assert "one sigmoid per class" in refusal
    assert refusal.endswith("Set --logits to predict the class with the largest output.")
    assert tinysight("import", path, "--out", "run", "--logits").code == 0
    probabilities = ts.Run.open("run").classifier().probabilities(PIXELS)
    assert (probabilities.argmax(1) == outputs_of(model).argmax(1)).all()


@pytest.mark.parametrize("logits", [True, False])
def test_b5_outputs_that_cannot_be_meant_are_refused(logits, tmp_path):
    last = "softmax" if logits else "tanh"
    path = save(sequential(L.Flatten(), L.Dense(3, activation=last)), tmp_path / "m.keras")
    with pytest.raises(ModelError, match="so its outputs are no logits" if logits else "Pass logits=True"):
        ts.import_keras(path, logits=logits, out=tmp_path / "run")
    single = save(sequential(L.Flatten(), L.Dense(1, activation="softmax")), tmp_path / "single.keras")
    with pytest.raises(ModelError, match=r"the only output of the model|no logits"):
        ts.import_keras(single, logits=logits, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def adapted():
    """A normalization whose mean and variance come from images."""
    layer = L.Normalization()
    layer.adapt(PIXELS.transpose(0, 2, 3, 1).astype("float32") / 255)
    return layer


def nested():
    base = sequential(L.Conv2D(4, 3), L.BatchNormalization(), L.ReLU())
    inner = keras.Sequential([L.Input((14, 14, 4)), L.Conv2D(4, 3), keras.Sequential([L.BatchNormalization()])])
    return sequential(adapted(), base, inner, L.Conv2D(2, 3), L.Flatten(), L.Dense(3, activation="softmax"))


def functional():
    image = keras.Input((16, 16, 3))
    features = L.GaussianNoise(0.1)(L.Conv2D(4, 3, activation="relu")(image))
    base = keras.Model(image, features)
    again = keras.Input((16, 16, 3))
    return keras.Model(again, L.Dense(3, activation="softmax")(L.Flatten()(L.SpatialDropout2D(0.2)(base(again)))))


CHAINS = {
    "inactive": lambda: sequential(
        L.RandomFlip(),
        L.RandomRotation(0.1),
        L.RandomZoom(0.1),
        L.RandomContrast(0.1),
        L.RandomTranslation(0.1, 0.1),
        L.RandomBrightness(0.1),
        L.GaussianNoise(0.2),
        L.Conv2D(4, 3),
        L.SpatialDropout2D(0.3),
        L.GaussianDropout(0.2),
        L.ActivityRegularization(0.1),
        L.AlphaDropout(0.1),
        L.Identity(),
        L.Flatten(),
        L.Dense(3, activation="softmax"),
        L.Dropout(0.1),
    ),
    "nested": nested,
    "functional": functional,
    "normalization of one value": lambda: sequential(
        L.Normalization(axis=None, mean=0.4, variance=0.2), L.Flatten(), L.Dense(3, activation="softmax")
    ),
    "resizing": lambda: sequential(L.Resizing(24, 20), L.Conv2D(4, 3), L.Flatten(), L.Dense(3, activation="softmax")),
    "resizing to nearest": lambda: sequential(
        L.Resizing(9, 8, interpolation="nearest"), L.Flatten(), L.Dense(3, activation="softmax")
    ),
    "center crop": lambda: sequential(
        L.Rescaling(2.0), L.CenterCrop(11, 12), L.Conv2D(4, 3), L.Flatten(), L.Dense(3, activation="softmax")
    ),
    "cropping": lambda: sequential(
        L.Conv2D(4, 3), L.Cropping2D(((1, 2), (0, 3))), L.Flatten(), L.Dense(3, activation="softmax")
    ),
    "global pooling last": lambda: sequential(L.Conv2D(3, 3), L.GlobalAveragePooling2D(), L.Softmax()),
    "activation as a layer": lambda: sequential(
        L.Conv2D(4, 3, activation=L.LeakyReLU(negative_slope=0.3)), L.Flatten(), L.Dense(3, activation="softmax")
    ),
}


@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("writer", [save, save_keras_2])
def test_b6_chains_give_the_probabilities_of_keras(name, writer, tmp_path):
    model = CHAINS[name]()
    kept = [layer.get_weights() if isinstance(layer, L.Normalization) else None for layer in model.layers]
    randomize(model)
    for layer, weights in zip(model.layers, kept, strict=True):
        if weights:
            layer.set_weights(weights)
            layer.finalize_state()
    path = writer(model, tmp_path / ("m.keras" if writer is save else "m.h5"))
    run = ts.import_keras(path, out=tmp_path / "run")
    expected = outputs_of(model)
    assert np.abs(run.classifier().probabilities(PIXELS) - expected).max() < 1e-4
    exported = keras.models.load_model(ts.export(run, "keras", tmp_path / "exported") / "model.keras")
    assert np.abs(outputs_of(exported, scale=1) - expected).max() < 1e-4


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda x: L.CenterCrop(4, 4)(L.Conv2D(3, 3)(x)), r"CenterCrop\) is only supported before other layers"),
        (lambda x: L.Resizing(8, 8, interpolation="lanczos3")(x), "'lanczos3' is not supported"),
        (lambda x: L.Resizing(8, 8, crop_to_aspect_ratio=True)(x), "crops or pads to the aspect ratio"),
        (lambda x: L.RandomCrop(8, 8)(x), r"unsupported 'RandomCrop'\. Replace it in Keras by supported layers"),
        (lambda x: L.Softmax()(x), "is not the last one"),
        (lambda x: L.Normalization(mean=0.0, variance=1.0, invert=True)(x), "inverted, is not supported"),
    ],
)
def test_b6_what_is_not_read_is_named_without_a_misleading_hint(model, message, tmp_path):
    image = keras.Input((16, 16, 3), name="image")
    keras.utils.clear_session(free_memory=False)
    built = keras.Model(image, L.Dense(3, activation="softmax")(L.Flatten()(model(image))))
    (tmp_path / "m.json").write_text(built.to_json())
    with pytest.raises(ModelError, match=message) as caught:
        ts.import_keras(tmp_path / "m.json", tmp_path / "none.h5", out=tmp_path / "run")
    assert "Did you mean" not in str(caught.value)


def keras_2_functional(**changes):
    """A functional model in the JSON of Keras 2, its layers not in the order in which they run."""
    dense = {"name": "d", "units": 3, "activation": "softmax"}
    layers = [
        ("InputLayer", {"name": "x", "batch_input_shape": [None, 16, 16, 3]}, []),
        ("Dense", dense, [[["f", 0, 0, {}]]]),
        ("Flatten", {"name": "f"}, [[["c", 0, 0, {}]]]),
        ("Conv2D", {"name": "c", "filters": 2, "kernel_size": [3, 3]}, [[["x", 0, 0, {}]]]),
    ]
    entries = [
        {
            "class_name": kind,
            "config": config,
            "name": config["name"],
            "inbound_nodes": changes.get(config["name"], nodes),
        }
        for kind, config, nodes in layers
    ]
    ends = {"input_layers": [["x", 0, 0]], "output_layers": [["d", 0, 0]]}
    config = {"name": "model", "layers": entries} | ends | {k: v for k, v in changes.items() if k in ends}
    return json.dumps({"class_name": "Functional", "config": config})


def test_b6_functional_json_of_keras_2_is_read_in_the_order_of_its_graph(tmp_path):
    model = randomize(sequential(L.Conv2D(2, 3, name="c"), L.Flatten(), L.Dense(3, activation="softmax", name="d")))
    (tmp_path / "m.json").write_text(keras_2_functional())
    save_keras_2(model, tmp_path / "m.h5")
    run = ts.import_keras(tmp_path / "m.json", tmp_path / "m.h5", out=tmp_path / "run")
    assert np.abs(run.classifier().probabilities(PIXELS) - outputs_of(model)).max() < 1e-4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"f": [[["d", 0, 0, {}]]]}, "the layers form a loop"),
        (
            {"f": [[["c", 1, 0, {}]]], "c": [[["x", 0, 0, {}]], [["c", 0, 0, {}]]]},
            r"layer 2 \(Conv2D\), named 'c', is used several times with the same weights\. Use a layer of its own",
        ),
        ({"f": [[["none", 0, 0, {}]]]}, "not a Keras architecture that can be read"),
        ({"f": [[["c", 0, 0, {}], ["x", 0, 0, {}]]]}, r"layer 3 \(Flatten\) takes 2 tensors"),
        ({"f": None}, r"layer 'f' \(Flatten\) takes no tensor"),
        ({"output_layers": [["d", 0, 0], ["f", 0, 0]]}, "1 inputs and 2 outputs"),
        ({"input_layers": []}, "0 inputs and 1 outputs"),
    ],
)
def test_b6_graph_that_cannot_be_read_is_refused(changes, message, tmp_path):
    (tmp_path / "m.json").write_text(keras_2_functional(**changes))
    with pytest.raises(ModelError, match=message):
        ts.import_keras(tmp_path / "m.json", tmp_path / "none.h5", out=tmp_path / "run")


def test_models_nested_without_end_and_damaged_files_are_refused(tmp_path, tinysight):
    values = {"class_name": "Flatten", "config": {"batch_shape": [None, 16, 16, 3]}}
    for _ in range(50):
        values = {"class_name": "Sequential", "config": {"name": "s", "layers": [values]}}
    (tmp_path / "deep.json").write_text(json.dumps(values))
    assert "nested more than 10 deep" in tinysight("import", tmp_path / "deep.json", "w.h5").refusal()
    whole = save_keras_2(sequential(L.Flatten(), L.Dense(3)), tmp_path / "m.h5").read_bytes()
    for name, content in (("cut.h5", whole[:3000]), ("empty.h5", b""), ("zip.keras", b"PK\x03\x04" + bytes(50))):
        (tmp_path / name).write_bytes(content)
        assert "missing, damaged or not" in tinysight("import", tmp_path / name, "--out", "run").refusal()
    with h5py.File(tmp_path / "m.h5", "r+") as file:
        file.attrs["model_config"] = b"\xff{"
    assert tinysight("import", tmp_path / "m.h5", "--out", "run").refusal()


@pytest.fixture
def by_channel(tmp_path):
    """A model whose outputs are the mean blue, red and green, saved."""
    model = sequential(L.GlobalAveragePooling2D(), L.Dense(3, activation="softmax"))
    kernel = np.zeros((3, 3))
    kernel[2, 0] = kernel[0, 1] = kernel[1, 2] = 20
    model.layers[-1].set_weights([kernel, np.zeros(3)])
    return save(model, tmp_path / "m.keras")


def test_classes_in_another_order_are_matched_by_name(by_channel, folder, tmp_path, tinysight):
    data = folder(tmp_path / "data", 10)
    assert tinysight("import", by_channel, "--data", data, "--classes", "blue,red,green", "--out", "run").code == 0
    assert evaluated("run") == 1.0
    assert evaluated("run", data) == 1.0
    matrix = ts.Run.open("run").metrics().confusion_matrix
    assert matrix == ((2, 0, 0), (0, 2, 0), (0, 0, 2))
    with pytest.raises(DataError, match=r"has the classes blue, green, red, but the classifier has a, b, c"):
        ts.import_keras(by_channel, dataset=data, class_names=["a", "b", "c"], out=tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_import_without_data_reads_no_images_and_later_commands_ask_for_them(by_channel, folder, tmp_path, tinysight):
    data = folder(tmp_path / "data", 10)
    assert tinysight("import", by_channel, "--classes", "blue,red,green", "--out", "run").code == 0
    record = ts.Run.open("run").environment().dataset
    assert (record.name, record.argument) == ("not stated", ":none:")
    sentence = "run: was imported without images. Set --data, or import it again with one."
    assert tinysight("evaluate", "run").refusal() == sentence
    outcome = tinysight("evaluate", "run", "--data", data)
    assert "test accuracy 100.0%" in outcome.out
    assert not ts.Run.open("run").is_evaluated
    image = data / "red" / "0.png"
    (prediction,) = json.loads(tinysight("predict", "run", image, "--json").out)["predictions"]
    assert prediction["top"][0]["class"] == "red"
    card = tinysight("card", "run")
    assert card.code == 0
    assert "cifar" not in card.out.lower()
    assert tinysight("summary", "run").code == 0
    for command, *arguments in (["audit"], ["report"], ["explain", image], ["predict", "--test-index", 0]):
        assert tinysight(command, "run", *arguments).refusal() == sentence
    assert tinysight("audit", "run", "--data", data, "--minutes", 0.05).code == 0
    assert tinysight("report", "run", "--data", data).code == 0
    assert tinysight("explain", "run", "--test-index", 0, "--data", data).code == 0
    predicted = tinysight("predict", "run", "--test-index", 0, "--data", data, "--json")
    (prediction,) = json.loads(predicted.out)["predictions"]
    assert prediction["label"] == prediction["top"][0]["class"]


def test_images_of_unnamed_classes_are_never_matched_by_position(by_channel, folder, tmp_path, tinysight):
    data = folder(tmp_path / "data", 10)
    assert tinysight("import", by_channel, "--out", "run").code == 0
    for command in ("evaluate", "report", "audit"):
        assert tinysight(command, "run", "--data", data).refusal() == (
            f"image files in {data}: has the classes blue, green, red, but run was imported with the classes class 0, "
            "class 1, class 2. Import it again with this dataset, or with its class names."
        )
    for size, problem in ((8, "has images of 8 x 8 pixels"), (16, "has the classes blue, green, red")):
        with pytest.raises(DataError, match=problem):
            ts.report("run", ts.load_dataset(data, size) if size == 16 else renamed(ts.load_dataset(data, size)))


def renamed(dataset):
    """A dataset with the class names that an import gives."""
    return dataclasses.replace(dataset, class_names=("class 0", "class 1", "class 2"))


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("window", [(2, 2), (4, 4), (2, 3), (5, 4)])
@pytest.mark.parametrize("size", [15, 16])
def test_average_pooling_excludes_uneven_padding(window, stride, size, tmp_path):
    """The mean of the pixels inside is their sum over their number: two convolutions of ones, in Keras.

    `AveragePooling2D` itself has this meaning in TensorFlow and JAX, but not with the torch backend of Keras.
    """
    pooling = L.AveragePooling2D(window, stride, padding="same")
    model = randomize(sequential(pooling, L.Flatten(), L.Dense(3, activation="softmax"), size=size))
    pixels = np.random.default_rng(0).integers(0, 256, (20, 3, size, size), dtype=np.uint8)
    images = keras.ops.convert_to_tensor(pixels.transpose(0, 2, 3, 1).astype("float32") / 255)
    ones = np.ones((*window, 3, 1), "float32")
    total, count = (
        keras.ops.depthwise_conv(part, ones, stride, padding="same") for part in (images, keras.ops.ones_like(images))
    )
    expected = np.asarray(model.layers[2](model.layers[1](total / count)).detach())
    run = ts.import_keras(save(model, tmp_path / "m.keras"), out=tmp_path / "run")
    assert np.abs(run.classifier().probabilities(pixels) - expected).max() < 1e-5
