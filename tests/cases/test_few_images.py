"""Images that are only evaluated need neither splits nor several classes, whatever their source."""

import shutil

import numpy as np
import pytest
from PIL import Image

import tinysight as ts
from tinysight._util.errors import DataError


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that tells red, green and blue images apart."""
    random, colors = np.random.default_rng(0), np.eye(3) * 150 + 50
    labels = np.repeat(["blue", "green", "red"], 20)
    means = np.repeat(colors[::-1], 20, axis=0)
    images = (means[:, None, None] + random.integers(-40, 40, (60, 16, 16, 3))).clip(0, 255).astype(np.uint8)
    out = tmp_path_factory.mktemp("few") / "run"
    overrides = ["data.image_size=16", "training.batch_size=8"]
    return ts.train("early-stopping", (images, labels), out=out, epochs=4, precision="fp32", overrides=overrides)


def write(folder, names):
    """Write an image of the color that the last folder of each path names."""
    for number, name in enumerate(names):
        color = name.split("/")[-1]
        path = folder / name / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        value = tuple(200 if color == other else 50 + number for other in ("red", "green", "blue"))
        Image.new("RGB", (20, 16), value).save(path)
    return folder


def as_folder(folder):
    return folder


def as_zip(folder):
    return shutil.make_archive(str(folder), "zip", folder)


def as_table(folder):
    rows = ["image,label,split"]
    for path in sorted(folder.rglob("*.png")):
        *split, label, _ = path.relative_to(folder).parts
        rows.append(f"{path},{label},{split[0] if split else 'train'}")
    table = folder.with_suffix(".csv")
    table.write_text("\n".join(rows))
    return table


def as_arrays(folder):
    paths = sorted(folder.rglob("*.png"))
    return [str(path) for path in paths], [path.parent.name for path in paths]


FILES = [as_folder, as_zip, as_table]


@pytest.mark.parametrize("convert", [*FILES, as_arrays])
@pytest.mark.parametrize("names", [["red"], ["red", "red", "blue"], ["green"] * 5 + ["blue"]])
def test_few_images_are_measured_whole(run, tmp_path, convert, names):
    data = convert(write(tmp_path / "few", names))
    metrics = ts.evaluate(run, data)
    assert metrics.n == len(names)
    support = {name: scores.support for name, scores in metrics.per_class.items()}
    assert support == {name: names.count(name) for name in ("blue", "green", "red")}
    paths, labels = as_arrays(tmp_path / "few")
    assert metrics.accuracy == np.mean(ts.predict(run, paths).labels == labels)
    with pytest.raises(DataError):
        ts.load_dataset(data, 16)  # to train on


@pytest.mark.parametrize("convert", FILES)
@pytest.mark.parametrize(
    ("names", "measured"),
    [
        (["test/red", "test/blue", "test/blue"], {"red": 1, "blue": 2}),
        (["val/red"], {"red": 1}),
        (["val/red", "val/green", "test/blue"], {"blue": 1}),
        (["train/red", "train/blue", "test/green"], {"green": 1}),
    ],
)
def test_splits_without_training_images_of_every_class_are_measured(run, tmp_path, convert, names, measured):
    metrics = ts.evaluate(run, convert(write(tmp_path / "few", names)))
    assert {name: scores.support for name, scores in metrics.per_class.items() if scores.support} == measured


def test_labels_without_an_image_are_measured_as_absent(run, tmp_path):
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 255, (40, 16, 16, 3), dtype=np.uint8), random.integers(0, 2, (40, 3))
    recipe = {"epochs": 1, "precision": "fp32", "overrides": ["data.image_size=16"]}
    several = ts.train("early-stopping", (images, labels), out=tmp_path / "several", **recipe)
    labels = np.array([[0, 1, 0], [0, 1, 1]])
    assert ts.evaluate(several, (images[:2] // 2, labels)).n == 2
    with pytest.raises(DataError, match="y: no image has the label '0'"):
        ts.load_dataset((images[:2], labels), 16)


def test_no_images_are_refused(run):
    with pytest.raises(DataError, match=r"X: has no images\. Pass at least one image of each class\."):
        ts.evaluate(run, (np.zeros((0, 16, 16, 3), np.uint8), np.zeros(0, int)))
