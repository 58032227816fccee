"""Spurious cues: planted ones are found, and random images have none."""

import numpy as np
import pytest
from PIL import Image, ImageFilter
from sklearn.metrics import balanced_accuracy_score

import tinysight as ts
from tinysight.evaluation.spurious_cues import find_spurious_cues

N = 60  # images of each class


def draw(random, size=(40, 40)):
    """Return an image of smooth noise."""
    noise = random.integers(0, 256, (10, 10, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)


def darken(image):
    return image.point(lambda value: value * 0.7)


def redden(image):
    red, green, blue = image.split()
    return Image.merge("RGB", (red.point(lambda value: min(255, value + 40)), green, blue))


def blur(image):
    return image.filter(ImageFilter.GaussianBlur(2))


def mark(image):
    """Draw a white line at the top, as a scanner does."""
    marked = image.copy()
    marked.paste((255, 255, 255), (0, 0, image.width, 3))
    return marked


def save_folder(folder, changes, suffixes=("png", "png"), sizes=((40, 40), (40, 40)), seed=0, **options):
    random = np.random.default_rng(seed)
    for name, change, suffix, size in zip("ab", changes, suffixes, sizes, strict=True):
        (folder / name).mkdir(parents=True)
        for number in range(N):
            change(draw(random, size)).save(folder / name / f"{number}.{suffix}", **options)
    return ts.load_dataset(folder, 32)


def same(image):
    return image


@pytest.mark.parametrize(
    ("change", "cue"), [(darken, "brightness"), (redden, "color"), (blur, "sharpness"), (mark, "border")]
)
def test_a_change_of_all_images_of_a_class_is_found(tmp_path, change, cue):
    result = find_spurious_cues(save_folder(tmp_path / "images", (same, change)))
    scores = {score.name: score for score in result.found}
    assert scores[cue].balanced_accuracy > 0.7
    assert scores[cue].interval[0] > 0.5
    assert not scores[cue].is_artifact
    assert result.chance == 0.5
    assert f"{cue} alone tells the class of {scores[cue].balanced_accuracy:.1%}" in scores[cue].describe(0.5)


@pytest.mark.parametrize(
    ("options", "cue"),
    [
        ({"suffixes": ("png", "bmp")}, "file format"),
        ({"sizes": ((40, 40), (48, 40))}, "image size"),
        ({"suffixes": ("png", "bmp")}, "file size"),
    ],
)
def test_cues_of_files_are_found_and_are_artifacts(tmp_path, options, cue):
    result = find_spurious_cues(save_folder(tmp_path / "images", (same, same), **options))
    (score,) = [score for score in result.found if score.name == cue]
    assert score.balanced_accuracy > 0.95
    assert score.is_artifact
    assert "hardly ever meant" in score.describe(result.chance)


@pytest.mark.parametrize("seed", range(5))
def test_classes_that_differ_in_nothing_have_no_cue(tmp_path, seed):
    result = find_spurious_cues(save_folder(tmp_path / "images", (same, same), seed=seed))
    assert result.found == ()
    assert all(0.25 < score.balanced_accuracy < 0.75 for score in result.scores)
    assert "file format" not in {score.name for score in result.scores}  # all are PNG


def test_a_middle_range_is_found(tmp_path):
    """The images of one class are darker or brighter than those of the other."""
    random = np.random.default_rng(0)
    values = np.where(np.arange(120) < 60, 128, random.choice([90, 166], 120))
    pixels = (random.integers(-20, 21, (120, 3, 16, 16)) + values[:, None, None, None]).astype(np.uint8)
    result = find_spurious_cues(ts.load_dataset((pixels, np.arange(120) // 60)))
    assert "brightness" in {score.name for score in result.found}


def test_the_score_is_a_balanced_accuracy_with_its_chance(tmp_path):
    """A cue that is the label itself in two of three classes."""
    random = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], [150, 30, 30])
    pixels = np.broadcast_to(np.array([60, 180, 180])[labels][:, None, None, None], (210, 3, 16, 16))
    noisy = (pixels + random.integers(-30, 31, pixels.shape)).astype(np.uint8)
    result = find_spurious_cues(ts.load_dataset((noisy, labels)))
    score = next(score for score in result.scores if score.name == "brightness")
    assert result.chance == pytest.approx(1 / 3)
    # The first class is always right. Between the others, the cue guesses.
    guessed = balanced_accuracy_score([0, 1, 2], [0, 1, 1])
    assert score.balanced_accuracy == pytest.approx(guessed, abs=0.1)


def test_groups_stay_in_one_fold():
    """Each group has its own brightness, which says nothing about the class of a new group."""
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(24), 10)
    levels = random.permutation(np.linspace(40, 210, 24))[groups]
    pixels = (random.integers(-5, 6, (240, 3, 16, 16)) + levels[:, None, None, None]).astype(np.uint8)
    dataset = ts.load_dataset((pixels, groups % 2))
    alone = find_spurious_cues(dataset)
    from dataclasses import replace

    train = replace(dataset.train, groups=tuple(map(str, groups[: len(dataset.train)])))
    grouped = find_spurious_cues(replace(dataset, train=train))
    brightness = [
        next(score.balanced_accuracy for score in result.scores if score.name == "brightness")
        for result in (alone, grouped)
    ]
    assert brightness[1] < 0.75


def test_too_few_images_or_several_labels_have_no_result():
    pixels = np.random.default_rng(0).integers(0, 256, (12, 3, 16, 16), dtype=np.uint8)
    assert find_spurious_cues(ts.load_dataset((pixels, np.arange(12) // 4))) is None
    several = np.eye(3, dtype=np.int64)[np.arange(12) % 3]
    several[:, 0] = 1
    assert find_spurious_cues(ts.load_dataset((pixels, several))) is None


def test_the_result_is_reproducible(tmp_path):
    dataset = save_folder(tmp_path / "images", (same, darken))
    assert find_spurious_cues(dataset) == find_spurious_cues(dataset)
