"""Case B12 and the report of a source: used, skipped, suspicious."""

import shutil
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import tinysight as ts
from tinysight.data.dataset import Dataset, Split
from tinysight.data.display import contact_sheet
from tinysight.data.inspection import file_sizes, inspect
from tinysight.data.source_report import Finding, ReportBuilder, SourceReport

COLORS = ("blue", "green", "red")


def suspicious(data, **options):
    return [finding.describe() for finding in ts.load_dataset(data, **options).report.suspicious]


def test_an_ordinary_folder_has_nothing_to_report(folder, tmp_path):
    report = ts.load_dataset(folder(tmp_path, 6)).report
    assert report == SourceReport(used=18)
    assert report.notes() == ()


@pytest.mark.parametrize("suffix", [".png", ".bmp", ""])
def test_the_same_image_under_two_labels_is_reported_with_both(folder, tmp_path, suffix):
    folder(tmp_path, 6)
    if suffix == ".bmp":
        Image.open(tmp_path / "red/0.png").save(tmp_path / "blue/copy.bmp")
    else:
        shutil.copy(tmp_path / "red/0.png", tmp_path / f"blue/copy{suffix}")
    shutil.copy(tmp_path / "green/1.png", tmp_path / "green/copy.png")  # under one label
    assert suspicious(tmp_path) == [f"1 image under more than one label: blue/copy{suffix} (blue) = red/0.png (red)."]


def test_the_same_image_in_two_splits_and_three_classes_is_one_finding(folder, tmp_path):
    folder(tmp_path / "train", 6), folder(tmp_path / "test", 3)
    for copy in ("train/green/x.png", "test/blue/y.png"):
        shutil.copy(tmp_path / "train/red/0.png", tmp_path / copy)
    assert suspicious(tmp_path) == [
        "1 image under more than one label: test/blue/y.png (blue) = train/green/x.png (green) = train/red/0.png (red)."
    ]


def test_different_files_of_one_color_are_not_the_same_image(folder, tmp_path):
    folder(tmp_path, 6)
    Image.new("RGB", (9, 9), "teal").save(tmp_path / "red/a.png")
    Image.new("RGB", (30, 20), "teal").save(tmp_path / "blue/b.png")
    assert suspicious(tmp_path) == []
    shutil.copy(tmp_path / "red/a.png", tmp_path / "green/c.png")
    assert suspicious(tmp_path) == ["1 image under more than one label: green/c.png (green) = red/a.png (red)."]


def test_the_same_array_under_two_labels_is_reported():
    images = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3), np.uint8)
    images[13] = images[2]
    labels = np.repeat(["cat", "dog"], 10)
    (line,) = suspicious((images, labels), image_size=8)
    assert line.startswith("1 image under more than one label: ")
    assert "(cat) = " in line or "(dog) = " in line


@given(
    contents=st.lists(st.integers(0, 5), min_size=1, max_size=14),
    data=st.data(),
)
@settings(max_examples=50)
def test_contradictions_agree_with_a_comparison_of_all_pairs(contents, data):
    labels = data.draw(st.lists(st.integers(0, 2), min_size=len(contents), max_size=len(contents)))
    library = np.random.default_rng(1).integers(90, 256, (6, 3, 4, 4), np.uint8)
    pixels = library[contents]
    split = Split(pixels, np.array(labels, dtype=np.int64))
    empty = Split(pixels[:0], split.labels[:0])
    report = inspect(Dataset("x", split, empty, ("a", "b", "c"), "memory"))
    expected = {
        c
        for c, label in zip(contents, labels, strict=True)
        for d, other in zip(contents, labels, strict=True)
        if c == d and label != other
    }
    found = [finding.count for finding in report.suspicious if finding.reason == "under more than one label"]
    assert found == ([len(expected)] if expected else [])


