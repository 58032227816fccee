"""Every Keras layer is read with all its settings, in the argument names of Keras 1 and of later versions."""

import json

import pytest

from tinysight._util.errors import ModelError
from tinysight.interop.keras.architecture import parse_architecture
from tinysight.recipes import layers

INPUT = {"class_name": "InputLayer", "config": {"batch_shape": [None, 32, 32, 3]}}
SOFTMAX = {"class_name": "Softmax", "config": {}}


def sequential(*entries):
    """The JSON of a model of these (class, configuration) pairs between an input layer and a softmax."""
    configs = [{"class_name": kind, "config": config} for kind, config in entries]
    return json.dumps({"class_name": "Sequential", "config": {"layers": [INPUT, *configs, SOFTMAX]}})


def read(kind, **config):
    return parse_architecture(sequential((kind, config)), "model.json").layer_specs


def refusal(text):
    with pytest.raises(ModelError) as caught:
        parse_architecture(text, "model.json")
    return str(caught.value)


CONV = {"filters": 4, "kernel_size": [3, 5]}


@pytest.mark.parametrize(
    ("kind", "config", "expected"),
    [
        ("Conv2D", CONV, {}),
        ("Conv2D", CONV | {"strides": [2, 3]}, {"stride": (2, 3)}),
        ("Conv2D", CONV | {"strides": 2}, {"stride": (2, 2)}),
        ("Conv2D", CONV | {"dilation_rate": [3, 2]}, {"dilation": (3, 2)}),
        ("Conv2D", CONV | {"padding": "same"}, {"padding": "same"}),
        ("Conv2D", CONV | {"groups": 2}, {"groups": 2}),
        ("Conv2D", CONV | {"use_bias": False}, {"bias": False}),
        ("Conv2D", CONV | {"kernel_size": 7}, {"kernel": (7, 7)}),
        ("Convolution2D", {"nb_filter": 4, "nb_row": 3, "nb_col": 5}, {}),
        ("Convolution2D", {"nb_filter": 4, "nb_row": 3, "nb_col": 5, "subsample": [2, 1]}, {"stride": (2, 1)}),
        ("Convolution2D", {"nb_filter": 4, "nb_row": 3, "nb_col": 5, "border_mode": "same"}, {"padding": "same"}),
        ("Convolution2D", {"nb_filter": 4, "nb_row": 3, "nb_col": 5, "bias": False}, {"bias": False}),
    ],
)
def test_convolution_is_read_with_each_setting(kind, config, expected):
    assert read(kind, **config) == [layers.Conv2d(**{"channels": 4, "kernel": (3, 5)} | expected)]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, {}),
        ({"depth_multiplier": 3}, {"multiplier": 3}),
        ({"strides": [2, 2]}, {"stride": (2, 2)}),
        ({"dilation_rate": [2, 2]}, {"dilation": (2, 2)}),
        ({"padding": "same"}, {"padding": "same"}),
        ({"use_bias": False}, {"bias": False}),
    ],
)
def test_depthwise_convolution_is_read_with_each_setting(config, expected):
    assert read("DepthwiseConv2D", kernel_size=[3, 3], **config) == [layers.DepthwiseConv2d(kernel=(3, 3), **expected)]


@pytest.mark.parametrize("bias", [True, False])
def test_only_the_pointwise_part_of_a_separable_convolution_has_the_bias(bias):
    config = {"filters": 8, "kernel_size": [3, 3], "strides": [2, 2], "padding": "same", "depth_multiplier": 2}
    assert read("SeparableConv2D", **config, use_bias=bias) == [
        layers.DepthwiseConv2d(multiplier=2, kernel=(3, 3), stride=(2, 2), padding="same", bias=False),
        layers.Conv2d(channels=8, kernel=(1, 1), bias=bias),
    ]


@pytest.mark.parametrize(
    ("kind", "expected"), [("MaxPooling2D", "max_pooling"), ("AveragePooling2D", "average_pooling")]
)
@pytest.mark.parametrize(
    ("config", "window", "stride", "padding"),
    [
        ({}, (2, 2), (2, 2), "valid"),
        ({"pool_size": [3, 2]}, (3, 2), (3, 2), "valid"),
        ({"pool_size": 3, "strides": None}, (3, 3), (3, 3), "valid"),
        ({"pool_size": [3, 3], "strides": [2, 1]}, (3, 3), (2, 1), "valid"),
        ({"padding": "same"}, (2, 2), (2, 2), "same"),
        ({"border_mode": "same"}, (2, 2), (2, 2), "same"),
    ],
)
def test_pooling_moves_by_its_window_without_strides(kind, expected, config, window, stride, padding):
    assert read(kind, **config) == [layers.Pool2d(kind=expected, window=window, stride=stride, padding=padding)]


