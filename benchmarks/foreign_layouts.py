"""Folders, zip files and tables as other tools, sites and systems leave them: what is used, and what is refused.

    python benchmarks/foreign_layouts.py [--only TEXT]

Each layout is built from small images of noise and loaded with `tinysight.load_dataset`. The expected outcome stands
beside the layout: the classes, the images of each split and words that the notes must contain, or words that the error
message must contain. In addition, every file of a folder or zip file must be used or counted in the report. Some
layouts are also trained for an epoch and predicted. Appends one row per layout to
benchmarks/results/foreign_layouts.jsonl.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import struct
import tarfile
import tempfile
import traceback
import unicodedata
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import append, stamp
from PIL import Image

import tinysight
from tinysight import Dataset, TinysightError

Spec = Any
Builder = Callable[[Path], Spec]


@dataclass(frozen=True)
class Used:
    """The images are used: class names in order, images of each split, and words that the notes must contain."""

    classes: tuple[str, ...]
    train: int
    test: int
    validation: int = 0
    says: tuple[str, ...] = ()


@dataclass(frozen=True)
class Refused:
    """The input is refused by a message that contains these words."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class Layout:
    """A layout, what it stands for, how it is built, and the expected outcome."""

    name: str
    stands_for: str
    build: Builder
    expected: Used | Refused
    skip_unreadable: bool = False
    is_trained: bool = False


LAYOUTS: list[Layout] = []
CATS_DOGS = ("cat", "dog")
DRAWN = "chosen at random as the test split"


def layout(name: str, stands_for: str, expected: Used | Refused, **options: bool) -> Callable[[Builder], Builder]:
    """Register the function that builds a layout in a folder and returns what to load; None stands for the folder."""

    def register(build: Builder) -> Builder:
        LAYOUTS.append(Layout(name, stands_for, build, expected, **options))
        return build

    return register


RANDOM = np.random.default_rng(0)


def noise(size: tuple[int, int] = (24, 20)) -> Image.Image:
    """Return an image of noise; all are different."""
    width, height = size
    return Image.fromarray(RANDOM.integers(0, 256, (height, width, 3), dtype=np.uint8))


