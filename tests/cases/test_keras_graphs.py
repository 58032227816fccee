"""Case B6: functional Keras models with branches give the predictions of Keras, and are runs like any other."""

import json
import os

import numpy as np
import pytest

import tinysight as ts
from tests.cases.conftest import save_keras_2
from tinysight._util.errors import ModelError

os.environ.setdefault("KERAS_BACKEND", "torch")
pytest.importorskip("h5py")
keras = pytest.importorskip("keras")
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),  # raised inside Keras
    pytest.mark.filterwarnings("ignore::UserWarning"),  # .h5 is legacy
]
L = keras.layers
PIXELS = np.random.default_rng(0).integers(0, 256, (8, 3, 16, 16), dtype=np.uint8)


def randomize(model, seed=0):
    """Set all floating-point weights to random values, with positive variances."""
    random = np.random.default_rng(seed)
    for weight in model.weights:
        if "seed" not in weight.path:
            scale = 0.1 if len(weight.shape) < 2 else np.sqrt(2 / np.prod(weight.shape[:-1]))
            values = random.normal(0, scale, weight.shape)
            weight.assign(np.abs(values) + 0.5 if "variance" in weight.path else values)
    return model


def functional(body, units=3, activation="softmax"):
    """A classifier of the features that `body` computes from the image; they may be flat or not."""
    image = keras.Input((16, 16, 3), name="image")
    features = body(image)
    if len(features.shape) == 4:
        features = L.GlobalAveragePooling2D()(features)
    return randomize(keras.Model(image, L.Dense(units, activation=activation)(features)))


def outputs_of(model, pixels=PIXELS, scale=255.0):
    """What Keras returns for the pixels divided by `scale`."""
    images = pixels.transpose(0, 2, 3, 1).astype("float32") / np.float32(scale)
    return np.asarray(model(images, training=False).detach())


def difference(run, model):
    """The largest difference of the probabilities of a run and of Keras; those of Keras must depend on the image."""
    expected = outputs_of(model)
    assert np.ptp(expected, axis=0).max() > 1e-3
    return np.abs(run.classifier().probabilities(PIXELS) - expected).max()


def save_graph_of_keras_2(model, path):
    return save_keras_2(model, path, json.dumps(keras_2(json.loads(model.to_json()))))


def keras_2(model):
    """The architecture in the JSON of Keras 2, in which each tensor is [layer, call, output, keywords]."""

    def tensors(value):
        if isinstance(value, dict) and "keras_history" in value.get("config", {}):
            return [[*value["config"]["keras_history"], {}]]
        parts = value if isinstance(value, list) else []
        return [tensor for part in parts for tensor in tensors(part)]

    def function(entry):
        (node,) = entry["inbound_nodes"]
        first, second = (tensors([value]) or value for value in node["args"])
        name, call, output, _ = first[0]
        keywords = {"y": second[0][:3] if isinstance(second, list) else second, "name": None}
        kind = {"TrueDivide": "math.truediv", "Add": "__operators__.add", "Maximum": "math.maximum"}.get(
            entry["class_name"], f"math.{entry['class_name'].lower()}"
        )
        config = entry["config"] | {"function": kind}
        nodes = [[name, call, output, keywords]]
        return {"class_name": "TFOpLambda", "config": config, "name": config["name"], "inbound_nodes": nodes}

    config = dict(model["config"])
    config["layers"] = [
        function(entry)
        if entry["module"].startswith("keras.src.ops")
        else (keras_2(entry) if entry["class_name"] == "Functional" else {"config": entry["config"]})
        | {
            "class_name": entry["class_name"],
            "name": entry["config"]["name"],
            "inbound_nodes": [tensors(node["args"]) for node in entry.get("inbound_nodes", [])],
        }
        for entry in config["layers"]
    ]
    for key in ("input_layers", "output_layers"):
        config[key] = [config[key]] if isinstance(config[key][0], str) else config[key]
    return {"class_name": model["class_name"], "config": config}


WRITERS = {
    "keras": (lambda model, path: model.save(path), "m.keras"),
    "h5": (lambda model, path: model.save(path), "m.h5"),
    "keras 2": (save_graph_of_keras_2, "m.h5"),
}


def imported(model, folder, writer="keras", **options):
    write, name = WRITERS[writer]
    write(model, folder / name)
    return ts.import_keras(folder / name, out=folder / "run", **options)


def conv(filters=6, **options):
    return L.Conv2D(filters, 3, **{"padding": "same"} | options)


