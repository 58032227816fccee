"""Keras import and export give the probabilities of Keras."""

import functools
import json

import numpy as np
import pytest

from tinysight._util.errors import InputError, ModelError
from tinysight.data.load import load
from tinysight.data.sources import shapes
from tinysight.interop.keras.architecture import parse_architecture, read_architecture
from tinysight.interop.keras.files import KerasFiles
from tinysight.interop.keras.importer import import_model

h5py = pytest.importorskip("h5py")
keras = pytest.importorskip("keras")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # raised inside Keras
L = keras.layers
NOTEBOOKS = ("simple", "deep", "strided", "early-stopping")


@functools.cache
def render_pixels():
    return shapes.render_shapes(1000, seed=5).pixels


@pytest.fixture(scope="module")
def pixels():
    return render_pixels()


@pytest.fixture(scope="module")
def dataset():
    return load("shapes:train=20,test=10")


def notebook(name):
    """Build a notebook network in Keras."""
    if name == "early-stopping":
        layers = [
            L.Conv2D(32, 4, activation="relu"),
            L.MaxPooling2D(),
            L.Conv2D(32, 4, activation="relu"),
            L.MaxPooling2D(),
            L.Flatten(),
            L.Dense(256, activation="relu"),
            L.Dense(10, activation="softmax"),
        ]
        return keras.Sequential([L.Input((32, 32, 3)), *layers])
    body = [L.Input((32, 32, 3)), L.Conv2D(32, 3, padding="same"), L.Activation("relu")]
    if name != "simple":
        body += [L.Conv2D(32, 3, padding="same"), L.Activation("relu")]
    body += [L.MaxPooling2D(), L.Dropout(0.25)]
    if name != "simple":
        body += [L.Conv2D(64, 3, padding="same"), L.Activation("relu")]
        body += [L.Conv2D(64, 3, strides=3 if name == "strided" else 1), L.Activation("relu")]
        body += [L.MaxPooling2D(), L.Dropout(0.25)]
    head = [L.Flatten(), L.Dense(512), L.Activation("relu"), L.Dropout(0.5), L.Dense(10), L.Activation("softmax")]
    return keras.Sequential([*body, *head])


def every_layer():
    """A network with each supported layer, with padding and strides that differ from torch."""
    layers = [
        L.Rescaling(1 / 127.5, offset=-1),
        L.ZeroPadding2D(((1, 2), (0, 3))),
        L.Conv2D(8, 4, strides=2, padding="same"),
        L.BatchNormalization(),
        L.LeakyReLU(negative_slope=0.1),
        L.DepthwiseConv2D(3, padding="same", depth_multiplier=2),
        L.BatchNormalization(scale=False, epsilon=0.01),
        L.ELU(alpha=0.7),
        L.SeparableConv2D(12, 3, padding="same", depth_multiplier=2),
        L.ReLU(max_value=4.0),
        L.MaxPooling2D(3, 2, padding="same"),
        L.Conv2D(12, 3, groups=2, dilation_rate=2, padding="same", use_bias=False),
        L.Activation("gelu"),
        L.AveragePooling2D(3, 2, padding="same"),
        L.Dropout(0.3),
        L.GlobalAveragePooling2D(),
        L.Dense(20, activation="tanh"),
        L.BatchNormalization(center=False),
        L.Dense(10),
        L.Softmax(),
    ]
    return keras.Sequential([L.Input((32, 32, 3)), *layers])


def randomize(model, seed=0):
    """Set all weights to random values of typical scale, with positive variances."""
    random = np.random.default_rng(seed)

    def sample(weight, shape):
        if "variance" in weight.path:
            return np.abs(random.normal(1, 0.2, shape))
        return random.normal(0, 0.2 if len(shape) == 1 else np.sqrt(2 / np.prod(shape[:-1])), shape)

    for layer in model.layers:
        layer.set_weights([sample(weight, weight.shape) for weight in layer.weights])
    return model


@functools.cache
def random_model(name):
    """A network with random weights, built once: a notebook's, or "every layer". Tests must not change it."""
    return randomize(every_layer(), seed=1) if name == "every layer" else randomize(notebook(name))


def save_keras_2(model, path, nested=False):
    """Write weights in the layout of Keras 1 and 2: one group per layer, with lists of names."""
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights") if nested else file
        root.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        for layer in model.layers:
            group = root.create_group(layer.name)
            names = [f"{layer.name}/{weight.name}:0" for weight in layer.weights]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, values in zip(names, layer.get_weights(), strict=True):
                group.create_dataset(name, data=values)


