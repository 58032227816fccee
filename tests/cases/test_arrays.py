"""Images and labels in memory, as NumPy, pandas and torch have them."""

import numpy as np
import pytest
import torch

import tinysight as ts
from tinysight._util.errors import DataError, InputError
from tinysight.data.image_io.from_arrays import to_pixels

CODES = np.arange(12) % 3
NAMES = np.array(["ant", "bee", "cat"])
IMAGES = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)


def load(labels, images=IMAGES):
    return ts.load_dataset((images, labels), 8)


def fitted(labels):
    overrides = ["data.image_size=16", "training.batch_size=4"]
    return ts.ImageClassifier("early-stopping", epochs=1, precision="fp32", overrides=overrides).fit(IMAGES, labels)


def labels_of(dataset):
    """The names of the labels of the images in IMAGES, in order."""
    names = {}
    for split in dataset.splits.values():
        names |= {
            image.tobytes(): dataset.class_names[label] for image, label in zip(split.pixels, split.labels, strict=True)
        }
    return [names[image.tobytes()] for image in IMAGES.transpose(0, 3, 1, 2).copy()]


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (CODES[:, None], ("0", "1", "2")),  # as keras.datasets returns them
        (NAMES[CODES].astype("S"), NAMES),  # as h5py reads them
        (NAMES[CODES].astype("S").astype(object), NAMES),
        (torch.tensor(CODES), ("0", "1", "2")),
        (tuple(NAMES[CODES]), NAMES),
        (CODES - 1, ("-1", "0", "1")),
        (np.array([True, False, True])[CODES], ("True", "False", "True")),
    ],
)
def test_labels_keep_their_names(labels, names):
    assert labels_of(load(labels)) == [names[code] for code in CODES]


def test_labels_of_pandas_keep_their_names_and_types():
    pandas = pytest.importorskip("pandas")
    categories = pandas.Series(pandas.Categorical(NAMES[CODES], categories=[*NAMES, "unused"]))
    assert labels_of(load(categories)) == NAMES[CODES].tolist()
    assert labels_of(load(pandas.Series(NAMES[CODES], dtype="string"))) == NAMES[CODES].tolist()
    integers = pandas.Series(CODES, dtype="Int64")
    assert labels_of(load(integers)) == [str(code) for code in CODES]
    classifier = fitted(integers)
    assert classifier.classes_.tolist() == [0, 1, 2]
    assert {type(label) for label in classifier.predict(IMAGES[:2]).tolist()} == {int}


def with_value(labels, value, dtype=None):
    changed = np.array(labels, dtype=dtype)
    changed[[4, 7]] = value
    return changed


@pytest.mark.parametrize(
    "labels",
    [
        with_value(CODES, np.nan, float),
        with_value(NAMES[CODES], None, object),
        with_value(NAMES[CODES], np.nan, object),
        with_value(NAMES[CODES], ""),
        with_value(CODES.astype("M8[D]"), "NaT"),
        np.ma.masked_array(CODES, np.isin(np.arange(12), (4, 7))),
    ],
)
def test_missing_labels_are_no_class(labels):
    message = r"y: 2 labels are missing, the first is that of image 4\. Remove images without a label\."
    with pytest.raises(DataError, match=message):
        load(labels)
    if labels.dtype.kind != "M":
        with pytest.raises(ValueError, match=message):
            fitted(labels)


def test_missing_labels_of_pandas_are_no_class():
    pandas = pytest.importorskip("pandas")
    for dtype in ("Int64", "string", "category"):
        labels = pandas.Series(CODES if dtype == "Int64" else NAMES[CODES], dtype=dtype)
        labels[3] = pandas.NA
        with pytest.raises(DataError, match="y: a label is missing, the first is that of image 3"):
            load(labels)
        with pytest.raises(ValueError, match="y: a label is missing"):
            fitted(labels)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (
            np.array([0, 1, "cat"], object)[CODES],
            "y: has labels of different types: int, str. Convert",
        ),
        ((code for code in CODES), "y: a generator, not a list or array. Pass one label for each image."),
        (torch.tensor(CODES * 1.0, requires_grad=True), "y: cannot be an array (Can't call numpy()"),
    ],
)
def test_labels_that_cannot_be_sorted_or_counted_are_refused(labels, message):
    with pytest.raises(DataError) as refusal:
        load(labels)
    assert str(refusal.value).startswith(message)


def test_one_hot_labels_are_several_labels_with_a_remark():
    dataset = load(np.eye(3)[CODES])
    assert dataset.task == "multi-label"
    assert dataset.report.remarks == (
        "y has one column for each label, so that images may have several, but each image has exactly one. If one is "
        "the rule, pass y.argmax(1).",
    )
    several = np.eye(3)[CODES]
    several[0] = 1
    assert load(several).report.remarks == ()


@pytest.mark.parametrize(
    "images",
    [
        torch.tensor(IMAGES),
        torch.tensor(IMAGES).permute(0, 3, 1, 2),
        list(torch.tensor(IMAGES).permute(0, 3, 1, 2)),
        IMAGES[:, ::-1][:, ::-1],
        np.ma.masked_array(IMAGES),
    ],
)
def test_images_are_read_in_any_memory_order(images):
    assert np.array_equal(to_pixels(images, 8), IMAGES.transpose(0, 3, 1, 2))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (
            torch.zeros(2, 3, 8, 8, requires_grad=True),
            "Unsupported Tensor: Can't call numpy() on Tensor",
        ),
        (torch.zeros(2, 3, 8, 8), "Unsupported dtype: float32. Pass uint8 images (0..255)"),
        ((image for image in IMAGES), "Unsupported type: generator. Pass uint8 images (0..255)"),
        ({"a.png", "b.png"}, "Unsupported type: set. Pass uint8 images (0..255)"),
        ([None], "Image 0: Unsupported type: NoneType. Pass uint8 images (0..255)"),
        (np.ma.masked_array(IMAGES, IMAGES > 250), "Masked pixels. Give them a value, for example with X.filled(0)."),
        ([np.ma.masked_array(IMAGES[0], IMAGES[0] > 90)], "Image 0: Masked pixels. Give them a value"),
    ],
)
def test_other_images_are_refused_by_type(images, message):
    with pytest.raises(InputError) as refusal:
        to_pixels(images, 8)
    assert str(refusal.value).startswith(message)
