"""Keras models come in and go out, and say the same: held against Keras itself."""

import json

import numpy as np
import pytest

from tinysight.data import shapes
from tinysight.data.load import load
from tinysight.errors import InputError, ModelError
from tinysight.interop.keras.architecture import parse_architecture, read_architecture
from tinysight.interop.keras.exporting import to_keras
from tinysight.interop.keras.importing import Sources, import_model
from tinysight.interop.plain import plain

h5py = pytest.importorskip("h5py")
keras = pytest.importorskip("keras")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras' own
L = keras.layers
NOTEBOOKS = ("simple", "deep", "strided", "early-stopping")


@pytest.fixture(scope="module")
def pixels():
    return shapes.draw(1000, seed=5).pixels


@pytest.fixture(scope="module")
def dataset():
    return load("shapes:train=20,test=10")


def notebook(name):
    """The networks of the notebooks, as their peer builds them."""
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
    """A network with each layer on the list, padded and strided in ways that differ from torch's."""
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


def randomised(model, seed=0):
    """Give every weight a value of a usual size that a mistake would show, variances above zero."""
    random = np.random.default_rng(seed)

    def drawn(weight, shape):
        if "variance" in weight.path:
            return np.abs(random.normal(1, 0.2, shape))
        return random.normal(0, 0.2 if len(shape) == 1 else np.sqrt(2 / np.prod(shape[:-1])), shape)

    for layer in model.layers:
        layer.set_weights([drawn(weight, weight.shape) for weight in layer.weights])
    return model


def keras_2_layout(model, path, nested=False):
    """Write weights as Keras 1 and 2 did: a group a layer, and lists of names."""
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
    """Return a function that saves a model in a layout, and returns what `import` is given."""

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
            keras_2_layout(model, weights, nested=layout == "2, whole model")
        return architecture, weights

    return save


def expected(model, pixels, raw=False):
    images = pixels.transpose(0, 2, 3, 1).astype("float32")
    return np.asarray(model(images if raw else images / 255, training=False).detach())


@pytest.mark.parametrize("layout", ["3", "2", "2, whole model", "keras"])
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_notebooks_networks_say_what_they_said(name, layout, saved, pixels, dataset, tmp_path):
    model = randomised(notebook(name))
    run = import_model(Sources.of(*saved(model, layout)), tmp_path / "run", dataset, "shapes")
    assert np.abs(run.classifier().probabilities(pixels) - expected(model, pixels)).max() < 1e-4


@pytest.mark.parametrize("layout", ["3", "2"])
def test_every_layer_on_the_list_does_what_it_did(layout, saved, pixels, dataset, tmp_path):
    model = randomised(every_layer(), seed=1)
    run = import_model(Sources.of(*saved(model, layout)), tmp_path / "run", dataset, "shapes")
    assert np.abs(run.classifier().probabilities(pixels) - expected(model, pixels, raw=True)).max() < 1e-4


def test_every_network_of_ours_says_the_same_in_keras(classifier, pixels):
    assert (
        np.abs(expected(to_keras(plain(classifier)), pixels, raw=True) - classifier.probabilities(pixels)).max() < 1e-4
    )


def keras_1(**changes):
    """An architecture as Keras 1 wrote it."""
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


def test_the_words_of_keras_1_mean_the_same():
    read = parse_architecture(keras_1(), "old.json")
    assert [layer.kind for layer in read.description] == [
        "convolution",
        "activation",
        "max_pooling",
        "dropout",
        "flatten",
        "dense",
    ]
    assert read.description[0].padding == "same"
    assert read.image_size == 32


def with_layer(name, **config):
    values = json.loads(keras_1())
    values["config"].insert(1, {"class_name": name, "config": {"name": "x", **config}})
    return json.dumps(values)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is no JSON"),
        ("[]", "not a Sequential model"),
        ('{"class_name": "Functional"}', "not a Sequential model"),
        ('{"class_name": "Sequential", "config": {}}', "no network of Keras that can be read"),
        ('{"class_name": "Sequential", "config": []}', "no network of Keras that can be read"),
        (with_layer("Lambda", function="os.system"), "layer 2 is a 'Lambda'"),
        (with_layer("LSTM"), "layer 2 is a 'LSTM'"),
        (with_layer("Activation", activation="mish"), "'mish' is not known"),
        (with_layer("Activation", activation="softmax"), "'softmax' is not known"),
        (with_layer("ReLU", threshold=1.0), "threshold"),
        (with_layer("MaxPooling2D", data_format="channels_first"), "channels first"),
        (keras_1().replace("32, 32, 3]", "32, 30, 3]"), "only square colour images"),
        (keras_1().replace('"softmax"', '"linear"'), "does not end in a softmax"),
        (keras_1().replace('"nb_filter": 4', '"nb_filter": 100000000'), "no network of Keras"),
        (keras_1().replace('"nb_filter": 4', '"nb_filter": "4; import os"'), "no network of Keras"),
    ],
)
def test_what_is_not_on_the_list_is_refused_in_a_sentence(text, said):
    with pytest.raises(ModelError, match=said):
        parse_architecture(text, "model.json")


