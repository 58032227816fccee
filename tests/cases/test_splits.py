"""Case B11: groups and near-duplicates that must not be in training and in test at once."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter

import tinysight as ts
from tinysight._util.errors import DataError, RecipeError
from tinysight._util.progress import SilentProgress
from tinysight.data.arrange import arrange
from tinysight.data.load import load
from tinysight.data.splits import split_dataset
from tinysight.recipes.schema import DataSection


def scene(seed):
    """A smooth random image, (32, 32, 3)."""
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(32, 32, 3)), (3, 3, 0))
    return (128 + 50 * noise / noise.std()).clip(0, 255)


def save(image, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(path)


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    """DIR/CLASS/SCENE/FRAME.png: 2 classes of 8 scenes of 6 noisy frames each."""
    root = tmp_path_factory.mktemp("frames")
    for number in range(16):
        for frame in range(6):
            noise = np.random.default_rng(100 * number + frame).normal(0, 4, (32, 32, 3))
            save(scene(number) + noise, root / ("cat", "dog")[number % 2] / f"scene{number}" / f"{frame}.png")
    return root


def scenes_by_split(dataset, data=None, seed=0):
    """The scenes of the training, validation and test images."""
    split = split_dataset(dataset, data or DataSection(), seed)
    files = [split.train.files[index] for index in split.train_indices], split.validation.files, dataset.test.files
    return [{file.split("/")[-2] for file in part} for part in files]


def are_disjoint(parts):
    return sum(map(len, parts)) == len(set().union(*parts))


def train(source, out, **options):
    notes = []

    class Notes(SilentProgress):
        def note(self, text):
            notes.append(text)

    overrides = ["training.epochs=1", "data.validation_fraction=0.25"]
    run = ts.train("early-stopping", source, out=out, overrides=overrides, progress=Notes(), **options)
    return run, notes


@pytest.mark.parametrize(
    "data",
    [
        DataSection(group="parent"),
        DataSection(group=r"(scene\d+)/"),
        DataSection(near_duplicates="keep-together"),
        DataSection(group="parent", near_duplicates="keep-together"),
    ],
    ids=["parent", "regex", "keep-together", "both"],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_scenes_are_never_split(frames, data, seed):
    dataset = load(frames)
    assert not are_disjoint(scenes_by_split(dataset))  # by default, they are
    parts = scenes_by_split(arrange(dataset, data), data, seed)
    assert are_disjoint(parts)
    assert all(parts)
    assert len(set().union(*parts)) == 16


def test_no_image_is_lost_or_changed_when_the_test_split_is_drawn_again(frames):
    dataset = load(frames)
    arranged = arrange(dataset, DataSection(group="parent"))
    assert arranged.has_drawn_test

    def content(dataset):
        return {
            (file, int(label), pixels.tobytes())
            for part in dataset.splits.values()
            for file, label, pixels in zip(part.files, part.labels, part.pixels, strict=True)
        }

    assert content(arranged) == content(dataset)
    assert len(arranged.test) == pytest.approx(0.2 * 96, abs=6)


def test_weights_stay_with_their_images(frames):
    dataset = load(frames)
    weighted = {
        name: replace(part, weights=part.pixels.mean((1, 2, 3)).astype(np.float32))
        for name, part in dataset.splits.items()
    }
    arranged = arrange(replace(dataset, **weighted), DataSection(group="parent"))
    for part in arranged.splits.values():
        assert part.weights == pytest.approx(part.pixels.mean((1, 2, 3)))


def test_the_default_leaves_the_dataset_as_it_is(frames):
    dataset = load(frames)
    assert arrange(dataset, DataSection()) is dataset


def test_groups_of_a_folder_with_a_test_split_must_not_be_on_both_sides(tmp_path):
    for name in ("train/cat/anna", "train/dog/bob", "test/cat/anna", "test/dog/carl"):
        for number in range(2):
            save(scene(number), tmp_path / "split" / name / f"{number}.png")
    with pytest.raises(DataError) as error:
        arrange(load(tmp_path / "split"), DataSection(group="parent"))
    assert str(error.value) == "split: group 'anna' is in train and test. Put each group into one split."


def test_a_file_without_a_group_is_refused_by_name(photos):
    with pytest.raises(DataError, match=r"^cat/\d\d\.png: not in a folder below its class\. Move it into the folder"):
        arrange(load(photos), DataSection(group="parent"))
    with pytest.raises(DataError, match=r"^cat/\d\d\.png: has no group, because data.group '\(x\+\)' does not match"):
        arrange(load(photos), DataSection(group="(x+)"))
    with pytest.raises(DataError, match=r"^shapes: its images have no file names to take groups from\. Remove"):
        arrange(load("shapes:train=40,test=20"), DataSection(group="parent"))


@pytest.mark.parametrize(
    ("group", "problem"),
    [
        ("scene", "group has 0 groups in parentheses, but it must have one. Write for example '(scene[0-9]+)'."),
        ("(", "group is not a regular expression (missing ), unterminated subpattern at position 0). Correct it, or"),
    ],
)
def test_a_wrong_expression_is_refused(group, problem):
    with pytest.raises(RecipeError) as error:
        ts.train("simple", "shapes", group=group)
    assert str(error.value).startswith(f"simple: data: {problem}")


def test_train_warns_before_training_with_the_count(frames, tmp_path):
    run, notes = train(frames, tmp_path / "run")
    (warning,) = [note for note in notes if note.startswith("Near-duplicates")]
    dataset = load(frames)
    train_scenes, _, _ = scenes_by_split(dataset, run.recipe().data)
    files = [*split_dataset(dataset, run.recipe().data, 0).validation.files, *dataset.test.files]
    count = sum(file.split("/")[-2] in train_scenes for file in files)
    assert count > 30
    assert warning == (
        f"Near-duplicates: {count} of {len(files)} validation and test images are almost identical to a training "
        'image, so their accuracy is too high. Set data.near_duplicates to "keep-together" or "drop".'
    )


def test_train_does_not_warn_where_there_are_none(photos, tmp_path):
    assert not [note for note in train("shapes:train=100,test=30", tmp_path / "run")[1] if "Near-dup" in note]


@pytest.mark.parametrize("options", [{"group": "parent"}, {"near_duplicates": "keep-together"}])
def test_a_run_with_groups_opens_its_own_split_again(frames, tmp_path, options):
    run, notes = train(frames, tmp_path / "run", **options)
    assert not [note for note in notes if "almost identical" in note]
    expected = arrange(load(frames), run.recipe().data)
    assert ts.evaluate(run).n == len(expected.test)
    assert ts.evaluate(run, load(frames)).n == len(expected.test)
    assert ts.evaluate(run, split="validation").n == run.summary().val_images


def test_drop_leaves_out_training_images_and_says_how_many(tmp_path):
    random = np.random.default_rng(0)
    for number in range(40):
        image, name = scene(number), ("cat", "dog")[number % 2]
        save(image, tmp_path / "data/train" / name / f"{number}.png")
        if number < 6:
            save(image + random.normal(0, 3, image.shape), tmp_path / "data/test" / name / f"copy{number}.png")
        elif number < 10:
            save(scene(1000 + number), tmp_path / "data/test" / name / f"{number}.png")
    run, notes = train(tmp_path / "data", tmp_path / "run", near_duplicates="drop")
    dataset = load(tmp_path / "data")
    split = split_dataset(dataset, run.recipe().data, 0)
    used = {split.train.files[index] for index in split.train_indices}
    copied = {f"train/{('cat', 'dog')[number % 2]}/{number}.png" for number in range(6)}
    in_validation = copied & set(split.validation.files)
    assert not used & copied
    assert len(used) == 40 - len(split.validation) - len(copied - in_validation)
    assert split.n_dropped == len(copied - in_validation) > 0
    assert f"Near-duplicates of validation and test images: {split.n_dropped} training images left out." in notes


def test_dropping_every_image_of_a_class_is_refused(tmp_path):
    for number in range(8):
        for split in ("train", "test"):
            save(scene(number % 2), tmp_path / "data" / split / ("cat", "dog")[number % 2] / f"{number}.png")
    with pytest.raises(
        DataError, match=r"^data: without near-duplicates of validation and test images, a class has no"
    ):
        split_dataset(load(tmp_path / "data"), DataSection(near_duplicates="drop"), 0)


def test_the_command_line_takes_both_options(tinysight, frames, tmp_path):
    base = ["train", "early-stopping", "--data", frames, "--epochs", 1, "--set", "data.validation_fraction=0.25"]
    outcome = tinysight(*base, "--group", r"(scene\d+)", "--dedup", "drop", "--out", tmp_path / "run")
    assert outcome.code == 0
    data = ts.Run.open(tmp_path / "run").recipe().data
    assert (data.group, data.near_duplicates) == (r"(scene\d+)", "drop")
    assert "Near-duplicates of validation and test images: 0 training images left out." in outcome.err


@pytest.mark.parametrize("options", [{"group": "parent"}, {"near_duplicates": "keep-together"}])
def test_cross_validation_keeps_scenes_in_one_fold(frames, tmp_path, options):
    out = tmp_path / "cv"
    result = ts.cross_validate("early-stopping", frames, folds=3, out=out, epochs=1, **options)
    assert result.grouped
    assert result.n == 96
    assert "not independent" in result.method
    fold_of = {}
    for line in (out / "out_of_fold.csv").read_text().splitlines()[1:]:
        file, _, _, fold = line.split(",")
        assert fold_of.setdefault(file.split("/")[1], fold) == fold
    assert set(fold_of.values()) == {"1", "2", "3"}


@pytest.fixture(scope="module")
def timed(tmp_path_factory):
    """A table of 40 images, one a day, in random order; two images a visit."""
    root = tmp_path_factory.mktemp("timed")
    lines = []
    for day in range(40):
        save(scene(day), root / f"{day}.png")
        lines.append(
            f"{day}.png,{('cat', 'dog')[day % 3 == 0]},2026-0{1 + day // 28}-{1 + day % 28:02},visit {day // 2}"
        )
    order = np.random.default_rng(0).permutation(40)
    (root / "images.csv").write_text("\n".join(["image,label,time,group", *(lines[index] for index in order)]))
    (root / "alone.csv").write_text(
        "\n".join(["image,label,time", *(lines[index].rpartition(",")[0] for index in order)])
    )
    return root


def days(part):
    return sorted(int(file.removesuffix(".png")) for file in part.files)


def test_the_newest_images_are_test_images_and_those_before_them_validation_images(timed):
    data = DataSection(split="time", validation_fraction=0.25)
    dataset = arrange(load(timed / "alone.csv"), data)
    split = split_dataset(dataset, data, 0)
    assert (days(split.train), days(split.validation), days(dataset.test)) == (
        list(range(24)),
        list(range(24, 32)),
        list(range(32, 40)),
    )
    assert len(split.train_indices) == 24


@settings(max_examples=10)
@given(fraction=st.floats(0.05, 0.6))
def test_groups_stay_whole_when_the_split_is_by_time(timed, fraction):
    dataset = arrange(load(timed / "images.csv"), DataSection(split="time", validation_fraction=fraction))
    parts = [days(part) for part in dataset.splits.values()]
    assert are_disjoint([{day // 2 for day in part} for part in parts])
    assert max(parts[0]) < min(parts[1]) <= max(parts[1]) < min(parts[2])


def test_numbers_are_times_too_and_other_text_is_refused(timed):
    text = (timed / "alone.csv").read_text().splitlines()
    rows = [line.split(",") for line in text[1:]]
    numbers = [f"{file},{label},{1e6 - int(file.removesuffix('.png'))}" for file, label, _ in rows]
    (timed / "numbers.csv").write_text("\n".join([text[0], *numbers]))
    assert days(arrange(load(timed / "numbers.csv"), DataSection(split="time")).test) == list(range(8))
    (timed / "wrong.csv").write_text("\n".join([text[0], *numbers[1:], f"{rows[0][0]},{rows[0][1]},yesterday"]))
    with pytest.raises(DataError) as error:
        arrange(load(timed / "wrong.csv"), DataSection(split="time"))
    assert str(error.value) == f"{rows[0][0]}: its time 'yesterday' is neither a number nor an ISO date. Correct it."
    load(timed / "wrong.csv")  # without a split by time, the column is not read


def test_a_split_by_time_needs_times(photos):
    with pytest.raises(DataError, match=r"^.*: its images have no times\. Use a table with a column time\.$"):
        arrange(load(photos), DataSection(split="time"))


def test_a_run_split_by_time_opens_its_test_images_again(timed, tmp_path):
    overrides = ["training.epochs=1", "data.split=time"]
    run = ts.train("early-stopping", timed / "alone.csv", out=tmp_path / "run", overrides=overrides)
    assert ts.evaluate(run).n == 8


def test_a_run_with_groups_is_measured_on_other_images_that_have_none(frames, tmp_path):
    for number in range(12):
        save(scene(500 + number), tmp_path / "new" / ("cat", "dog")[number % 2] / f"{number}.png")
    run, _ = train(frames, tmp_path / "run", group="parent")
    assert ts.evaluate(run, tmp_path / "new").n == 12