def residual(x):
    x = conv()(x)
    y = L.BatchNormalization()(conv(use_bias=False)(L.ReLU()(x)))
    return L.Activation("relu")(L.Add()([x, y]))


def bottleneck_with_projection(x):
    x = L.ZeroPadding2D(((0, 1), (0, 1)))(x)
    x = L.ReLU(6.0)(L.BatchNormalization(scale=False)(conv(strides=2, padding="valid")(x)))
    y = L.DepthwiseConv2D(3, strides=2, padding="same")(x)
    y = L.BatchNormalization(center=False, epsilon=0.01)(L.Conv2D(8, 1)(y))
    return L.Add()([y, L.Conv2D(8, 1, strides=2)(x)])


def dense_blocks(x):
    for _ in range(3):
        y = conv(4, use_bias=False)(L.ReLU(negative_slope=0.1)(L.BatchNormalization()(x)))
        x = L.Concatenate(axis=3)([x, y])
    return L.AveragePooling2D(2)(L.concatenate([x, L.SeparableConv2D(5, 3, padding="same")(x)]))


def inception(x):
    x = conv(dilation_rate=2)(x)
    branches = [L.Conv2D(3, 1)(x), conv(4)(L.Conv2D(2, 1, activation="swish")(x)), L.MaxPooling2D(3, 1, "same")(x)]
    return L.Concatenate()([*branches, L.Conv2D(2, 1)(L.AveragePooling2D(3, 1, "same")(x))])


def squeeze_and_excite(x):
    x = conv(8)(x)
    s = L.Reshape((1, 1, 8))(L.GlobalAveragePooling2D()(x))
    s = L.Conv2D(8, 1, activation="sigmoid")(L.Conv2D(2, 1, activation="silu")(s))
    return L.Multiply()([x, s])


def squeeze_that_keeps_its_axes(x):
    x = conv(8)(x)
    s = L.GlobalAveragePooling2D(keepdims=True)(x)
    return L.Multiply()([x, L.Dense(8, "sigmoid", use_bias=False)(L.Dense(2, "relu")(s))])


def squeeze_of_features(x):
    x = conv(8)(x)
    return L.multiply([x, L.Dense(8, "sigmoid")(L.Dense(2, "relu")(L.GlobalMaxPooling2D()(x)))])


def spatial_attention(x):
    x = conv(8)(x)
    return L.Multiply()([x, L.Conv2D(1, 7, padding="same", activation="sigmoid")(x)])


def elementwise(x):
    a, b = conv()(x), conv()(x)
    return L.Concatenate()([L.Subtract()([a, b]), L.Average()([a, b, a]), L.Maximum()([a, b]), L.Minimum()([a, b])])


def flat_branches(x):
    x = conv()(x)
    a, b = L.Flatten()(L.MaxPooling2D(4)(x)), L.GlobalAveragePooling2D()(x)
    return L.Dropout(0.3)(L.Dense(9, "tanh")(L.BatchNormalization()(L.Concatenate(axis=1)([a, b]))))


def reshaped_features(x):
    x = L.Dense(4 * 4 * 2, "relu")(L.Flatten()(L.MaxPooling2D(4)(x)))
    y = L.Reshape((4, -1, 2))(x)
    return L.Flatten()(L.Add()([y, conv(2)(y)]))


def operators(x):
    x = conv()(x / 0.5 - 1)
    y = L.Conv2D(6, 1)(x) * 0.7 + 0.1
    return keras.ops.concatenate([x + y, 1 - x * y, keras.ops.maximum(x, y)], axis=-1)


def shared_activation(x):
    activation, drop = L.LeakyReLU(negative_slope=0.2), L.SpatialDropout2D(0.1)
    x = drop(activation(conv()(x)))
    return L.Add()([x, drop(activation(conv()(x)))])


def nested_models(x):
    def block(name):
        inner = keras.Input((16, 16, 6))
        features = L.BatchNormalization(name=f"{name}-norm")(conv(name=f"{name}-conv")(inner))
        return keras.Model(inner, L.Add(name=f"{name}-add")([inner, features]), name=name)

    x = conv()(x)
    y = block("first")(x)
    return L.Add()([block("second")(y), x, keras.Sequential([L.Conv2D(6, 1)])(y)])