@pytest.fixture
def kept(saved):
    """A small model in the layout of Keras 2, to be spoiled."""
    return saved(notebook("early-stopping"), "2")


def spoil(weights, change):
    with h5py.File(weights, "r+") as file:
        change(file, next(name for name in file if name.startswith("conv2d")))


def swapped(make):
    """Return a change that puts something else in the place of the first kernel."""

    def change(file, layer):
        group, name = file[layer], file[layer].attrs["weight_names"][0]
        kernel = group[name][...]
        del group[name]
        make(group, name if isinstance(name, str) else name.decode(), kernel)

    return change


SPOILT = {
    "soft link": (swapped(lambda group, name, kernel: group.__setitem__(name, h5py.SoftLink("/dense"))), "is a link"),
    "external link": (
        swapped(lambda group, name, kernel: group.__setitem__(name, h5py.ExternalLink("other.h5", "/x"))),
        "is a link",
    ),
    "another shape": (
        swapped(lambda group, name, kernel: group.create_dataset(name, data=kernel[..., :-1])),
        "has the shape",
    ),
    "an enormous shape": (
        swapped(lambda group, name, kernel: group.create_dataset(name, (2**20, 2**20), "f4", chunks=(64, 64))),
        "has the shape",
    ),
    "text": (
        swapped(lambda group, name, kernel: group.create_dataset(name, kernel.shape, dtype="S4")),
        "not floating point",
    ),
    "not a number": (
        swapped(lambda group, name, kernel: group.create_dataset(name, data=kernel * np.nan)),
        "not finite",
    ),
    "nothing": (swapped(lambda group, name, kernel: None), "is missing"),
    "one layer fewer": (lambda file, layer: file[layer].attrs.__setitem__("weight_names", []), "weights of 3 layers"),
}


@pytest.mark.parametrize("spoilt", SPOILT)
def test_weights_that_are_not_what_they_should_be_are_refused(spoilt, kept, dataset, tmp_path):
    change, said = SPOILT[spoilt]
    spoil(kept[1], change)
    with pytest.raises(ModelError, match=said):
        import_model(Sources.of(*kept), tmp_path / "run", dataset, "shapes")
    assert not (tmp_path / "run").exists()


def test_an_array_in_another_file_is_refused(kept, dataset, tmp_path):
    (tmp_path / "secret").write_bytes(bytes(4 * 4 * 4 * 3 * 32))
    outside = swapped(
        lambda group, name, kernel: group.create_dataset(
            name, kernel.shape, "f4", external=[(str(tmp_path / "secret"), 0, h5py.h5f.UNLIMITED)]
        )
    )
    spoil(kept[1], outside)
    with pytest.raises(ModelError, match="no array of this file"):
        import_model(Sources.of(*kept), tmp_path / "run", dataset, "shapes")


def test_weights_cut_short_are_refused(kept, dataset, tmp_path):
    kept[1].write_bytes(kept[1].read_bytes()[:5000])
    with pytest.raises(ModelError, match="missing, damaged or no HDF5 file"):
        import_model(Sources.of(*kept), tmp_path / "run", dataset, "shapes")


def test_other_names_than_answers_are_refused(kept, dataset, tmp_path):
    with pytest.raises(InputError, match="tells 10 classes, and there are 2 names"):
        import_model(Sources.of(*kept), tmp_path / "run", dataset, "shapes", ["cat", "dog"])


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"none\.json cannot be read"):
        read_architecture(tmp_path / "none.json")
    with pytest.raises(ModelError, match=r"none\.keras is missing"):
        Sources.of(tmp_path / "none.keras", None)
    with pytest.raises(ModelError, match="name its weights"):
        Sources.of(tmp_path / "none.json", None)