@pytest.mark.parametrize(
    ("kind", "config", "expected"),
    [
        ("GlobalMaxPooling2D", {"keepdims": False}, layers.GlobalPool2d(kind="global_max_pooling")),
        ("GlobalAveragePooling2D", {}, layers.GlobalPool2d(kind="global_average_pooling")),
        ("BatchNormalization", {}, layers.BatchNorm(epsilon=0.001)),
        ("BatchNormalization", {"epsilon": 0.1, "axis": [3], "mode": 0}, layers.BatchNorm(epsilon=0.1)),
        ("BatchNormalization", {"scale": False, "axis": 1}, layers.BatchNorm(scale=False)),
        ("BatchNormalization", {"center": False, "axis": -1}, layers.BatchNorm(shift=False)),
        ("Dropout", {"rate": 0.25}, layers.Dropout(rate=0.25)),
        ("Dropout", {"p": 0.75}, layers.Dropout(rate=0.75)),
        ("Reshape", {"target_shape": [1, 1, 8]}, layers.Reshape(shape=(1, 1, 8))),
        ("Reshape", {"target_shape": [8]}, layers.Flatten()),
        ("Flatten", {}, layers.Flatten()),
        ("Dense", {"units": 7}, layers.Dense(outputs=7)),
        ("Dense", {"units": 7, "use_bias": False}, layers.Dense(outputs=7, bias=False)),
        ("Dense", {"output_dim": 7, "bias": False}, layers.Dense(outputs=7, bias=False)),
        ("ReLU", {}, layers.Activation(function="relu")),
        ("ReLU", {"max_value": 6.0, "threshold": 0.0}, layers.Activation(function="relu", max_value=6.0)),
        ("ReLU", {"negative_slope": 0.1}, layers.Activation(function="leaky_relu", slope=0.1)),
        ("LeakyReLU", {}, layers.Activation(function="leaky_relu", slope=0.3)),
        ("LeakyReLU", {"alpha": 0.2}, layers.Activation(function="leaky_relu", slope=0.2)),
        ("LeakyReLU", {"negative_slope": 0.05}, layers.Activation(function="leaky_relu", slope=0.05)),
        ("ELU", {}, layers.Activation(function="elu", slope=1.0)),
        ("ELU", {"alpha": 0.5}, layers.Activation(function="elu", slope=0.5)),
        ("ZeroPadding2D", {}, layers.ZeroPadding(top=1, bottom=1, left=1, right=1)),
        ("ZeroPadding2D", {"padding": 2}, layers.ZeroPadding(top=2, bottom=2, left=2, right=2)),
        ("ZeroPadding2D", {"padding": [1, 2]}, layers.ZeroPadding(top=1, bottom=1, left=2, right=2)),
        ("ZeroPadding2D", {"padding": [[1, 2], [3, 4]]}, layers.ZeroPadding(top=1, bottom=2, left=3, right=4)),
        ("Rescaling", {"scale": 0.5, "offset": -1}, layers.Rescaling(scale=0.5, offset=-1)),
        (
            "Rescaling",
            {"scale": [1.0, 2.0, 3.0], "offset": [4.0, 5.0, 6.0]},
            layers.Rescaling(scale=(1.0, 2.0, 3.0), offset=(4.0, 5.0, 6.0)),
        ),
    ],
)
def test_layer_is_read_with_its_settings(kind, config, expected):
    assert read(kind, **config) == [expected]


@pytest.mark.parametrize("kind", ["max", "average"])
def test_global_pooling_that_keeps_its_axes_is_followed_by_a_reshape(kind):
    assert read(f"Global{kind.title()}Pooling2D", keepdims=True) == [
        layers.GlobalPool2d(kind=f"global_{kind}_pooling"),
        layers.Reshape(shape=(1, 1, -1)),
    ]


def test_dropout_of_whole_channels_or_images_is_left_out():
    assert read("Dropout", rate=0.2, noise_shape=[None, 1, 1, 1]) == []


@pytest.mark.parametrize("name", ["relu", "relu6", "elu", "selu", "gelu", "silu", "sigmoid", "tanh"])
def test_activation_follows_the_layer_that_names_it(name):
    assert read("Dense", units=2, activation=name) == [layers.Dense(outputs=2), layers.Activation(function=name)]
    assert read("Activation", activation=name) == [layers.Activation(function=name)]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("linear", []),
        (None, []),
        ("swish", [layers.Activation(function="silu")]),
        ("leaky_relu", [layers.Activation(function="leaky_relu", slope=0.2)]),  # the slope of keras.activations
        ({"class_name": "function", "config": "tanh"}, [layers.Activation(function="tanh")]),
    ],
)
def test_activation_may_have_another_name_or_be_an_object(value, expected):
    assert read("Activation", activation=value) == expected