def save(path: Path, image: Image.Image | None = None, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    (image or noise()).save(path, **options)
    return path


def fill(folder: Path, count: int = 5, suffix: str = ".jpg", stem: str = "") -> Path:
    """Write images to a folder, from 1 to `count`."""
    for number in range(1, count + 1):
        save(folder / f"{stem}{number}{suffix}")
    return folder


def classes(root: Path, *names: str, count: int = 5, suffix: str = ".jpg") -> Path:
    for name in names or CATS_DOGS:
        fill(root / name, count, suffix)
    return root


def write(path: Path, text: str | bytes = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def encoded(kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    noise().save(buffer, kind, **options)
    return buffer.getvalue()


def zipped(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
    return path


def table(root: Path, header: str = "image,label", line: str = "{path},{label}", name: str = "data.csv") -> Path:
    """Write ten images to root/images and a table of them."""
    lines = [header]
    for label in CATS_DOGS:
        for number in range(1, 6):
            path = save(root / "images" / f"{label}{number}.jpg")
            lines.append(
                line.format(path=path.relative_to(root).as_posix(), label=label, file=path.name, number=number)
            )
    return write(root / name, "\n".join(lines) + "\n")


# Folders of other tools and sites


@layout("torchvision", "ImageFolder: train, val and test", Used(CATS_DOGS, 10, 4, 4), is_trained=True)
def _(root: Path) -> Spec:
    classes(root / "train")
    classes(root / "val", count=2)
    classes(root / "test", count=2)


@layout(
    "keras",
    "image_dataset_from_directory, with notebook checkpoints",
    Used(("class_a", "class_b"), 8, 2, says=(DRAWN,)),
    is_trained=True,
)
def _(root: Path) -> Spec:
    classes(root, "class_a", "class_b")
    fill(root / ".ipynb_checkpoints", 2)


@layout(
    "fastai",
    "MNIST_SAMPLE: train and valid, a table and an empty folder",
    Used(("3", "7"), 8, 2, 4, says=(DRAWN, ".csv 1", "models")),
)
def _(root: Path) -> Spec:
    classes(root / "train", "3", "7", suffix=".png")
    classes(root / "valid", "3", "7", count=2, suffix=".png")
    write(root / "labels.csv", "name,label\n")
    (root / "models").mkdir()


@layout(
    "imagewoof",
    "fastai Imagewoof: WordNet ids, train and val, no test",
    Used(("n02086240", "n02087394"), 8, 2, 4, says=(DRAWN,)),
)
def _(root: Path) -> Spec:
    classes(root / "train", "n02086240", "n02087394", suffix=".JPEG")
    classes(root / "val", "n02086240", "n02087394", count=2, suffix=".JPEG")


@layout("mnist-png", "training and testing with one folder per digit", Used(tuple("0123456789"), 30, 10))
def _(root: Path) -> Spec:
    classes(root / "training", *"0123456789", count=3, suffix=".png")
    classes(root / "testing", *"0123456789", count=1, suffix=".png")


@layout(
    "roboflow-folder",
    "Roboflow, folder export: readme files beside the splits",
    Used(CATS_DOGS, 10, 4, 4, says=(".txt 2",)),
)
def _(root: Path) -> Spec:
    for split, count in (("train", 5), ("valid", 2), ("test", 2)):
        classes(root / split, count=count)
    write(root / "README.dataset.txt")
    write(root / "README.roboflow.txt")


@layout("roboflow-yolo", "Roboflow, YOLO export: images and labels in each split", Refused(("labels", "objects")))
def _(root: Path) -> Spec:
    for split in ("train", "valid"):
        fill(root / split / "images")
        for number in range(1, 6):
            write(root / split / "labels" / f"{number}.txt", "0 0.5 0.5 1 1")
    write(root / "data.yaml")


@layout(
    "roboflow-coco",
    "Roboflow, COCO export: images and one JSON file in each split",
    Refused(("train", "5 images", "class folders")),
)
def _(root: Path) -> Spec:
    for split in ("train", "valid"):
        fill(root / split)
        write(root / split / "_annotations.coco.json", "{}")


@layout("coco", "COCO: images and annotations", Refused(("annotations", "objects")))
def _(root: Path) -> Spec:
    fill(root / "images")
    write(root / "annotations" / "instances_train.json", "{}")


@layout("voc", "Pascal VOC: JPEGImages, Annotations and ImageSets", Refused(("Annotations", "objects")))
def _(root: Path) -> Spec:
    fill(root / "JPEGImages")
    write(root / "Annotations" / "1.xml", "<annotation/>")
    write(root / "ImageSets" / "Main" / "train.txt")


@layout("yolo", "YOLO: images/train, labels/train", Refused(("labels", "objects")))
def _(root: Path) -> Spec:
    for split in ("train", "val"):
        fill(root / "images" / split)
        write(root / "labels" / split / "1.txt", "0 0.5 0.5 1 1")


@layout(
    "stanford-dogs", "class folders in Images, beside Annotation", Refused(("Images", "Annotation", "use that folder"))
)
def _(root: Path) -> Spec:
    classes(root / "Images", "n02085620-Chihuahua", "n02085782-Japanese_spaniel")
    write(root / "Annotation" / "n02085620-Chihuahua" / "n02085620_10074")


@layout("camvid", "train, train_labels, test and test_labels, all of images", Refused(("test_labels", "train_labels")))
def _(root: Path) -> Spec:
    classes(root, "train", "train_labels", "test", "test_labels", suffix=".png")


@layout("mvtec", "MVTec AD: train/good, test and ground_truth", Refused(("ground_truth", "Move it out")))
def _(root: Path) -> Spec:
    classes(root / "train", "good")
    classes(root / "test", "broken", "good")
    classes(root / "ground_truth", "broken", suffix=".png")


@layout("valid-invalid", "two classes, valid and invalid", Used(("invalid", "valid"), 8, 2))
def _(root: Path) -> Spec:
    classes(root, "valid", "invalid")


@layout("segmentation", "images and masks, both of them PNG files", Refused(("images", "masks", "Rename")))
def _(root: Path) -> Spec:
    classes(root, "images", "masks", suffix=".png")


@layout(
    "ham10000",
    "HAM10000: two folders of parts beside a table",
    Used(("images_part_1", "images_part_2"), 8, 2, says=(".csv 1", "may be parts")),
)
def _(root: Path) -> Spec:
    classes(root, "images_part_1", "images_part_2")
    write(root / "metadata.csv", "image_id,dx\n")


@layout("images-and-table", "one folder of images beside a table", Refused(("labels.csv", "only the class folder")))
def _(root: Path) -> Spec:
    fill(root / "files")
    write(root / "labels.csv", "image,label\n")


@layout("url", "the address of a zip file", Refused(("https://example.org/pets.zip", "URL", "ownload")))
def _(root: Path) -> Spec:
    return "https://example.org/pets.zip"


@layout(
    "kaggle-flat",
    "Kaggle Dogs vs. Cats: the class is in the file name",
    Refused(("train", "10 images", "class folders")),
)
def _(root: Path) -> Spec:
    fill(root / "train", stem="cat.")
    fill(root / "train", stem="dog.")
    fill(root / "test1")


@layout(
    "kaggle-nested",
    "training_set/training_set and test_set/test_set",
    Used(("cats", "dogs"), 10, 4, says=("training_set",)),
)
def _(root: Path) -> Spec:
    classes(root / "training_set" / "training_set", "cats", "dogs")
    classes(root / "test_set" / "test_set", "cats", "dogs", count=2)


@layout("kaggle-intel", "seg_train, seg_test and an unlabeled seg_pred", Refused(("seg_pred", "Move it out")))
def _(root: Path) -> Spec:
    classes(root / "seg_train" / "seg_train", "forest", "sea")
    classes(root / "seg_test" / "seg_test", "forest", "sea", count=2)
    fill(root / "seg_pred" / "seg_pred", 3)


@layout("kaggle-xray", "a second copy of the dataset inside itself", Refused(("chest_xray", "Move it out")))
def _(root: Path) -> Spec:
    for folder in (root, root / "chest_xray"):
        classes(folder / "train", "NORMAL", "PNEUMONIA")
        classes(folder / "test", "NORMAL", "PNEUMONIA", count=2)
    write(root / "__MACOSX" / "._train")


@layout("kaggle-zips", "the downloaded zip files of a competition, not unpacked", Refused(("train.zip", "npack")))
def _(root: Path) -> Spec:
    for name in ("train", "test"):
        zipped(classes(root.parent / f"unpacked-{name}"), root / f"{name}.zip")
    write(root / "sample_submission.csv", "id,label\n")


@layout("test-flat", "a labeled train folder and an unlabeled test folder", Refused(("test", "class folders")))
def _(root: Path) -> Spec:
    classes(root / "train")
    fill(root / "test")


@layout("stl", "train, test and unlabeled", Refused(("unlabeled", "Move it out")))
def _(root: Path) -> Spec:
    classes(root / "train")
    classes(root / "test", count=2)
    fill(root / "unlabeled")


@layout("tiny-imagenet", "val has one flat folder of images", Refused(("val", "images", "train")))
def _(root: Path) -> Spec:
    for name in ("n01443537", "n01629819"):
        fill(root / "train" / name / "images", suffix=".JPEG", stem=f"{name}_")
        write(root / "train" / name / f"{name}_boxes.txt")
    fill(root / "val" / "images", suffix=".JPEG", stem="val_")
    write(root / "val" / "val_annotations.txt")


@layout("eurosat", "one wrapping folder with a number for a name", Used(("Forest", "River"), 8, 2, says=("2750",)))
def _(root: Path) -> Spec:
    classes(root / "2750", "Forest", "River")


@layout(
    "hf-metadata",
    "Hugging Face imagefolder with metadata.csv, the folder passed",
    Refused(("train", "10 images", "CSV")),
)
def _(root: Path) -> Spec:
    table(root / "train", "file_name,label", "{path},{label}", "metadata.csv")
    for path in (root / "train" / "images").iterdir():
        path.rename(root / "train" / path.name)
    (root / "train" / "images").rmdir()


@layout("hf-classes", "Hugging Face imagefolder: class folders below data", Used(CATS_DOGS, 10, 4))
def _(root: Path) -> Spec:
    classes(root / "data" / "train")
    classes(root / "data" / "test", count=2)
    write(root / "README.md", "---\nlicense: mit\n---")
    write(root / ".gitattributes")


@layout(
    "takeout", "Google Takeout: a JSON file beside every image", Used(CATS_DOGS, 8, 2, says=(".json 11", ".html 1"))
)
def _(root: Path) -> Spec:
    album = root / "Takeout" / "Album"
    classes(album)
    for image in list(album.rglob("*.jpg")):
        write(image.with_name(f"{image.name}.supplemental-metadata.json"), "{}")
    write(album / "cat" / "metadata.json", "{}")
    write(root / "Takeout" / "archive_browser.html", "<html>")


@layout("lightroom", "sidecar files: .xmp and YOLO .txt", Used(CATS_DOGS, 8, 2, says=(".txt 10", ".xmp 10")))
def _(root: Path) -> Spec:
    for image in list(classes(root).rglob("*.jpg")):
        write(image.with_suffix(".xmp"))
        write(image.with_suffix(".txt"))


# Folders of Windows and macOS


@layout("windows", "Thumbs.db, desktop.ini and a copied file", Used(CATS_DOGS, 9, 2))
def _(root: Path) -> Spec:
    classes(root)
    save(root / "cat" / "1 - Copy (2).jpg")
    for name in CATS_DOGS:
        write(root / name / "Thumbs.db")
        write(root / name / "desktop.ini")


@layout("windows-new-folder", "an empty folder beside the class folders", Refused(("New folder", "no images")))
def _(root: Path) -> Spec:
    classes(root)
    (root / "New folder").mkdir()


@layout(
    "macos-zip",
    "a zip file of the Finder: __MACOSX, ._ files, .DS_Store",
    Used(CATS_DOGS, 8, 2, says=(DRAWN,)),
    is_trained=True,
)
def _(root: Path) -> Spec:
    classes(root / "pets")
    write(root / "pets" / ".DS_Store")
    for name in CATS_DOGS:
        write(root / "__MACOSX" / "pets" / name / "._1.jpg")
    return zipped(root, root.parent / "pets.zip")


@layout("macos-usb", "._ files beside the images, on a memory card", Used(CATS_DOGS, 8, 2))
def _(root: Path) -> Spec:
    for image in list(classes(root).rglob("*.jpg")):
        write(image.with_name(f"._{image.name}"), b"\0\x05\x16\x07")
    write(root / ".Trashes" / "501" / "old.jpg")


@layout("synology", "@eaDir folders of a network drive", Used(CATS_DOGS, 8, 2))
def _(root: Path) -> Spec:
    classes(root)
    for name in CATS_DOGS:
        save(root / name / "@eaDir" / "1.jpg" / "SYNOPHOTO_THUMB_M.jpg")


# Splits


@layout("numbered-splits", "01_train, 02_val, 03_test", Used(CATS_DOGS, 10, 4, 4, says=("01_train is train",)))
def _(root: Path) -> Spec:
    for name, count in (("01_train", 5), ("02_val", 2), ("03_test", 2)):
        classes(root / name, count=count)


@layout("splits-of-three-letters", "trn, vld and tst", Refused(("trn", "tst")))
def _(root: Path) -> Spec:
    for name in ("trn", "vld", "tst"):
        classes(root / name)


@layout("k-fold", "fold1 to fold3 with class folders", Refused(("fold1", "fold3", "cat")))
def _(root: Path) -> Spec:
    for number in (1, 2, 3):
        classes(root / f"fold{number}", count=2)


@layout("k-fold-splits", "fold1 and fold2 with train and test in each", Refused(("fold1", "train", "test")))
def _(root: Path) -> Spec:
    for number in (1, 2):
        classes(root / f"fold{number}" / "train")
        classes(root / f"fold{number}" / "test", count=2)


@layout("train-only", "only a train folder", Used(CATS_DOGS, 8, 2, says=(DRAWN,)))
def _(root: Path) -> Spec:
    classes(root / "train")


@layout("test-only", "only a test folder", Refused(("test", "no train folder")))
def _(root: Path) -> Spec:
    classes(root / "test")


@layout("two-trains", "train and training", Refused(("train", "training", "Merge")))
def _(root: Path) -> Spec:
    classes(root / "train")
    classes(root / "training")


@layout(
    "test-lacks-class",
    "a class without test images",
    Used(("bird", "cat", "dog"), 15, 4, says=("without test images", "bird")),
)
def _(root: Path) -> Spec:
    classes(root / "train", "bird", "cat", "dog")
    classes(root / "test", count=2)


@layout("test-adds-class", "a class in test that train lacks", Refused(("fox", "missing from train")))
def _(root: Path) -> Spec:
    classes(root / "train")
    classes(root / "test", "cat", "dog", "fox", count=2)


@layout("splits-inside", "cat/train, cat/test, dog/train, dog/test", Refused(("cat", "test", "train", "outside")))
def _(root: Path) -> Spec:
    for name in CATS_DOGS:
        fill(root / name / "train")
        fill(root / name / "test", 2)


@layout("splits-in-names", "cat_train, cat_test, dog_train, dog_test", Refused(("cat_test", "cat_train")))
def _(root: Path) -> Spec:
    classes(root, "cat_train", "cat_test", "dog_train", "dog_test")


@layout("same-image-in-splits", "a copy of a training image in test", Used(CATS_DOGS, 10, 5))
def _(root: Path) -> Spec:
    classes(root / "train")
    classes(root / "test", count=2)
    write(root / "test" / "cat" / "copy.jpg", (root / "train" / "cat" / "1.jpg").read_bytes())


# Class folders


@layout(
    "numeric-order", "class_1, class_2 and class_10 are sorted as text", Used(("class_1", "class_10", "class_2"), 12, 3)
)
def _(root: Path) -> Spec:
    classes(root, "class_1", "class_2", "class_10")


@layout("dates", "one folder per day", Used(("2024-01-01", "2024-01-02"), 8, 2))
def _(root: Path) -> Spec:
    classes(root, "2024-01-01", "2024-01-02")


@layout("dates-of-classes", "one folder per day, with the classes inside", Refused(("2024-01-01", "cat", "same names")))
def _(root: Path) -> Spec:
    classes(root / "2024-01-01")
    classes(root / "2024-01-02")


@layout(
    "classes-of-dates",
    "one folder per class, with the days inside",
    Used(CATS_DOGS, 16, 4, says=("subfolder", "cat/2024-01-02 5")),
)
def _(root: Path) -> Spec:
    for name in CATS_DOGS:
        classes(root / name, "2024-01-01", f"2024-01-0{2 + (name == 'dog')}")


@layout(
    "taxonomy",
    "animals/cat, animals/dog, vehicles/car, vehicles/bus",
    Used(("animals", "vehicles"), 16, 4, says=("subfolder", "animals/cat 5")),
)
def _(root: Path) -> Spec:
    classes(root / "animals", "cat", "dog")
    classes(root / "vehicles", "bus", "car")


@layout("one-class", "a single class", Refused(("cat", "two")))
def _(root: Path) -> Spec:
    classes(root, "cat")


@layout("flat", "images without class folders", Refused(("5 images", "class folders")))
def _(root: Path) -> Spec:
    fill(root)


@layout("empty", "an empty folder", Refused(("no class folders",)))
def _(root: Path) -> Spec:
    return None


@layout("empty-class", "a class folder without files", Refused(("fox", "no images")))
def _(root: Path) -> Spec:
    classes(root)
    (root / "fox").mkdir()


@layout("one-image-per-class", "a gallery", Refused(("cat", "1 usable image")))
def _(root: Path) -> Spec:
    classes(root, count=1)


@layout("images-beside", "images beside the class folders", Used(CATS_DOGS, 8, 2, says=("2 images outside",)))
def _(root: Path) -> Spec:
    fill(classes(root), 2)


@layout("scripts-beside", "a folder of programs beside the class folders", Refused(("scripts", ".py 1")))
def _(root: Path) -> Spec:
    write(classes(root) / "scripts" / "split.py")


@layout(
    "foreign-names",
    "spaces, emoji, Hebrew, quotes, percent and comma in class names",
    Used(("50% off, new", "a 'b' c", "כלב", "🐱"), 16, 4),
    is_trained=True,
)
def _(root: Path) -> Spec:
    classes(root, "50% off, new", "a 'b' c", "כלב", "🐱")


@layout("case", "Cat and cat", Used(("Cat", "cat", "dog"), 12, 3, says=("Cat = cat", "case")))
def _(root: Path) -> Spec:
    classes(root, "Cat", "cat", "dog")


@layout("unicode", "café in two Unicode forms", Used(("café", "thé"), 12, 3, says=("Unicode form",)))
def _(root: Path) -> Spec:
    fill(root / "café", stem="a")
    fill(root / unicodedata.normalize("NFD", "café"), stem="b")
    fill(root / "thé")


@layout(
    "full-width",
    "names of Windows with trailing spaces and full-width letters",
    Used(("dog", "dog ", "\uff44og"), 12, 3, says=("spaces",)),
)
def _(root: Path) -> Spec:
    classes(root, "dog", "dog ", "\uff44og")


@layout("runs", "runs of tinysight beside the class folders", Used(CATS_DOGS, 8, 2, says=("runs of tinysight",)))
def _(root: Path) -> Spec:
    classes(root)
    for name in ("recipe.toml", "environment.json"):
        write(root / "runs" / "fast-1" / name)
    save(root / "runs" / "fast-1" / "plots" / "confidence.png")


@layout("run-itself", "a run instead of its images", Refused(("a run", "folder of images")))
def _(root: Path) -> Spec:
    for name in ("recipe.toml", "environment.json"):
        write(root / name)
    save(root / "plots" / "confidence.png")


# Links


@layout("link-farm", "class folders of links to a pool outside", Used(CATS_DOGS, 8, 2))
def _(root: Path) -> Spec:
    pool = fill(root.parent / "pool", 10)
    for number in range(1, 11):
        link = root / CATS_DOGS[number % 2] / f"{number}.jpg"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(pool / f"{number}.jpg")


@layout(
    "link-pool-inside",
    "class folders of links to a pool beside them",
    Used(("all", "cat", "dog"), 16, 4, says=("more than one label",)),
)
def _(root: Path) -> Spec:
    pool = fill(root / "all", 10)
    for number in range(1, 11):
        link = root / CATS_DOGS[number % 2] / f"{number}.jpg"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(pool / f"{number}.jpg")


@layout("broken-links", "links whose targets are gone", Refused(("cat/gone.jpg", "link")))
def _(root: Path) -> Spec:
    classes(root)
    for name in CATS_DOGS:
        (root / name / "gone.jpg").symlink_to(root / "nowhere.jpg")


@layout("link-loop", "a link to the folder itself", Used(CATS_DOGS, 8, 2, says=("link",)))
def _(root: Path) -> Spec:
    (classes(root) / "cat" / "loop").symlink_to(root)


# Archives


@layout("zip", "a zip file of class folders", Used(CATS_DOGS, 8, 2))
def _(root: Path) -> Spec:
    return zipped(classes(root), root.parent / "pets.zip")


@layout("zip-flat", "a zip file of images", Refused(("5 images", "class folders", "pets.zip")))
def _(root: Path) -> Spec:
    return zipped(fill(root), root.parent / "pets.zip")


@layout("zip-nested", "a zip file of zip files", Refused(("cat.zip", "npack")))
def _(root: Path) -> Spec:
    for name in CATS_DOGS:
        zipped(fill(root.parent / name), write(root / f"{name}.zip"))
    return zipped(root, root.parent / "pets.zip")


@layout("zip-in-classes", "a zip file in each class folder", Refused(("cat", ".zip 1")))
def _(root: Path) -> Spec:
    for name in CATS_DOGS:
        zipped(fill(root.parent / name), write(root / name / "images.zip"))


@layout("zip-backslashes", "a zip file of an old Windows program", Used(CATS_DOGS, 8, 2))
def _(root: Path) -> Spec:
    path = root.parent / "pets.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(classes(root).rglob("*.jpg")):
            archive.writestr(f"pets\\{file.parent.name}\\{file.name}", file.read_bytes())
    return path


@layout("zip-no-zip", "an HTML page saved as pets.zip", Refused(("pets.zip", "not a zip file")))
def _(root: Path) -> Spec:
    return write(root / "pets.zip", "<html>Sign in</html>")


@layout("tar", "a tar file of class folders", Refused(("pets.tar.gz", "npack")))
def _(root: Path) -> Spec:
    path = root.parent / "pets.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(classes(root), "pets")
    return path


@layout("seven-zip", "a 7z file", Refused(("pets.7z", "npack")))
def _(root: Path) -> Spec:
    return write(root / "pets.7z", b"7z\xbc\xaf\x27\x1c")


@layout("npz", "arrays in mnist.npz", Refused(("mnist.npz", "(X, y)")))
def _(root: Path) -> Spec:
    np.savez(root / "mnist.npz", x_train=np.zeros((4, 28, 28), np.uint8), y_train=np.zeros(4))
    return root / "mnist.npz"


@layout("npy-folder", "a folder of X.npy and y.npy", Refused((".npy 2",)))
def _(root: Path) -> Spec:
    np.save(root / "X.npy", np.zeros((4, 28, 28), np.uint8))
    np.save(root / "y.npy", np.zeros(4))


@layout("parquet", "a Parquet table of Hugging Face", Refused(("train.parquet", "DataFrame")))
def _(root: Path) -> Spec:
    return write(root / "train.parquet", b"PAR1")


@layout("image-itself", "one image instead of a folder", Refused(("1.jpg", "folder")))
def _(root: Path) -> Spec:
    return fill(root, 1) / "1.jpg"


@layout("cifar-batches", "the folder cifar-10-batches-py", Refused(("cifar-10-batches-py", "cifar10")))
def _(root: Path) -> Spec:
    for name in ("data_batch_1", "test_batch", "batches.meta"):
        write(root / "cifar-10-batches-py" / name)
    return root / "cifar-10-batches-py"


@layout("zip-code-page", "a zip file of DOS: names in code page 437", Used(("café", "thé"), 8, 2))
def _(root: Path) -> Spec:
    path = root.parent / "pets.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(classes(root, "caf@", "th@").rglob("*.jpg")):
            archive.write(file, file.relative_to(root))
    return write(path, path.read_bytes().replace(b"caf@", b"caf\x82").replace(b"th@/", b"th\x82/"))


@layout("csv-gz", "a compressed table", Refused(("labels.csv.gz", "npack")))
def _(root: Path) -> Spec:
    return write(root / "labels.csv.gz", b"\x1f\x8b")


# Tables


@layout("csv", "image and label", Used(CATS_DOGS, 8, 2))
def _(root: Path) -> Spec:
    return table(root)


@layout("csv-huggingface", "metadata.csv: file_name and label", Refused(("file_name", "Rename")))
def _(root: Path) -> Spec:
    return table(root, "file_name,label", name="metadata.csv")


@layout(
    "csv-keras", "flow_from_dataframe: filename and class", Refused(("'filename' to 'image'", "'class' to 'label'"))
)
def _(root: Path) -> Spec:
    return table(root, "filename,class")


@layout("csv-path-target", "path and target", Refused(("'path' to 'image'", "'target' to 'label'")))
def _(root: Path) -> Spec:
    return table(root, "path,target")


@layout("csv-two-paths", "filename and path, without image", Refused(("filename", "path", "image")))
def _(root: Path) -> Spec:
    return table(root, "filename,path,label", "{file},{path},{label}")


@layout("csv-index", "the row number that pandas writes", Used(CATS_DOGS, 8, 2, says=("not used",)))
def _(root: Path) -> Spec:
    return table(root, ",image,label", "{number},{path},{label}")


@layout("csv-is-valid", "fastai: a column is_valid", Used(CATS_DOGS, 8, 2, says=("is_valid",)))
def _(root: Path) -> Spec:
    return table(root, "image,label,is_valid", "{path},{label},False")


@layout("csv-semicolons", "Excel in Europe", Refused(("commas",)))
def _(root: Path) -> Spec:
    return table(root, "image;label", "{path};{label}")


@layout("csv-bom", "Excel: a byte order mark", Used(CATS_DOGS, 8, 2))
def _(root: Path) -> Spec:
    path = table(root)
    return write(path, b"\xef\xbb\xbf" + path.read_bytes())


@layout("csv-utf-16", "Excel: Unicode text", Refused(("UTF-8",)))
def _(root: Path) -> Spec:
    path = table(root)
    return write(path, path.read_text().encode("utf-16"))


@layout("csv-latin-1", "a Latin-1 class name", Refused(("UTF-8",)))
def _(root: Path) -> Spec:
    path = table(root)
    return write(path, path.read_text().replace("dog", "chié").encode("latin-1"))


@layout("csv-backslashes", "relative paths of Windows", Used(CATS_DOGS, 8, 2), is_trained=True)
def _(root: Path) -> Spec:
    path = table(root)
    return write(path, path.read_text().replace("images/", "images\\"))


@layout("csv-drive", "absolute paths of another computer", Refused(("C:", "no such file")))
def _(root: Path) -> Spec:
    path = table(root)
    return write(path, path.read_text().replace("images/", "C:\\Users\\me\\"))


@layout("csv-absolute", "absolute paths", Used(CATS_DOGS, 8, 2))
def _(root: Path) -> Spec:
    path = table(root)
    return write(path, path.read_text().replace("images/", f"{root}/images/"))


@layout("csv-urls", "Label Studio: image is an address", Refused(("https://example.org/cat1.jpg", "URL", "ownload")))
def _(root: Path) -> Spec:
    return table(root, line="https://example.org/{file},{label}")


@layout("label-studio", "Label Studio: image, id and choice", Refused(("label", "choice")))
def _(root: Path) -> Spec:
    return table(root, "image,id,choice,annotator", "{path},{number},{label},1")


@layout("csv-missing-files", "two rows whose files are missing", Refused(("2 of 12", "gone1.jpg")))
def _(root: Path) -> Spec:
    path = table(root)
    return write(path, path.read_text() + "images/gone1.jpg,cat\nimages/gone2.jpg,dog\n")


@layout(
    "csv-missing-skipped",
    "the same with skip_unreadable",
    Used(CATS_DOGS, 8, 2, says=("2 of 12", "gone1.jpg")),
    skip_unreadable=True,
)
def _(root: Path) -> Spec:
    path = table(root)
    return write(path, path.read_text() + "images/gone1.jpg,cat\nimages/gone2.jpg,dog\n")


@layout("csv-duplicates", "a row that occurs twice", Refused(("line 12", "line 2")))
def _(root: Path) -> Spec:
    path = table(root)
    return write(path, path.read_text() + "images/cat1.jpg,cat\n")


@layout("csv-one-hot", "one column per class", Refused(("label",)))
def _(root: Path) -> Spec:
    return table(root, "image,cat,dog", "{path},1,0")


@layout("csv-no-header", "no header", Refused(("image", "first line")))
def _(root: Path) -> Spec:
    return table(root, "images/cat0.jpg,cat")


@layout("csv-without-suffix", "Kaggle: ids instead of file names", Refused(("10 of 10", "cat1")))
def _(root: Path) -> Spec:
    path = table(root)
    return write(path, path.read_text().replace(".jpg", ""))


@layout("csv-numbers", "labels 0, 1 and 10", Used(("0", "1"), 8, 2))
def _(root: Path) -> Spec:
    path = table(root)
    return write(path, path.read_text().replace(",cat", ",0").replace(",dog", ",1"))


@layout("csv-splits", "splits TRAIN, Valid and testing", Used(CATS_DOGS, 6, 2, 2))
def _(root: Path) -> Spec:
    lines = table(root).read_text().splitlines()
    names = ("TRAIN", "TRAIN", "TRAIN", "Valid", "testing")
    rows = [f"{line},{names[number % 5]}" for number, line in enumerate(lines[1:])]
    return write(root / "data.csv", "\n".join(["image,label,split", *rows]))


@layout("tsv", "a table with tabs, data.tsv", Refused(("data.tsv", "CSV")))
def _(root: Path) -> Spec:
    return table(root, "image\tlabel", "{path}\t{label}", "data.tsv")


@layout("excel", "labels.xlsx", Refused(("labels.xlsx", "CSV")))
def _(root: Path) -> Spec:
    return write(root / "labels.xlsx", b"PK\x03\x04")


@layout("jsonl", "metadata.jsonl", Refused(("metadata.jsonl", "CSV")))
def _(root: Path) -> Spec:
    return write(root / "metadata.jsonl", '{"file_name": "1.jpg", "label": 0}')


# Image files


@layout(
    "kinds",
    "progressive, CMYK, gray, palette, LA, 1 bit, 16 bit, animated and multi-page images",
    Used(CATS_DOGS, 20, 6),
    is_trained=True,
)
def _(root: Path) -> Spec:
    for name in CATS_DOGS:
        folder = root / name
        save(folder / "progressive.jpg", progressive=True)
        save(folder / "cmyk.jpg", noise().convert("CMYK"))
        save(folder / "gray.jpg", noise().convert("L"))
        save(folder / "palette.png", noise().convert("P"), transparency=0)
        save(folder / "la.png", noise().convert("L").convert("LA"))
        save(folder / "one-bit.png", noise().convert("1"))
        deep = np.asarray(noise().convert("L")).astype(np.uint16) * 257
        save(folder / "sixteen.png", Image.fromarray(deep))
        save(folder / "sixteen.tif", Image.fromarray(deep))
        save(folder / "float.tif", Image.fromarray((deep / 65535).astype(np.float32)))
        save(folder / "animated.gif", save_all=True, append_images=[noise()])
        save(folder / "animated.webp", save_all=True, append_images=[noise()])
        save(folder / "animated.png", save_all=True, append_images=[noise()])
        save(folder / "pages.tiff", save_all=True, append_images=[noise()])


@layout("suffixes", ".JPG, .JPEG, .jfif, .Png and none", Used(CATS_DOGS, 8, 2))
def _(root: Path) -> Spec:
    for name in CATS_DOGS:
        for suffix in (".JPG", ".JPEG", ".jfif", ""):
            write(root / name / f"image{suffix}", encoded("JPEG"))
        save(root / name / "image.Png")


@layout("wrong-suffix", "PNG and WebP files named .jpg", Used(CATS_DOGS, 8, 2))
def _(root: Path) -> Spec:
    for name in CATS_DOGS:
        for number in range(5):
            write(root / name / f"{number}.jpg", encoded(("PNG", "WEBP")[number % 2]))


@layout("one-pixel", "images of 1x1 pixel", Used(CATS_DOGS, 8, 2))
def _(root: Path) -> Spec:
    for name in CATS_DOGS:
        for number in range(5):
            save(root / name / f"{number}.png", noise((1, 1)))


@layout("panorama", "images of 4,000x3 pixels", Used(CATS_DOGS, 8, 2))
def _(root: Path) -> Spec:
    for name in CATS_DOGS:
        for number in range(5):
            save(root / name / f"{number}.png", noise((4000, 3)))


@layout("twelve-bit", "a 12-bit TIFF, packed", Used(CATS_DOGS, 9, 2))
def _(root: Path) -> Spec:
    tags = [(256, 3, 8), (257, 3, 8), (258, 3, 12), (259, 3, 1), (262, 3, 1), (273, 4, 110), (277, 3, 1), (279, 4, 96)]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + b"\0" * 4
    write(classes(root) / "cat" / "deep.tif", head + bytes(range(96)))


BROKEN = {
    "page.jpg": b"<!DOCTYPE html><html><body>403 Forbidden</body></html>",
    "empty.jpg": b"",
    "pointer.jpg": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12345\n",
}


def broken(root: Path) -> Path:
    classes(root)
    for name, content in BROKEN.items():
        write(root / "cat" / name, content)
    write(root / "dog" / "cut.jpg", encoded("JPEG")[:300])
    return root


@layout(
    "broken",
    "a web page, an empty file, a Git LFS pointer and a truncated image named .jpg",
    Refused(("4 of 14", "page.jpg", "empty.jpg", "pointer.jpg", "cut.jpg")),
)
def _(root: Path) -> Spec:
    broken(root)


@layout(
    "broken-skipped",
    "the same with skip_unreadable",
    Used(CATS_DOGS, 8, 2, says=("4 of 14", "page.jpg", "cut.jpg")),
    skip_unreadable=True,
)
def _(root: Path) -> Spec:
    broken(root)


@layout(
    "other-kinds",
    "SVG, PDF, MP4, PSD, DNG and PPM beside JPEG images",
    Used(CATS_DOGS, 8, 2, says=("12 files of kinds that are not read",)),
)
def _(root: Path) -> Spec:
    classes(root)
    for name in CATS_DOGS:
        for suffix in (".svg", ".pdf", ".mp4", ".psd", ".dng", ".ppm"):
            write(root / name / f"file{suffix}", b"P6 1 1 255 abc" if suffix == ".ppm" else b"other")


@layout("gtsrb", "GTSRB: PPM images only, and a table in each class", Refused(("00000", ".ppm 5")))
def _(root: Path) -> Spec:
    for name in ("00000", "00001"):
        fill(root / name, suffix=".ppm")
        write(root / name / f"GT-{name}.csv", "Filename;Width\n")


@layout("black", "black images of a covered lens", Used(CATS_DOGS, 10, 2, says=("nearly black", "cat/black.png")))
def _(root: Path) -> Spec:
    for name in CATS_DOGS:
        save(classes(root, name) / name / "black.png", Image.new("RGB", (24, 20)))


@layout(
    "same-image-two-classes",
    "one image in two classes",
    Used(CATS_DOGS, 10, 2, says=("more than one label", "both.jpg")),
)
def _(root: Path) -> Spec:
    content = encoded("JPEG")
    for name in CATS_DOGS:
        write(classes(root, name) / name / "both.jpg", content)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="only layouts whose name contains this text; nothing is appended")
    only = parser.parse_args().only
    facts = stamp()
    for entry in LAYOUTS:
        if (only or "") in entry.name:
            done, wrong = outcome(entry)
            row = {"layout": entry.name, "stands_for": entry.stands_for, "done": done, "wrong": wrong, **facts}
            print(
                json.dumps(row if only is not None else append("foreign_layouts", row), ensure_ascii=False), flush=True
            )


def outcome(entry: Layout) -> tuple[str, list[str]]:
    """Return what was done with a layout, and how that differs from the expected outcome."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name).resolve()
        os.environ["TINYSIGHT_CACHE_DIR"] = str(home / "cache")
        root = home / "data"
        root.mkdir()
        spec = entry.build(root) or root
        try:
            dataset = tinysight.load_dataset(spec, skip_unreadable=entry.skip_unreadable)
        except TinysightError as error:
            message = " ".join(str(error).replace(str(home), "").split())
            return f"refused: {message}", refusal_faults(message, entry.expected)
        except Exception:
            return "traceback", [traceback.format_exc(limit=-1)]
        faults = [*use_faults(dataset, entry.expected), *file_faults(dataset, Path(spec))]
        if entry.is_trained:
            faults += training_faults(dataset, home)
        return description(dataset).replace(str(home), ""), faults


def description(dataset: Dataset) -> str:
    """Return the counts of a dataset and its notes, in one line."""
    total = np.sum([split.class_counts(len(dataset.class_names)) for split in dataset.splits.values()], axis=0)
    counts = ", ".join(f"{name} {count}" for name, count in zip(dataset.class_names, total, strict=True))
    splits = ", ".join(f"{name} {len(split)}" for name, split in dataset.splits.items())
    ignored = [f"Ignored: {finding.describe(3)}" for finding in dataset.report.ignored]
    return " ".join([f"used: {counts} ({splits}).", *notes(dataset), *ignored])


def notes(dataset: Dataset) -> list[str]:
    return [note for note in (*dataset.report.notes(), *dataset.notes) if DRAWN not in note]


def refusal_faults(message: str, expected: Used | Refused) -> list[str]:
    if isinstance(expected, Used):
        return ["should be used"]
    return [f"does not say {name!r}" for name in expected.names if name not in message]


def use_faults(dataset: Dataset, expected: Used | Refused) -> list[str]:
    if isinstance(expected, Refused):
        return ["should be refused"]
    sizes = {name: len(split) for name, split in dataset.splits.items() if len(split)}
    wanted = {"train": expected.train, "validation": expected.validation, "test": expected.test}
    said = " ".join([*dataset.report.notes(), *dataset.notes])
    return [
        *([f"classes {expected.classes}"] if dataset.class_names != expected.classes else []),
        *([f"splits {wanted}"] if sizes != {name: size for name, size in wanted.items() if size} else []),
        *(f"does not say {words!r}" for words in expected.says if words not in said),
    ]


def file_faults(dataset: Dataset, spec: Path) -> list[str]:
    """Check that each file of a folder or zip file is used or counted."""
    if spec.is_dir():
        files = sum(len(names) for _, _, names in os.walk(spec))
    elif spec.suffix == ".zip":
        files = sum(not info.is_dir() for info in zipfile.ZipFile(spec).infolist())
    else:
        return []
    counted = sum(map(len, dataset.splits.values()))
    for finding in (*dataset.report.skipped, *dataset.report.ignored):
        inside = [spec / name for name in finding.names if (spec / name).is_dir()]
        counted += finding.count - len(inside)
        counted += sum(len(names) for folder in inside if not folder.is_symlink() for _, _, names in os.walk(folder))
    return [] if counted == files else [f"{files} files, but {counted} used or counted"]


def training_faults(dataset: Dataset, home: Path) -> list[str]:
    """Train for an epoch and predict a test image."""
    run = tinysight.train("simple", dataset, epochs=1, out=home / "run")
    assert dataset.folder is not None
    (label,) = tinysight.predict(run, [dataset.folder / dataset.test.files[0]]).labels
    return [] if label in dataset.class_names else [f"predicts {label!r}"]


if __name__ == "__main__":
    main()