GRAPHS = [
    residual,
    bottleneck_with_projection,
    dense_blocks,
    inception,
    squeeze_and_excite,
    squeeze_that_keeps_its_axes,
    squeeze_of_features,
    spatial_attention,
    elementwise,
    flat_branches,
    reshaped_features,
    shared_activation,
    nested_models,
]


@pytest.mark.parametrize(
    ("body", "writer"),
    [(body, writer) for body in GRAPHS for writer in ("keras", "keras 2")] + [(nested_models, "h5"), (residual, "h5")],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_graph_gives_the_probabilities_of_keras_from_every_kind_of_file(body, writer, tmp_path):
    model = functional(body)
    assert difference(imported(model, tmp_path, writer), model) < 1e-5


def test_operators_of_keras_3_give_the_probabilities_of_keras(tmp_path):
    model = functional(operators)
    assert difference(imported(model, tmp_path), model) < 1e-5


def test_operators_of_keras_2_give_the_probabilities_of_keras(tmp_path):
    def body(x):
        x = conv()(x / 0.5 - 1)
        y = L.Conv2D(6, 1)(x) * 0.7 + 0.1
        return keras.ops.maximum(x + y, x * y - y)

    model = functional(body)
    run = imported(model, tmp_path, "keras 2")
    assert b"TFOpLambda" in (tmp_path / "m.h5").read_bytes()
    assert difference(run, model) < 1e-5


def test_tensors_among_the_keywords_of_a_layer_are_refused(tmp_path):
    values = keras_2(json.loads(functional(residual).to_json()))
    name, call = values["config"]["layers"][1]["name"], values["config"]["layers"][-1]["inbound_nodes"][0][0]
    call[3]["mask"] = [name, 0, 0]
    (tmp_path / "m.json").write_text(json.dumps(values))
    with pytest.raises(ModelError, match=r"\(Dense\) takes 2 tensors\. Only layers such as Add take several\."):
        ts.import_keras(tmp_path / "m.json", tmp_path / "none.h5", out=tmp_path / "run")


def test_recipe_of_a_graph_names_its_layers_and_chains_stay_chains(tmp_path):
    recipe = imported(functional(residual), tmp_path).recipe()
    assert recipe.model.architecture == "layers"
    before, graph, *after = recipe.model.layers
    assert [layer.kind for layer in (before, graph, *after)] == [
        "convolution",
        "graph",
        "activation",
        "global_average_pooling",
        "dense",
    ]
    assert [node.layer.kind for node in graph.nodes] == ["activation", "convolution", "batch_normalization", "add"]
    assert [node.inputs for node in graph.nodes[:2]] == [["input"], [graph.nodes[0].name]]
    assert set(graph.nodes[-1].inputs) == {"input", graph.nodes[2].name}
    assert graph.nodes[-1].name.startswith("add")


def test_names_of_layers_that_recipes_do_not_allow_are_replaced(tmp_path):
    def body(x):
        a, b = conv(name="große Schicht")(x), conv(name="_" * 80)(x)
        return L.Add(name="input")([a, b])

    model = functional(body)
    run = imported(model, tmp_path)
    names = [node.name for node in run.recipe().model.layers[0].nodes]
    assert names == ["gro_e_Schicht", "layer", "input_2"]
    assert difference(run, model) < 1e-5


@pytest.fixture(scope="module")
def graph_run(tmp_path_factory):
    """The path of an imported graph of merged images and features, and its model; tests must not change it."""
    model = functional(lambda x: reshaped_features(squeeze_of_features(x)))
    folder = tmp_path_factory.mktemp("graph")
    return imported(model, folder, class_names=["red", "green", "blue"]).path, model


def test_imported_graph_is_evaluated_explained_and_trained_further(graph_run, folder, tmp_path, tinysight):
    path, _ = graph_run
    data = folder(tmp_path / "data", 6)
    image = data / "red" / "0.png"
    outcome = tinysight("evaluate", path, "--data", data)
    assert outcome.code == 0, outcome.err
    (prediction,) = json.loads(tinysight("predict", path, image, "--json").out)["predictions"]
    assert prediction["top"][0]["class"] in ("red", "green", "blue")
    for command in (["explain", path, image, "--data", data], ["summary", path], ["card", path]):
        outcome = tinysight(*command)
        assert outcome.code == 0, outcome.err
    recipe = path / "recipe.toml"
    outcome = tinysight("train", recipe, "--from", path, "--data", data, "--epochs", 1, "--out", tmp_path / "again")
    assert outcome.code == 0, outcome.err
    before, after = (ts.Run.open(run).classifier() for run in (path, tmp_path / "again"))
    assert after.class_names == ("blue", "green", "red")
    assert after.spec.model == before.spec.model
    assert not np.allclose(before.probabilities(PIXELS), after.probabilities(PIXELS)[:, [2, 1, 0]])


def test_embedding_of_a_graph_is_the_input_of_its_last_dense_layer(graph_run):
    torch = pytest.importorskip("torch")
    path, model = graph_run
    classifier = ts.Run.open(path).classifier()
    before_last = keras.Model(model.inputs, model.layers[-2].output)
    with torch.no_grad():
        features = classifier.network.eval().features(torch.from_numpy(PIXELS).float() / 255).numpy()
    np.testing.assert_allclose(features, outputs_of(before_last), atol=1e-5)


def test_exported_graph_gives_the_probabilities_of_keras(graph_run, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    path, model = graph_run
    run, expected = ts.Run.open(path), outputs_of(model)
    again = keras.models.load_model(ts.export(run, "keras", tmp_path / "exported") / "model.keras")
    assert np.abs(outputs_of(again, scale=1) - expected).max() < 1e-5
    session = onnxruntime.InferenceSession(ts.export(run, "onnx", tmp_path / "m.onnx"))
    assert np.abs(session.run(["probabilities"], {"images": PIXELS.transpose(0, 2, 3, 1)})[0] - expected).max() < 1e-5


@pytest.mark.parametrize(("units", "activation"), [(1, "sigmoid"), (1, None), (3, None)])
def test_graph_with_other_outputs_gives_the_probabilities_of_keras(units, activation, tmp_path):
    model = functional(residual, units=units, activation=activation)
    outputs = outputs_of(model)
    logits = np.log(outputs / (1 - outputs)) if activation else outputs
    logits = np.hstack([np.zeros_like(logits), logits]) if units == 1 else logits
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    assert np.abs(imported(model, tmp_path).classifier().probabilities(PIXELS) - expected).max() < 1e-5


def test_graph_that_ends_in_a_merge_or_in_a_convolution_is_read(tmp_path):
    image = keras.Input((16, 16, 3))
    first, second = L.Dense(3)(L.Flatten()(image)), L.Dense(3)(L.GlobalMaxPooling2D()(image))
    merged = randomize(keras.Model(image, L.Softmax()(L.Average()([first, second]))))
    (tmp_path / "merged").mkdir()
    run = imported(merged, tmp_path / "merged")
    assert difference(run, merged) < 1e-5
    assert len(ts.predict(run, PIXELS).labels) == len(PIXELS)
    last = L.GlobalAveragePooling2D(keepdims=True)(residual(image))
    classes = L.Reshape((3,))(L.Conv2D(3, 1)(L.Dropout(0.1)(last)))  # as in MobileNet
    mobile = randomize(keras.Model(image, L.Activation("softmax")(classes)))
    assert difference(imported(mobile, tmp_path), mobile) < 1e-5


@pytest.mark.parametrize("pixels", ["-1..1", "120,60"])
def test_stated_pixels_reach_a_graph_that_branches_at_the_image(pixels, tmp_path):
    model = functional(lambda x: L.Concatenate()([conv()(x), conv(2)(x)]))
    run = imported(model, tmp_path, pixels=pixels)
    mean, std = (127.5, 127.5) if pixels == "-1..1" else (120, 60)
    images = (PIXELS.transpose(0, 2, 3, 1).astype("float32") - mean) / std
    expected = np.asarray(model(images.astype("float32"), training=False).detach())
    assert np.abs(run.classifier().probabilities(PIXELS) - expected).max() < 1e-5


def test_scaling_by_operators_is_recognized_as_that_of_raw_pixels(tmp_path):
    model = functional(lambda x: residual(x / 127.5 - 1))
    run = imported(model, tmp_path)
    assert np.abs(run.classifier().probabilities(PIXELS) - outputs_of(model, scale=1)).max() < 1e-5
    assert "pixels of 0..255" in run.recipe().description


def twice(x):
    layer = L.Conv2D(3, 3, padding="same", name="twice")
    return L.Add()([layer(x), layer(layer(x))])


def model_twice(x):
    model = keras.Sequential([L.Conv2D(3, 3, padding="same", name="inner")], name="tower")
    return L.Concatenate()([model(x), model(L.MaxPooling2D(1)(x))])


class Twice(L.Layer):
    def call(self, x):
        return 2 * x


def lstm(x):
    return L.LSTM(4, name="memory")(L.Reshape((16, -1))(x))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (twice, r"\(Conv2D\), named 'twice', is used several times with the same weights\. Use a layer of its own"),
        (model_twice, r"\(Conv2D\), named 'inner', is used several times with the same weights"),
        (lambda x: L.Lambda(lambda y: y, name="mine")(x), r"unsupported 'Lambda'\. Replace it .* Its name is 'mine'\."),
        (lambda x: Twice(name="own")(x), r"unsupported 'Twice'\. Replace it in Keras .* Its name is 'own'\."),
        (lambda x: L.MultiHeadAttention(1, 2, name="heads")(x, x), r"'MultiHeadAttention'.* Its name is 'heads'\."),
        (lambda x: L.Dot(axes=-1)([x, x]), r"unsupported 'Dot'"),
        (lambda x: L.Concatenate(axis=1)([x, x]), r"concatenation over axis 1 is not supported"),
        (lambda x: L.Concatenate(axis=2)([x, x]), r"concatenation over axis 2 is not supported"),
        (lambda x: keras.ops.sin(x), r"the function 'Sin', named 'sin', is not supported"),
        (
            lambda x: x + np.ones((16, 16, 3), "float32"),
            r"the function 'Add', named '.*', is not supported with these",
        ),
        (
            lambda x: L.Conv2D(3, 1)(x) * L.GlobalMaxPooling2D()(L.Conv2D(16, 1)(x))[:, :3],
            r"the function 'Multiply', named|the function 'GetItem', named",
        ),
        (lambda x: L.Dropout(0.5, name="mc")(x, training=True), r"'mc' \(Dropout\) is called with training=True"),
        (lambda x: L.Add()([L.Activation("softmax")(x), x]), r"the activation 'softmax' is not supported"),
        (lambda x: L.Add()([L.Softmax()(x), x]), r"\(Softmax\) is not the last one"),
        (lstm, r"a reshape to \[16, -1\] is not supported|unsupported 'LSTM'"),
    ],
)
def test_what_a_graph_cannot_have_is_named_with_the_way_out(body, message, tmp_path):
    image = keras.Input((16, 16, 3), name="image")
    features = body(image)
    features = L.Flatten()(features) if len(features.shape) > 2 else features
    (tmp_path / "m.json").write_text(keras.Model(image, L.Dense(3, activation="softmax")(features)).to_json())
    with pytest.raises(ModelError, match=message):
        ts.import_keras(tmp_path / "m.json", tmp_path / "none.h5", out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_several_inputs_or_outputs_are_refused_with_their_names(tmp_path, tinysight):
    first, second = (keras.Input((16, 16, 3), name=name) for name in ("left", "right"))
    classes = L.Dense(3, activation="softmax", name="classes")(L.Flatten()(L.Add()([first, second])))
    boxes = L.Dense(4, name="boxes")(L.Flatten()(first))
    for model, names in (
        (keras.Model([first, second], classes), "2 inputs and 1 outputs: ['left', 'right', 'classes']"),
        (keras.Model(first, [L.Dense(3, name="classes")(L.Flatten()(first)), boxes]), "1 inputs and 2 outputs"),
    ):
        model.save(tmp_path / "m.keras")
        refusal = tinysight("import", tmp_path / "m.keras", "--out", "run").refusal()
        assert names in refusal
        assert "Save keras.Model(input, output) with one of each." in refusal


def test_damaged_graphs_are_refused_without_a_traceback(tmp_path, tinysight):
    text = functional(residual).to_json()
    values = json.loads(text)
    names = [entry["name"] for entry in values["config"]["layers"]]
    changes = [
        text.replace(f'["{names[1]}", 0, 0]', f'["{names[1]}", "x", 0]'),
        text.replace(f'["{names[1]}", 0, 0]', '["none", 0, 0]'),
        text.replace(f'["{names[1]}", 0, 0]', f'["{names[-1]}", 0, 0]'),
        text.replace('"inbound_nodes": [{', '"inbound_nodes": [[['),
        text.replace('"inbound_nodes": [{"args"', '"inbound_nodes": [{"arg"'),
    ]
    for changed in changes:
        assert changed != text
        (tmp_path / "m.json").write_text(changed)
        assert str(tmp_path / "m.json") in tinysight("import", tmp_path / "m.json", "none.h5", "--out", "run").refusal()