@pytest.mark.parametrize(
    ("kind", "config", "sentence"),
    [
        ("Reshape", {"target_shape": [4, -1]}, "a reshape to [4, -1] is not supported. Use one or three axes."),
        (
            "BatchNormalization",
            {"axis": 2},
            "batch normalization over axis 2 is not supported. Only the last axis, channels, is.",
        ),
        (
            "BatchNormalization",
            {"mode": 2},
            "batch normalization over axis -1 is not supported. Only the last axis, channels, is.",
        ),
        (
            "ReLU",
            {"threshold": 0.5},
            "a ReLU with a threshold, or with both negative_slope and max_value, is not supported.",
        ),
        (
            "ReLU",
            {"negative_slope": 0.1, "max_value": 6.0},
            "a ReLU with a threshold, or with both negative_slope and max_value, is not supported.",
        ),
        ("Softmax", {"axis": 2}, "a softmax is supported over the last axis only."),
        ("Activation", {"activation": "reluu"}, "the activation 'reluu' is not supported. Did you mean 'relu'?"),
        (
            "Activation",
            {"activation": "mish"},
            "the activation 'mish' is not supported. Known: relu, relu6, elu, selu, gelu, silu, sigmoid, tanh.",
        ),
        (
            "Conv2D",
            CONV | {"data_format": "channels_first"},
            "layer 2 (Conv2D) is channels first. Only channels last is supported.",
        ),
        (
            "Convolution2D",
            CONV | {"dim_ordering": "th"},
            "layer 2 (Convolution2D) is channels first. Only channels last is supported.",
        ),
        ("Conv2d", CONV, "layer 2 is an unsupported 'Conv2d'. Did you mean 'Conv2D'?"),
    ],
)
def test_unsupported_setting_is_refused_with_its_sentence(kind, config, sentence):
    assert refusal(sequential((kind, config))) == f"model.json: {sentence}"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[]", "'list' is not a Keras model. Only Sequential and Functional models can be imported."),
        (
            '{"class_name": "Lambda"}',
            "'Lambda' is not a Keras model. Only Sequential and Functional models can be imported.",
        ),
        (
            sequential(*[("Flatten", {})] * 999),
            "1,001 layers are too many. At most 1,000 can be imported.",
        ),
        (
            sequential(("Flatten", {})).replace(
                '"Softmax", "config": {}', '"Dense", "config": {"units": 3, "activation": "elu"}'
            ),
            "the model ends in 'elu', not in a softmax, a sigmoid or logits. Pass logits=True to read its outputs as "
            "logits.",
        ),
    ],
)
def test_model_that_is_no_classifier_is_refused_with_its_sentence(text, sentence):
    assert refusal(text) == f"model.json: {sentence}"


@pytest.mark.parametrize("shape", [[32, 30, 3], [32, 32, 1], [7, 7, 3], [513, 513, 3], [None, None, 3], [8.0, 8.0, 3]])
def test_other_input_shapes_are_refused_with_the_shape(shape):
    text = sequential(("Flatten", {})).replace("[null, 32, 32, 3]", json.dumps([None, *shape]))
    assert refusal(text) == (
        f"model.json: the input shape is {shape}. Only square color images of 8 to 512 pixels are supported."
    )


@pytest.mark.parametrize("size", [8, 512])
@pytest.mark.parametrize("key", ["batch_shape", "batch_input_shape", "input_shape"])
def test_input_shape_is_read_under_each_name(key, size):
    shape = [size, size, 3] if key == "input_shape" else [None, size, size, 3]
    text = sequential(("Flatten", {})).replace(json.dumps(INPUT["config"]), json.dumps({key: shape}))
    assert parse_architecture(text, "model.json").image_size == size


def test_model_takes_raw_pixels_only_if_its_first_layer_rescales_them():
    scaling, flatten = ("Rescaling", {"scale": 1 / 255, "offset": 0}), ("Flatten", {})
    assert parse_architecture(sequential(scaling, flatten), "a").takes_raw_pixels
    assert not parse_architecture(sequential(flatten, scaling), "a").takes_raw_pixels
    assert not parse_architecture(sequential(flatten), "a").takes_raw_pixels


@pytest.mark.parametrize(
    "config", [{"filters": 0}, {"filters": 65_537}, {"kernel_size": [65, 1]}, {"padding": "causal"}]
)
def test_setting_out_of_range_is_refused_without_a_traceback(config):
    assert refusal(sequential(("Conv2D", CONV | config))).startswith("model.json: not a Keras architecture")