@pytest.fixture
def saved(tmp_path):
    """A function that saves a model in a layout and returns the paths of architecture and weights."""

    def save(model, layout="3"):
        architecture = tmp_path / "architecture.json"
        architecture.write_text(model.to_json())
        if layout == "keras":
            model.save(tmp_path / "model.keras")
            return tmp_path / "model.keras", None
        weights = tmp_path / f"{layout}.weights.h5"
        if layout == "3":
            model.save_weights(weights)
        else:
            save_keras_2(model, weights, nested=layout == "2, whole model")
        return architecture, weights

    return save


@functools.cache
def random_model_probabilities(name):
    """Keras's probabilities of `random_model`, for the images of `pixels`."""
    return expected(random_model(name), render_pixels(), raw=name == "every layer")


def expected(model, pixels, raw=False):
    images = pixels.transpose(0, 2, 3, 1).astype("float32")
    return np.asarray(model(images if raw else images / 255, training=False).detach())


@pytest.mark.parametrize("layout", ["3", "2", "2, whole model", "keras"])
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_imported_notebook_networks_give_the_same_probabilities(name, layout, saved, pixels, dataset, tmp_path):
    run = import_model(KerasFiles.open(*saved(random_model(name), layout)), tmp_path / "run", dataset, "shapes")
    assert np.abs(run.classifier().probabilities(pixels) - random_model_probabilities(name)).max() < 1e-4


@pytest.mark.parametrize("layout", ["3", "2"])
def test_every_supported_layer_gives_the_same_probabilities(layout, saved, pixels, dataset, tmp_path):
    model = random_model("every layer")
    run = import_model(KerasFiles.open(*saved(model, layout)), tmp_path / "run", dataset, "shapes")
    assert np.abs(run.classifier().probabilities(pixels) - random_model_probabilities("every layer")).max() < 1e-4


def keras_1(**changes):
    """An architecture in the JSON of Keras 1."""
    first = {"nb_filter": 4, "nb_row": 3, "nb_col": 3, "border_mode": "same", "subsample": [1, 1], "dim_ordering": "tf"}
    steps = [
        ("Convolution2D", {**first, "batch_input_shape": [None, 32, 32, 3], "bias": True, "activation": "linear"}),
        ("Activation", {"activation": "relu"}),
        ("MaxPooling2D", {"pool_size": [2, 2], "strides": [2, 2], "border_mode": "valid", "dim_ordering": "tf"}),
        ("Dropout", {"p": 0.25}),
        ("Flatten", {}),
        ("Dense", {"output_dim": 10, "activation": "softmax"}),
    ]
    config = [{"class_name": name, "config": {"name": name.lower(), **values}} for name, values in steps]
    return json.dumps({"class_name": "Sequential", "keras_version": "1.2.2", "config": config, **changes})


def test_keras_1_argument_names_are_supported():
    architecture = parse_architecture(keras_1(), "old.json")
    assert [layer.kind for layer in architecture.layer_specs] == [
        "convolution",
        "activation",
        "max_pooling",
        "dropout",
        "flatten",
        "dense",
    ]
    assert architecture.layer_specs[0].padding == "same"
    assert architecture.image_size == 32


def with_layer(name, **config):
    values = json.loads(keras_1())
    values["config"].insert(1, {"class_name": name, "config": {"name": "x", **config}})
    return json.dumps(values)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "is not a Keras model"),
        ('{"class_name": "Functional"}', "not a Keras architecture that can be read"),
        ('{"class_name": "Sequential", "config": {}}', "not a Keras architecture that can be read"),
        ('{"class_name": "Sequential", "config": []}', "not a Keras architecture that can be read"),
        (with_layer("Lambda", function="os.system"), "layer 2 is an unsupported 'Lambda'"),
        (with_layer("LSTM"), "layer 2 is an unsupported 'LSTM'"),
        (with_layer("Activation", activation="mish"), "'mish' is not supported"),
        (with_layer("Activation", activation="softmax"), "'softmax' is not supported"),
        (with_layer("ReLU", threshold=1.0), "threshold"),
        (with_layer("MaxPooling2D", data_format="channels_first"), "channels first"),
        (keras_1().replace("32, 32, 3]", "32, 30, 3]"), "Only square color images"),
        (keras_1().replace('"softmax"', '"tanh"'), "ends in 'tanh', not in a softmax"),
        (keras_1().replace('"nb_filter": 4', '"nb_filter": 100000000'), "not a Keras architecture"),
        (keras_1().replace('"nb_filter": 4', '"nb_filter": "4; import os"'), "not a Keras architecture"),
    ],
)
def test_unsupported_architectures_are_rejected(text, message):
    with pytest.raises(ModelError, match=message):
        parse_architecture(text, "model.json")


