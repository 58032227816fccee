"""Changed runs: images of a probe that are added, removed or relabeled."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tinysight as ts
from tinysight._util.errors import DataError, InputError, RunError
from tinysight.data.sources.table import read_csv
from tinysight.runs.artifacts import RunArtifacts
from tinysight.runs.run import Run

COLORS = {"blue": (0, 0, 1), "green": (0, 1, 0), "red": (1, 0, 0), "yellow": (1, 1, 0)}


def draw(folder, color, count, seed):
    """Write noisy images of one color."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        pixels = random.integers(0, 150, (40, 40, 3)) + 100 * np.array(COLORS[color])
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number:02}.png")
    return folder


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    path = tmp_path_factory.mktemp("backbone") / "run"
    return ts.train("early-stopping", "shapes:train=100,test=30,seed=5", out=path, epochs=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder of 20 images each of two colors."""
    path = tmp_path_factory.mktemp("data") / "colors"
    draw(path / "red", "red", 20, 1)
    draw(path / "blue", "blue", 20, 2)
    return path


@pytest.fixture(scope="module")
def green(tmp_path_factory):
    return draw(tmp_path_factory.mktemp("new") / "green", "green", 10, 3)


@pytest.fixture(scope="module")
def probe(backbone, folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("probe") / "run"
    return ts.train("probe", folder, out=path, overrides=[f"model.backbone={backbone.path}"], precision="fp32")


@pytest.fixture(scope="module")
def added(probe, green, tmp_path_factory):
    """The probe with a third class."""
    return ts.add_images(probe, "green", green, out=tmp_path_factory.mktemp("added") / "run")


@pytest.fixture
def from_scratch(backbone, tmp_path, monkeypatch):
    """Return a function that trains the recipe on a table, without cached features or pixels."""

    def train(table):
        monkeypatch.setenv("TINYSIGHT_CACHE_DIR", str(tmp_path / "empty-cache"))
        return ts.train(
            "probe",
            table,
            out=tmp_path / "from-scratch",
            overrides=[f"model.backbone={backbone.path}"],
            precision="fp32",
        )

    return train


def rows_of(run):
    """Return the label and the split of each image of a changed run, by the name of its folder and file."""
    rows = read_csv(run.dataset_table).rows
    return {"/".join(Path(row.image).parts[-2:]): (row.label, row.split) for row in rows}


def assert_same_classifier(run, other):
    classifiers = run.classifier(), other.classifier()
    assert classifiers[0].class_names == classifiers[1].class_names
    weights = [classifier.network.state_dict() for classifier in classifiers]
    for name, tensor in weights[0].items():
        np.testing.assert_allclose(tensor.numpy(), weights[1][name].numpy(), rtol=2e-7, atol=1e-6)
    pixels = np.random.default_rng(0).integers(0, 256, (50, 3, 32, 32), dtype=np.uint8)
    probabilities = [classifier.probabilities(pixels) for classifier in classifiers]
    np.testing.assert_allclose(*probabilities, rtol=0, atol=1e-6)
    for field in ("temperature", "abstain_below", "set_threshold", "ood_threshold"):
        values = [getattr(classifier.spec, field) for classifier in classifiers]
        assert values[0] == pytest.approx(values[1], abs=1e-5)


def test_an_added_class_gives_the_weights_of_training_from_scratch(added, from_scratch):
    assert added.class_names() == ("blue", "green", "red")
    assert_same_classifier(added, from_scratch(added.dataset_table))


def test_images_of_the_run_keep_their_split(probe, added):
    index = probe.image_index()
    uses = ["train", "validation", "test"]
    before = {name: uses[use] for name, use in zip(index.files, index.uses, strict=True)}
    after = rows_of(added)
    assert before == {name: after[name][1] for name in before}


def test_a_new_class_is_split_like_the_run(added):
    splits = [split for label, split in rows_of(added).values() if label == "green"]
    assert {name: splits.count(name) for name in splits} == {"train": 7, "validation": 1, "test": 2}


def test_the_old_run_is_not_changed(probe, green, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in probe.path.rglob("*")}
    ts.add_images(probe, "green", green, out=tmp_path / "run")
    assert before == {path: path.stat().st_mtime_ns for path in probe.path.rglob("*")}


def test_change_json_has_the_scores_before_and_after(probe, added):
    change = RunArtifacts(added).change()
    assert (change.action, change.label, change.new_classes) == ("added", "green", ("green",))
    assert change.images == {"train": 7, "validation": 1, "test": 2}
    assert change.before.score == probe.summary().val_accuracy
    assert (change.before.n, change.after.n) == (4, 5)
    old = ts.predict(probe, _validation_pixels(probe, added))
    labels = [name for name, _ in _validation_images(probe, added)]
    assert change.before_on_both.n == 4
    assert change.before_on_both.score == np.mean(np.array(old.labels) == labels)
    assert RunArtifacts(probe).change() is None
    assert added.summary().notes[0] == "Changed from the run run: 10 images added as 'green'."
    assert added.summary().dataset == probe.summary().dataset


def _validation_images(probe, added):
    rows = read_csv(added.dataset_table).rows
    return [(row.label, row.image) for row in rows if row.split == "validation" and row.label in probe.class_names()]


def _validation_pixels(probe, added):
    dataset = ts.load_dataset(added.dataset_table, 32)
    files = [image for _, image in _validation_images(probe, added)]
    return dataset.validation.pixels[[dataset.validation.files.index(file) for file in files]]


def test_the_new_run_is_evaluated_and_changed_again(added, folder, tmp_path, from_scratch):
    assert ts.evaluate(added).n == 10
    more = draw(tmp_path / "more", "red", 5, 9)
    again = ts.add_images(added, "red", more, out=tmp_path / "again")
    assert len(rows_of(again)) == 55
    assert_same_classifier(again, from_scratch(again.dataset_table))


def test_forgetting_is_retraining_without_the_images(added, backbone, from_scratch, tmp_path):
    victims = [row.image for row in read_csv(added.dataset_table).rows if row.split == "train"][:3]
    forgotten = ts.forget(added, victims, out=tmp_path / "forgotten")
    lines = added.dataset_table.read_text().splitlines()
    table = tmp_path / "without.csv"
    table.write_text("\n".join(line for line in lines if line.split(",")[0] not in victims))
    assert_same_classifier(forgotten, from_scratch(table))
    report, test = RunArtifacts(forgotten).unlearning(), ts.load_dataset(table, 32).test
    correct = [
        np.mean(run.classifier().probabilities(test.pixels).argmax(1) == test.labels) for run in (added, forgotten)
    ]
    assert (report.accuracy_before, report.accuracy_after) == pytest.approx(correct)
    with pytest.raises(DataError, match=r"^.*: excluded from .*\. Leave it out\.$"):
        ts.add_images(forgotten, "green", victims[0], out=tmp_path / "run")
    changed = ts.remove_images(forgotten, [forgotten_image(forgotten, victims)], out=tmp_path / "run")
    assert not set(victims) & {row.image for row in read_csv(changed.dataset_table).rows}


def forgotten_image(run, victims):
    """Return a training image that is not forgotten."""
    rows = read_csv(Path(run.environment().dataset.argument)).rows
    return next(row.image for row in rows if row.split == "train" and row.image not in victims)


def test_removed_images_have_no_influence(probe, folder, from_scratch, tmp_path):
    """The reference is a copy of the folder's table without the images."""
    names = ["red/00.png", "red/01.png", "blue/05.png"]
    removed = ts.remove_images(probe, names, out=tmp_path / "run")
    assert set(rows_of(removed)) == {
        f"{color}/{number:02}.png" for color in ("red", "blue") for number in range(20)
    } - {*names}
    assert_same_classifier(removed, from_scratch(removed.dataset_table))


@pytest.mark.parametrize("how", ["id", "file", "copy", "csv"])
def test_images_are_found_by_id_file_content_or_list(probe, folder, how, tmp_path):
    copy = Path(shutil.copy(folder / "red/03.png", tmp_path / "copy.png"))
    listed = tmp_path / "ids.csv"
    listed.write_text("image\nred/03.png\n")
    name = {"id": "red/03.png", "file": folder / "red/03.png", "copy": copy, "csv": listed}[how]
    removed = ts.remove_images(probe, name, out=tmp_path / "run")
    assert len(rows_of(removed)) == 39
    assert "red/03.png" not in rows_of(removed)


def test_a_class_without_images_is_removed(added, green, tmp_path):
    removed = ts.remove_images(added, green, out=tmp_path / "run")
    assert removed.class_names() == ("blue", "red")
    assert RunArtifacts(removed).change().removed_classes == ("green",)


def test_corrected_labels_equal_training_on_correct_labels(probe, backbone, folder, from_scratch, tmp_path):
    """Two red images lie in the folder of the other class."""
    wrong = tmp_path / "wrong"
    shutil.copytree(folder, wrong)
    for number in (20, 21):
        draw(tmp_path / "extra", "red", 22, 7)
        shutil.copy(tmp_path / "extra" / f"{number}.png", wrong / "blue" / f"{number}.png")
    overrides = [f"model.backbone={backbone.path}"]
    run = ts.train("probe", wrong, out=tmp_path / "probe", overrides=overrides, precision="fp32")
    fixed = ts.relabel_images(run, "red", ["blue/20.png", wrong / "blue/21.png"], out=tmp_path / "fixed")
    after = rows_of(fixed)
    assert [after[f"blue/{number}.png"][0] for number in (19, 20, 21)] == ["blue", "red", "red"]
    assert_same_classifier(fixed, from_scratch(fixed.dataset_table))


def test_images_in_memory_are_kept_in_the_run(backbone, tmp_path, from_scratch):
    data = "shapes:train=120,test=40"
    overrides = [f"model.backbone={backbone.path}"]
    run = ts.train("probe", data, out=tmp_path / "probe", overrides=overrides, precision="fp32")
    removed = ts.remove_images(run, ["train/3", "train/4"], out=tmp_path / "run")
    assert len(list(removed.path.rglob("*.png"))) == 158
    assert_same_classifier(removed, from_scratch(removed.dataset_table))
    moved = Run(removed.path.rename(tmp_path / "moved"))
    assert ts.evaluate(moved).n == 40
    again = ts.remove_images(moved, "images/train/5.png", out=tmp_path / "again")
    assert len(list(again.path.rglob("*.png"))) == 157


def test_several_labels_per_image(backbone, folder, green, tmp_path, from_scratch):
    rows = [f"{path},{'warm|red' if path.parent.name == 'red' else 'blue'}" for path in sorted(folder.rglob("*.png"))]
    table = tmp_path / "table.csv"
    table.write_text("image,labels\n" + "\n".join(rows))
    overrides = [f"model.backbone={backbone.path}"]
    run = ts.train("probe", table, out=tmp_path / "probe", overrides=overrides, precision="fp32")
    changed = ts.add_images(run, "warm|green", green, out=tmp_path / "run")
    assert changed.class_names() == ("blue", "green", "red", "warm")
    assert RunArtifacts(changed).change().label == "green|warm"
    assert_same_classifier(changed, from_scratch(changed.dataset_table))


@pytest.fixture
def grouped(backbone, tmp_path):
    """A run whose images of one folder below the class stay in one split."""
    for color in ("red", "blue"):
        for scene in range(8):
            draw(tmp_path / "scenes" / color / f"{color}{scene}", color, 2, scene)
    overrides = [f"model.backbone={backbone.path}"]
    return ts.train("probe", tmp_path / "scenes", out=tmp_path / "grouped", overrides=overrides, group="parent")


def test_groups_stay_in_one_split(grouped, tmp_path, from_scratch):
    for scene in ("red0", "red1", "red2", "new1", "new2"):
        draw(tmp_path / "new" / scene, "red", 3, int(scene[-1]) + 50)
    changed = ts.add_images(grouped, "red", tmp_path / "new", out=tmp_path / "run", group="parent")
    splits = {}
    for row in read_csv(changed.dataset_table).rows:
        splits.setdefault(row.group, set()).add(row.split)
    assert {"red0", "new1"} <= splits.keys()
    assert all(len(split) == 1 for split in splits.values())
    with pytest.raises(DataError, match="new images need a group"):
        ts.add_images(grouped, "red", tmp_path / "new", out=tmp_path / "other")


def draw_stripes(folder, count, seed, brighter=0):
    """Write images of smooth stripes of random angle and color."""
    folder.mkdir(parents=True, exist_ok=True)
    random, (rows, columns) = np.random.default_rng(seed), np.mgrid[:40, :40]
    for number in range(count):
        weights = random.uniform(-0.8, 0.8, (2, 3))
        pixels = 128 + 90 * np.sin(rows[..., None] * weights[0] + columns[..., None] * weights[1])
        Image.fromarray((pixels + brighter).astype(np.uint8)).save(folder / f"{number:02}.png")


def test_near_duplicates_are_added_to_the_split_of_their_original(backbone, tmp_path):
    draw_stripes(tmp_path / "data" / "red", 20, 1)
    draw_stripes(tmp_path / "data" / "blue", 20, 2)
    draw_stripes(tmp_path / "copies", 20, 1, brighter=2)
    options = {"overrides": [f"model.backbone={backbone.path}"], "near_duplicates": "keep-together"}
    run = ts.train("probe", tmp_path / "data", out=tmp_path / "probe", **options)
    index = run.image_index()
    use_of = dict(zip(index.files, index.uses.tolist(), strict=True))
    changed = ts.add_images(run, "red", tmp_path / "copies", out=tmp_path / "run")
    after = rows_of(changed)
    for number in range(20):
        use = ("train", "validation", "test")[use_of[f"red/{number:02}.png"]]
        assert after[f"copies/{number:02}.png"] == ("red", use)


class TestRefusals:
    """Each leaves nothing behind."""

    @pytest.fixture(autouse=True)
    def _nothing_is_written(self, tmp_path):
        yield
        assert not (tmp_path / "run").exists()
        assert not list(tmp_path.glob(".run*"))

    def test_class_that_differs_in_case(self, probe, green, tmp_path):
        with pytest.raises(DataError, match=r"^Class 'Red': differs only in case from the class 'red'\. Use 'red'\.$"):
            ts.add_images(probe, "Red", green, out=tmp_path / "run")

    def test_no_class(self, probe, green, tmp_path):
        with pytest.raises(DataError, match=r"^The class has no name\. Pass the name of a class\.$"):
            ts.add_images(probe, " ", green, out=tmp_path / "run")

    def test_unknown_class_of_relabel(self, probe, tmp_path):
        with pytest.raises(DataError, match=r"^Class 'bleu': not a class of .*\. Did you mean 'blue'\?$"):
            ts.relabel_images(probe, "bleu", "red/00.png", out=tmp_path / "run")

    def test_images_with_another_label(self, probe, folder, tmp_path):
        with pytest.raises(DataError, match=r"00\.png: already a \w+ image of .* with the label 'red' \(red/00\.png\)"):
            ts.add_images(probe, "blue", folder / "red/00.png", out=tmp_path / "run")

    def test_images_that_the_run_has(self, probe, folder, tmp_path):
        with pytest.raises(DataError, match=r"has all of these images already\. Pass others\.$"):
            ts.add_images(probe, "red", folder / "red", out=tmp_path / "run")

    def test_damaged_image(self, probe, green, tmp_path):
        shutil.copytree(green, tmp_path / "green")
        (tmp_path / "green/00.png").write_bytes(b"no image")
        with pytest.raises(DataError, match=r"^1 of 10 images cannot be read\. Repair them or pass skip_unreadable"):
            ts.add_images(probe, "green", tmp_path / "green", out=tmp_path / "run")

    def test_missing_file(self, probe, tmp_path):
        with pytest.raises(InputError, match=r"nowhere\.png: does not exist\."):
            ts.add_images(probe, "green", tmp_path / "nowhere.png", out=tmp_path / "run")

    def test_empty_folder(self, probe, tmp_path):
        (tmp_path / "empty").mkdir()
        with pytest.raises(InputError, match=r"empty: no images found\."):
            ts.add_images(probe, "green", tmp_path / "empty", out=tmp_path / "run")

    def test_too_few_of_a_new_class(self, probe, green, tmp_path):
        images = sorted(green.iterdir())[:2]
        with pytest.raises(DataError, match=r"^Class 'green': 2 new images, but a new class needs 3, one each"):
            ts.add_images(probe, "green", images, out=tmp_path / "run")

    def test_unknown_image(self, probe, green, tmp_path):
        with pytest.raises(DataError, match=r"^redd/00\.png: neither a file nor an image of .*\. Did you mean 'red/00"):
            ts.remove_images(probe, "redd/00.png", out=tmp_path / "run")
        with pytest.raises(DataError, match=r"00\.png: not among the images of .*\. Pass images that it has\.$"):
            ts.remove_images(probe, green / "00.png", out=tmp_path / "run")

    def test_all_images_of_all_but_one_class(self, probe, folder, tmp_path):
        with pytest.raises(DataError, match=r"only the class 'blue' would be left\. Keep at least two\.$"):
            ts.remove_images(probe, folder / "red", out=tmp_path / "run")

    def test_all_training_images_of_a_class(self, probe, tmp_path):
        index = probe.image_index()
        names = [
            file
            for file, use in zip(index.files, index.used_for("train"), strict=True)
            if use and file.startswith("red")
        ]
        with pytest.raises(DataError, match=r"^Class 'red': no training images would be left\."):
            ts.remove_images(probe, names, out=tmp_path / "run")

    def test_labels_that_are_right(self, probe, tmp_path):
        with pytest.raises(DataError, match=r"all of these images have the label 'red' already\. Pass others\.$"):
            ts.relabel_images(probe, "red", "red/00.png", out=tmp_path / "run")

    def test_run_that_is_no_probe(self, backbone, green, tmp_path):
        with pytest.raises(RunError, match=r"not a probe, so all layers .* train on that from the weights of this run"):
            ts.add_images(backbone, "green", green, out=tmp_path / "run")


def test_existing_run_is_not_overwritten(probe, green, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/file").touch()
    with pytest.raises(RunError, match="already exists"):
        ts.add_images(probe, "green", green, out=tmp_path / "run")


def test_copies_and_unreadable_images_are_skipped(probe, folder, green, tmp_path, capsys):
    shutil.copytree(green, tmp_path / "green")
    (tmp_path / "green/00.png").write_bytes(b"no image")
    shutil.copy(tmp_path / "green/01.png", tmp_path / "green/copy.png")
    changed = ts.add_images(probe, "green", tmp_path / "green", out=tmp_path / "run", skip_unreadable=True)
    assert RunArtifacts(changed).change().images == {"train": 6, "validation": 1, "test": 2}
