from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tinysight._util.errors import StorageError
from tinysight.augmentation.config import Augmentation
from tinysight.augmentation.preview import render_preview, save_augmented_images

STRONG = Augmentation(rotation=40, width_shift=0.2, height_shift=0.2, zoom=0.2, horizontal_flip=True)


@pytest.fixture
def pixels() -> np.ndarray:
    """Smooth color ramps, which JPEG hardly changes."""
    ramp = np.linspace(0, 255, 32)
    planes = np.stack([np.add.outer(ramp, ramp) / 2, np.subtract.outer(ramp, ramp) / 2 + 127, np.full((32, 32), 90)])
    return np.stack([planes, planes[::-1], planes[:, ::-1]]).astype(np.uint8)


def contains(sheet: Image.Image, image: np.ndarray) -> bool:
    """Return whether the sheet contains `image`, enlarged by a factor of 4."""
    pixels = np.asarray(sheet)
    tile = image.transpose(1, 2, 0).repeat(4, 0).repeat(4, 1)
    corners = np.argwhere((pixels[:-127, :-127] == tile[0, 0]).all(axis=2))
    return any(np.array_equal(pixels[y : y + 128, x : x + 128], tile) for y, x in corners)


def test_the_sheet_shows_each_original_enlarged(pixels):
    sheet = render_preview(pixels, ["cat", "dog", "ship"], STRONG)
    assert all(contains(sheet, image) for image in pixels)


def test_the_sheet_shows_the_requested_number_of_copies(pixels):
    two, five = (render_preview(pixels, ["cat", "dog", "ship"], STRONG, copies=n) for n in (2, 5))
    assert five.width - two.width == 3 * (128 + 6)


def test_the_sheet_depends_on_the_seed_only(pixels):
    sheets = [render_preview(pixels, ["cat", "dog", "ship"], STRONG, seed=seed).tobytes() for seed in (1, 1, 2)]
    assert sheets[0] == sheets[1] != sheets[2]


def test_the_names_are_written_beside_the_images(pixels):
    cats, dogs = (render_preview(pixels, [name] * 3, STRONG) for name in ("catcat", "dogdog"))
    difference = np.asarray(cats.crop((0, 0, 100, cats.height))) != np.asarray(dogs.crop((0, 0, 100, dogs.height)))
    assert difference.any()


@pytest.mark.parametrize("name", ["two\nlines", "half a pair \udce9", "\x1b[2J", "猫"])
def test_any_class_name_can_be_drawn(pixels, name):
    assert contains(render_preview(pixels[:1], [name], STRONG), pixels[0])


def test_a_long_description_is_wrapped(pixels):
    everything = STRONG.model_copy(update={"cutout": 8, "brightness": 0.2, "contrast": 0.2, "saturation": 0.2})
    sheet = render_preview(pixels[:1], ["cat"], everything, copies=1)
    margin = np.asarray(sheet)[:, -20:]
    assert (margin == margin[0, 0]).all()
    assert sheet.height > render_preview(pixels[:1], ["cat"], Augmentation(), copies=1).height


def test_large_images_are_not_enlarged():
    large = np.zeros((1, 3, 200, 150), dtype=np.uint8)
    sheet = render_preview(large, ["cat"], STRONG, copies=1)
    assert 2 * 150 < sheet.width < 3 * 150


def test_files_are_named_by_image_and_copy(pixels, tmp_path):
    files = save_augmented_images(pixels, STRONG, tmp_path / "preview", copies=2)
    names = ["00000-0.jpg", "00000-1.jpg", "00001-0.jpg", "00001-1.jpg", "00002-0.jpg", "00002-1.jpg"]
    assert [file.name for file in files] == names
    assert sorted(file.name for file in (tmp_path / "preview").iterdir()) == names


def test_files_contain_the_augmented_images(pixels, tmp_path):
    for index, file in enumerate(save_augmented_images(pixels, Augmentation(), tmp_path, copies=1)):
        with Image.open(file) as jpeg:
            assert jpeg.format == "JPEG"
            saved = np.asarray(jpeg, dtype=int).transpose(2, 0, 1)
        assert abs(saved - pixels[index]).mean() < 4


def test_the_same_seed_writes_the_same_files(pixels, tmp_path):
    first, second = (save_augmented_images(pixels, STRONG, tmp_path / name, seed=7) for name in "ab")
    assert [file.read_bytes() for file in first] == [file.read_bytes() for file in second]


def test_a_file_instead_of_the_folder_is_a_storage_error(pixels, tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(StorageError, match="taken"):
        save_augmented_images(pixels, STRONG, tmp_path / "taken")