@pytest.fixture
def paths(saved):
    """The paths of a small model in the layout of Keras 2."""
    return saved(random_model("early-stopping"), "2")


def modify(weights, change):
    with h5py.File(weights, "r+") as file:
        change(file, next(name for name in file if name.startswith("conv2d")))


def replaced(make):
    """A change that replaces the first kernel."""

    def change(file, layer):
        group, name = file[layer], file[layer].attrs["weight_names"][0]
        kernel = group[name][...]
        del group[name]
        make(group, name if isinstance(name, str) else name.decode(), kernel)

    return change


DAMAGED = {
    "soft link": (
        replaced(lambda group, name, kernel: group.__setitem__(name, h5py.SoftLink("/dense"))),
        "a link, which is not followed",
    ),
    "external link": (
        replaced(lambda group, name, kernel: group.__setitem__(name, h5py.ExternalLink("other.h5", "/x"))),
        "a link, which is not followed",
    ),
    "a different shape": (
        replaced(lambda group, name, kernel: group.create_dataset(name, data=kernel[..., :-1])),
        "its shape is",
    ),
    "an enormous shape": (
        replaced(lambda group, name, kernel: group.create_dataset(name, (2**20, 2**20), "f4", chunks=(64, 64))),
        "its shape is",
    ),
    "text": (
        replaced(lambda group, name, kernel: group.create_dataset(name, kernel.shape, dtype="S4")),
        "not floating point",
    ),
    "not a number": (
        replaced(lambda group, name, kernel: group.create_dataset(name, data=kernel * np.nan)),
        "not finite",
    ),
    "nothing": (replaced(lambda group, name, kernel: None), "missing. Give"),
    "one layer fewer": (lambda file, layer: file[layer].attrs.__setitem__("weight_names", []), "weights of 3 layers"),
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_invalid_weights_are_rejected(damage, paths, dataset, tmp_path):
    change, message = DAMAGED[damage]
    modify(paths[1], change)
    with pytest.raises(ModelError, match=message):
        import_model(KerasFiles.open(*paths), tmp_path / "run", dataset, "shapes")
    assert not (tmp_path / "run").exists()


def test_external_arrays_are_rejected(paths, dataset, tmp_path):
    (tmp_path / "secret").write_bytes(bytes(4 * 4 * 4 * 3 * 32))
    external = replaced(
        lambda group, name, kernel: group.create_dataset(
            name, kernel.shape, "f4", external=[(str(tmp_path / "secret"), 0, h5py.h5f.UNLIMITED)]
        )
    )
    modify(paths[1], external)
    with pytest.raises(ModelError, match="not an array stored in this file"):
        import_model(KerasFiles.open(*paths), tmp_path / "run", dataset, "shapes")


def test_truncated_weights_are_rejected(paths, dataset, tmp_path):
    paths[1].write_bytes(paths[1].read_bytes()[:5000])
    with pytest.raises(ModelError, match="missing, damaged or not an HDF5 file"):
        import_model(KerasFiles.open(*paths), tmp_path / "run", dataset, "shapes")


def test_wrong_number_of_class_names_is_rejected(paths, dataset, tmp_path):
    with pytest.raises(InputError, match="it has 10 outputs, but there are 2 class names"):
        import_model(KerasFiles.open(*paths), tmp_path / "run", dataset, "shapes", ["cat", "dog"])


def test_missing_files_are_named_in_errors(tmp_path):
    with pytest.raises(ModelError, match=r"none\.json: cannot be read"):
        read_architecture(tmp_path / "none.json")
    with pytest.raises(ModelError, match=r"none\.keras: missing"):
        KerasFiles.open(tmp_path / "none.keras", None)
    with pytest.raises(ModelError, match="Give its weights file"):
        KerasFiles.open(tmp_path / "none.json", None)