def test_nearly_black_and_fully_transparent_images_are_reported(folder, tmp_path, pic):
    folder(tmp_path, 6)
    Image.new("RGB", (9, 9)).save(tmp_path / "red/black.png")
    noise = np.random.default_rng(0).integers(0, 12, (40, 40, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "blue/dark.png")
    strokes = np.zeros((32, 32), np.uint8)
    strokes[:2] = 255  # a drawing on black
    Image.fromarray(strokes).save(tmp_path / "green/drawing.png")
    clear = pic("red").convert("RGBA")
    clear.putalpha(0)
    clear.save(tmp_path / "green/clear.png")
    clear.save(tmp_path / "green/clear.webp", lossless=True)
    Image.new("RGB", (9, 9), "white").save(tmp_path / "green/white.png")
    assert suspicious(tmp_path) == [
        "2 images of nearly black pixels: blue/dark.png, red/black.png.",
        "2 images of fully transparent pixels: green/clear.png, green/clear.webp.",
    ]


def test_classes_with_few_images_are_reported(folder, tmp_path):
    folder(tmp_path, 70, ("red", "blue"))
    folder(tmp_path, 7, ("green",))
    assert suspicious(tmp_path) == ["1 class with few images: green (7)."]
    (tmp_path / "red/0.png").rename(tmp_path / "green/more.png")
    assert suspicious(tmp_path) == []


@pytest.mark.parametrize(("first", "second"), [("Red", "red"), ("straße", "STRASSE"), ("red ", "red"), ("ﬁsh", "fish")])
def test_names_that_differ_only_by_case_or_unicode_form_are_reported(tmp_path, pic, first, second):
    for name in (first, second, "other"):
        (tmp_path / name).mkdir(exist_ok=True)
        for number in range(5):
            pic("blue", 100 * len(name) + number + 7 * (name == first)).save(tmp_path / name / f"{number}.png")
    if len(list(tmp_path.iterdir())) < 3:
        pytest.skip("this file system does not distinguish these names")
    assert suspicious(tmp_path) == [
        "1 group of class names that differ only by case, spaces or Unicode form: "
        f"{' = '.join(sorted((first, second)))}."
    ]


def test_labels_of_a_table_are_compared_in_one_unicode_form(folder, tmp_path):
    folder(tmp_path, 6)
    forms = ("NFC", "NFD")
    rows = [f"red/{n}.png,{unicodedata.normalize(forms[n % 2], 'café')}" for n in range(6)]
    rows += [f"blue/{n}.png,tea" for n in range(5)] + ["blue/5.png,Tea "]
    (tmp_path / "x.csv").write_text("\n".join(["image,label", *rows[:-1]]), encoding="utf-8")
    dataset = ts.load_dataset(tmp_path / "x.csv")
    assert dataset.class_names == ("café", "tea")
    assert dataset.report == SourceReport(used=11)


@pytest.mark.parametrize(
    ("data", "used"), [("shapes:train=30,test=10", 40), ((np.arange(12 * 64).reshape(12, 8, 8) % 251, "ab" * 6), 12)]
)
def test_every_source_reports_what_it_used(data, used):
    if isinstance(data, tuple):
        data = (data[0].astype(np.uint8)[..., None].repeat(3, -1), list(data[1]))
    assert ts.load_dataset(data, image_size=8).report.used == used


def test_findings_are_described_with_counts_kinds_and_first_names():
    builder = ReportBuilder()
    for number in range(12):
        builder.skip("file", "of kinds that are not read", f"{number:02}.x", ".tif" if number < 4 else f".{number:02}")
    for number in range(12):
        builder.skip("link", "that are broken", f"a\n{number}" if number == 0 else f"{number:02}")
    builder.skip("class", "without a name", "x")
    kinds, names, one = builder.build(3).skipped
    assert kinds.describe(3) == "12 files of kinds that are not read: .tif 4, .04 1, .05 1 and 6 more."
    assert names.describe() == r"12 links that are broken: 'a\n0', 01, 02, 03, 04, 05, 06, 07, 08, 09 and 2 more."
    assert (one.describe(), Finding("class", "empty", 2).describe()) == (
        "1 class without a name: x.",
        "2 classes empty.",
    )


def test_data_info_prints_the_report_a_histogram_sizes_and_writes_a_sheet(folder, tmp_path, tinysight, pic):
    data = folder(tmp_path / "J/train", 10).parent
    folder(data / "Valid", 2)
    for number in range(10, 30):
        pic("red", number).resize((96, 20)).save(data / f"train/red/{number}.png")
    shutil.copy(data / "train/red/0.png", data / "train/blue/copy.png")
    (data / "train/red/a.tiff2").write_bytes(b"x")
    (data / ".DS_Store").write_bytes(b"x")
    outcome = tinysight("data", "info", "--data", data, "--sheet", "sheet.png")
    assert outcome.code == 0
    cues = [line for line in outcome.out.splitlines() if line.startswith("cue:")]
    assert any("color alone tells the class" in line for line in cues)  # the classes are colors
    lines = [line for line in outcome.out.splitlines() if line not in cues]
    bars = {line.split()[1]: line.count("█") + line.count("#") for line in lines if line.startswith("│")}
    assert bars == {"red": 20, "green": round(20 * 12 / 32), "blue": round(20 * 13 / 32)}
    assert lines[-8:] == [
        "file sizes:  width 48 to 96 (median 48), height 20 to 40 (median 40) pixels; n = 57",
        "used:        57 images",
        "layout:      Split folders: Valid is validation.",
        "not used:    1 file of kinds that are not read: .tiff2 1.",
        "ignored:     1 file of the operating system, or hidden: .DS_Store.",
        "suspicious:  1 image under more than one label: train/blue/copy.png (blue) = train/red/0.png (red).",
        lines[-2],
        "sheet:       sheet.png",
    ]
    assert lines[-2].startswith("note:        The folder has no test split.")
    with Image.open("sheet.png") as sheet:
        colors = np.asarray(sheet.convert("RGB"))[30:60, 10:60].reshape(-1, 3).mean(0)
        assert colors.argmax() == 2  # the first row is blue
        assert sheet.height > 3 * 64


def test_file_sizes_of_arrays_are_unknown():
    assert file_sizes(ts.load_dataset("shapes:train=30,test=10")) is None


def test_training_and_audit_print_contradicting_labels(folder, tmp_path, tinysight):
    data = folder(tmp_path / "J", 30)
    shutil.copy(data / "red/0.png", data / "blue/copy.png")
    line = "Suspicious: 1 image under more than one label: blue/copy.png (blue) = red/0.png (red)."
    trained = tinysight("train", "early-stopping", "--epochs", 1, "--data", data, "--out", "run")
    assert line in trained.err
    assert line in tinysight("audit", "run", "--minutes", "0.05").err


def test_classes_that_a_split_lacks_are_reported(folder, tmp_path):
    folder(tmp_path / "train", 6), folder(tmp_path / "val", 5, ("red", "blue")), folder(tmp_path / "test", 5, ("red",))
    assert suspicious(tmp_path) == [
        "1 class without validation images: green.",
        "2 classes without test images: blue, green.",
    ]


def test_broken_links_are_counted(folder, tmp_path):
    folder(tmp_path, 6)
    (tmp_path / "red/gone").symlink_to("nowhere")
    (tmp_path / "gone").symlink_to("nowhere")
    (finding,) = ts.load_dataset(tmp_path).report.skipped
    assert finding.describe() == "2 links without a target: gone, red/gone."


@pytest.mark.parametrize("number", [1, 3, 25])
def test_a_contact_sheet_has_a_row_of_images_for_each_class(number):
    colors = np.array([[250, 10, 10], [10, 250, 10], [10, 10, 250]], np.uint8)
    labels = np.repeat([0, 1, 2], number)
    pixels = np.broadcast_to(colors[labels][:, :, None, None], (3 * number, 3, 8, 8)).copy()
    split = Split(pixels, labels.astype(np.int64))
    sheet = contact_sheet(Dataset("x", split, split, ("a", "b\x1b[2J", "c"), "memory"))
    values = np.asarray(sheet).reshape(-1, 3)
    shown = min(number, 10) * 64 * 64  # pixels of each color
    assert [int((values == color).all(1).sum()) for color in colors] == [shown] * 3
    red, green, blue = (np.flatnonzero((np.asarray(sheet) == color).all(2).any(1)) for color in colors)
    assert red.max() < green.min() <= green.max() < blue.min()


def test_a_contact_sheet_of_many_classes_stays_small():
    labels = np.arange(300)
    split = Split(np.zeros((300, 3, 4, 4), np.uint8), labels.astype(np.int64))
    sheet = contact_sheet(Dataset("x", split, split, tuple(map(str, labels)), "memory"))
    assert sheet.height < 100 * 110
