import io
import os
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from tinysight._util.errors import ImageError
from tinysight.data.crops import CENTER_CROP, SIX_CROP, Crop
from tinysight.data.image_io import MAX_BYTES, MAX_PIXELS, ImageFile, image_file, read_crops, read_image
from tinysight.data.image_io.image_file import apply_exif_orientation, ignore_pillow_warnings, to_rgb


def encoded(image, kind="PNG", **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def png(width, height, bits, color, rows, chunks=()):
    """A PNG written by hand, for modes that Pillow cannot write."""

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0))
    pixels = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunk(*c) for c in chunks) + pixels + chunk(b"IEND", b"")


def smooth(height, width, channels=3, seed=0):
    """An image without sharp edges, which lossy formats reproduce closely."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (4, 4, channels), dtype=np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC)


def channels_first(image):
    return np.asarray(image).transpose(2, 0, 1)


def one_pixel(content):
    return read_image(content, (1, 1))[:, 0, 0].tolist()


WHITE = [255, 255, 255]


@pytest.mark.parametrize(
    ("kind", "options"), [("PNG", {}), ("BMP", {}), ("WEBP", {"lossless": True}), ("JPEG", {"quality": 75})]
)
def test_an_image_of_the_right_size_keeps_every_pixel(tmp_path, kind, options):
    path = tmp_path / "image"
    path.write_bytes(encoded(smooth(24, 40), kind, **options))

    pixels = read_image(path, (24, 40))

    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    np.testing.assert_array_equal(pixels, channels_first(Image.open(path).convert("RGB")))


def test_bytes_and_file_give_the_same_pixels(tmp_path):
    path = tmp_path / "image.png"
    smooth(50, 40).save(path)

    np.testing.assert_array_equal(read_image(path, (32, 32)), read_image(path.read_bytes(), (32, 32)))


def in_palette(colors):
    image = Image.new("P", (3, 3), 1)
    image.putpalette([value for color in colors for value in color])
    return image


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (encoded(Image.new("1", (3, 3), 1)), WHITE),
        (encoded(Image.new("L", (3, 3), 77)), [77, 77, 77]),
        (encoded(Image.new("LA", (3, 3), (80, 255))), [80, 80, 80]),
        (encoded(Image.new("LA", (3, 3), (80, 0))), WHITE),
        (encoded(Image.new("RGBA", (3, 3), (9, 8, 7, 255))), [9, 8, 7]),
        (encoded(Image.new("RGBA", (3, 3), (9, 8, 7, 0))), WHITE),
        (encoded(Image.new("RGBA", (3, 3), (0, 100, 250, 51))), [204, 224, 254]),  # 20% opaque, on white
        (encoded(Image.new("RGB", (3, 3), (1, 2, 3)), transparency=(1, 2, 3)), WHITE),
        (encoded(Image.new("RGB", (3, 3), (1, 2, 3)), transparency=(1, 2, 4)), [1, 2, 3]),
        (encoded(Image.new("L", (3, 3), 5), transparency=5), WHITE),
        (encoded(in_palette([(0, 0, 0), (10, 20, 30)])), [10, 20, 30]),
        (encoded(in_palette([(0, 0, 0), (10, 20, 30)]), transparency=1), WHITE),
        (encoded(in_palette([(0, 0, 0), (10, 20, 30)]), transparency=0), [10, 20, 30]),
        (encoded(in_palette([(0, 0, 0), (0, 100, 250)]), transparency=b"\xff\x33"), [204, 224, 254]),
        (encoded(in_palette([(0, 0, 0), (10, 20, 30)]), "GIF", transparency=1), WHITE),
        (encoded(in_palette([(0, 0, 0), (10, 20, 30)]), "BMP"), [10, 20, 30]),
        (encoded(Image.new("1", (3, 3), 0), "BMP"), [0, 0, 0]),
        (encoded(Image.new("RGBA", (3, 3), (9, 8, 7, 0)), "WEBP", lossless=True), WHITE),
        (encoded(Image.new("L", (3, 3), 77), "JPEG"), [77, 77, 77]),
        (encoded(Image.new("CMYK", (3, 3), (255, 0, 255, 0)), "JPEG", quality=100), [0, 255, 0]),
        (encoded(Image.new("CMYK", (3, 3), (0, 0, 0, 255)), "JPEG", quality=100), [0, 0, 0]),
        (png(1, 1, 16, 0, [b"\x80\x00"]), [128, 128, 128]),
        (png(1, 1, 16, 0, [b"\x01\xff"]), [127, 127, 127]),  # of 10 bits
        (png(1, 1, 16, 0, [b"\x12\x34"], [(b"tRNS", b"\x12\x34")]), WHITE),
        (png(1, 1, 16, 0, [b"\x52\x35"], [(b"tRNS", b"\x12\x34")]), [0x52] * 3),
        (png(1, 1, 16, 2, [b"\x80\x00\x40\x00\x20\x00"]), [128, 64, 32]),
        (png(1, 1, 16, 4, [b"\x80\x00\xff\xff"]), [128, 128, 128]),
        (png(1, 1, 16, 6, [b"\x80\x00\x40\x00\x20\x00\x00\x00"]), WHITE),
        (png(1, 1, 2, 0, [b"\x80"]), [170, 170, 170]),
    ],
)
def test_every_mode_becomes_rgb_on_white(content, expected):
    assert one_pixel(content) == pytest.approx(expected, abs=1)


UPRIGHT = channels_first(smooth(6, 4)).transpose(1, 2, 0)
STORED = {  # stored array for each orientation: EXIF 2.32, 4.6.4
    1: UPRIGHT,
    2: UPRIGHT[:, ::-1],
    3: UPRIGHT[::-1, ::-1],
    4: UPRIGHT[::-1],
    5: UPRIGHT.transpose(1, 0, 2),
    6: UPRIGHT.transpose(1, 0, 2)[::-1],
    7: UPRIGHT[::-1, ::-1].transpose(1, 0, 2),
    8: UPRIGHT.transpose(1, 0, 2)[:, ::-1],
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize(
    ("kind", "options", "tolerance"),
    [("PNG", {}, 0), ("WEBP", {"lossless": True}, 0), ("JPEG", {"quality": 100, "subsampling": 0}, 4)],
)
def test_exif_orientation_is_applied(orientation, kind, options, tolerance):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(Image.fromarray(STORED[orientation].copy()), kind, exif=exif, **options)

    pixels = read_image(content, (6, 4))

    np.testing.assert_allclose(pixels.transpose(1, 2, 0).astype(int), UPRIGHT, atol=tolerance)


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0garbage", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12"]
)
def test_damaged_exif_is_ignored(exif):
    image = smooth(8, 8)

    pixels = read_image(encoded(image, exif=exif), (8, 8))

    np.testing.assert_array_equal(pixels, channels_first(image))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_only_the_first_frame_of_an_animation_is_used(kind):
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue", "lime")]
    options = {"lossless": True} if kind == "WEBP" else {}

    content = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)

    assert one_pixel(content) == [255, 0, 0]


@pytest.mark.parametrize(("height", "width"), [(10, 30), (30, 10)])
def test_the_center_of_a_long_image_is_kept(height, width):
    array = np.zeros((height, width), dtype=np.uint8)
    array[height // 2 - 5 : height // 2 + 5, width // 2 - 5 : width // 2 + 5] = 200

    assert (read_image(encoded(Image.fromarray(array)), (10, 10)) == 200).all()


def test_fine_patterns_are_averaged_without_moire():
    checks = np.indices((320, 320)).sum(axis=0) % 2 * 200

    pixels = read_image(encoded(Image.fromarray(checks.astype(np.uint8))), (32, 32))

    np.testing.assert_allclose(pixels, 100, atol=2)


def test_jpeg_draft_mode_is_close_to_the_full_decode():
    image = smooth(900, 1200)
    square = np.asarray(image, dtype=float)[:, 150:1050]
    means = square.reshape(30, 30, 30, 30, 3).mean(axis=(1, 3))

    pixels = read_image(encoded(image, "JPEG", quality=95), (30, 30))

    np.testing.assert_allclose(pixels.transpose(1, 2, 0), means, atol=6)


sides = st.integers(1, 70)


@settings(max_examples=100, deadline=None)
@given(source=st.tuples(sides, sides), size=st.tuples(sides, sides), kind=st.sampled_from(["PNG", "JPEG"]))
def test_any_size_is_resized_to_any_size(source, size, kind):
    pixels = read_image(encoded(Image.new("L", source, 90), kind), size)

    assert pixels.shape == (3, *size)
    assert (pixels == 90).all()


IMAGE = smooth(50, 70, channels=4)
VALID = [
    encoded(IMAGE.convert("RGB"), "JPEG", quality=90),
    encoded(IMAGE.convert("RGB"), "JPEG", progressive=True, exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0"),
    encoded(IMAGE.convert("RGB").resize((300, 200)), "JPEG"),
    encoded(IMAGE.convert("CMYK"), "JPEG"),
    encoded(IMAGE),
    encoded(IMAGE, save_all=True, append_images=[IMAGE.rotate(90)]),
    encoded(IMAGE.convert("RGB").quantize(32), transparency=b"\0\x80"),
    encoded(IMAGE.convert("RGB").quantize(32), "GIF", transparency=3),
    encoded(IMAGE, "GIF", save_all=True, append_images=[IMAGE.rotate(90)]),
    encoded(IMAGE, "WEBP"),
    encoded(IMAGE, "WEBP", lossless=True),
    encoded(IMAGE.convert("RGB"), "BMP"),
    encoded(IMAGE.convert("RGB").quantize(32), "BMP"),
]
positions = st.floats(0, 1, exclude_max=True)


@settings(max_examples=200, deadline=None)
@given(
    content=st.sampled_from(VALID),
    changes=st.lists(st.tuples(positions, st.integers(0, 255)), max_size=8),
    early=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 255)), max_size=4),
    length=st.none() | positions,
)
def test_a_damaged_file_gives_pixels_or_an_image_error(content, changes, early, length):
    damaged = bytearray(content)
    for position, value in changes:
        damaged[int(position * len(content))] = value
    for index, value in early:
        damaged[index] = value
    if length is not None:
        del damaged[int(length * len(content)) :]
    try:
        pixels = read_image(bytes(damaged), (8, 8))
    except ImageError:
        return
    assert pixels.shape == (3, 8, 8)


@pytest.mark.parametrize("content", VALID)
def test_a_truncated_file_is_an_error_or_decodes_completely(content):
    whole = read_image(content, (16, 16))
    errors = 0
    lengths = range(0, len(content), max(1, len(content) // 50))
    for length in lengths:
        try:
            pixels = read_image(content[:length], (16, 16))
        except ImageError:
            errors += 1
        else:
            np.testing.assert_array_equal(pixels, whole)
    assert errors > len(lengths) // 3  # a missing second frame of an animation is no error


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.jpg", b"", "empty.jpg: empty file"),
        ("text.jpg", b"Dear diary, ...\n" * 100, "text.jpg: not a JPEG, PNG, WebP, BMP, GIF, TIFF or AVIF image"),
        ("cut.jpg", VALID[0][:900], "cut.jpg: damaged or truncated image"),
        ("wide.png", png(50_000, 50_000, 8, 2, [b""]), "wide.png: too many pixels"),
        ("over.png", png(8193, 8192, 1, 0, [b""]), "over.png: too many pixels"),
    ],
)
def test_invalid_files_are_errors(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ImageError, match=message):
        read_image(tmp_path / name, (32, 32))


def test_a_lower_limit_set_in_pillow_applies(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(ImageError, match="too many pixels"):
        read_image(VALID[0], (32, 32))


def test_paths_that_are_not_readable_files_are_errors(tmp_path):
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    for path, message in [
        (tmp_path, ": a folder. Pass an image file."),
        (tmp_path / "missing.png", ": no such file"),
        (tmp_path / "loop.png", ": cannot be read"),
        (tmp_path / "null\0.png", ": cannot be read"),
        (tmp_path / ("long" * 1000), ": cannot be read"),
    ]:
        with pytest.raises(ImageError, match=message):
            read_image(path, (32, 32))


def test_a_file_without_permission_is_an_error(tmp_path, monkeypatch):
    def deny(*arguments):
        raise PermissionError(13, "Permission denied")

    path = tmp_path / "secret.png"
    path.write_bytes(VALID[4])
    monkeypatch.setattr(Path, "open", deny)  # root can read any mode
    with pytest.raises(ImageError, match=r"secret\.png: permission denied"):
        read_image(path, (32, 32))


def test_a_file_over_the_byte_limit_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(image_file, "MAX_BYTES", 2**20)
    path = tmp_path / "big.bmp"
    path.write_bytes(VALID[-1])
    os.truncate(path, 2**20 + 1)
    with pytest.raises(ImageError, match=r"big\.bmp: larger than 1 MiB"):
        read_image(path, (32, 32))


def test_pillow_warnings_are_ignored_and_filters_restored():
    noisy = encoded(smooth(8, 8), exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x0e\0\x02\0\0\xff\xff\0\0\0\x1a")
    before = list(warnings.filters)

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: read_image(noisy, (8, 8)), range(400)))

    assert len(results) == 400
    assert warnings.filters == before
    with Image.open(io.BytesIO(noisy)) as image, pytest.warns(UserWarning, match="(?i)tag|exif|truncated"):
        image.getexif()


def refusal_of(source, size=(8, 8)):
    """Return the message with which an image is refused."""
    with pytest.raises(ImageError) as refusal:
        read_image(source, size)
    return str(refusal.value)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "image.png"


def test_the_limits_are_64_mebibytes_and_8192_pixels_squared():
    assert MAX_BYTES == 67_108_864
    assert MAX_PIXELS == 67_108_864


def test_every_refusal_is_a_sentence_with_a_fix(path):
    end = "Get a new copy or remove it."
    for content, expected in [
        (b"", f"{path}: empty file. {end}"),
        (
            b"text",
            f"{path}: not a JPEG, PNG, WebP, BMP, GIF, TIFF or AVIF image, or damaged header. Convert or remove it.",
        ),
        (VALID[4][:-30], f"{path}: damaged or truncated image. {end}"),
        (png(8193, 8192, 1, 0, [b""]), f"{path}: too many pixels (limit: 67 million). Save a smaller copy."),
    ]:
        path.write_bytes(content)
        assert refusal_of(path) == expected
        assert refusal_of(content) == expected.replace(str(path), "Image")


def test_paths_that_are_no_files_are_refused_with_a_fix(tmp_path, path):
    assert refusal_of(path) == f"{path}: no such file. Check the path."
    assert refusal_of(tmp_path) == f"{tmp_path}: a folder. Pass an image file."
    assert refusal_of(Path(os.devnull)) == f"{os.devnull}: not a regular file. Pass an image file."
    path.symlink_to(path)
    assert refusal_of(path) == f"{path}: cannot be read (Too many levels of symbolic links). Check the path."
    null = tmp_path / "a\0.png"
    assert refusal_of(null) == f"{null}: cannot be read (embedded null byte). Check the path."


@pytest.mark.parametrize("as_bytes", [False, True])
def test_the_byte_limit_is_inclusive(path, monkeypatch, as_bytes):
    content = encoded(Image.new("RGB", (8, 8), "red"))
    path.write_bytes(content)
    source = content if as_bytes else path
    monkeypatch.setattr(image_file, "MAX_BYTES", len(content))
    assert read_image(source, (8, 8))[0, 0, 0] == 255
    monkeypatch.setattr(image_file, "MAX_BYTES", len(content) - 1)
    assert refusal_of(source).endswith(": larger than 0 MiB. Save a smaller copy.")


def test_a_file_above_64_mebibytes_is_refused(path):
    path.write_bytes(VALID[4])
    os.truncate(path, 64 * 2**20 + 1)  # sparse
    assert refusal_of(path) == f"{path}: larger than 64 MiB. Save a smaller copy."


@pytest.mark.parametrize(("width", "height"), [(8192, 8192), (2**20, 64), (1, 2**20)])
def test_the_pixel_limit_is_inclusive_and_counts_pixels_not_sides(width, height):
    assert ImageFile(png(width, height, 1, 0, [b""])).num_pixels == width * height


def test_the_number_of_pixels_is_known_before_decoding():
    assert ImageFile(encoded(Image.new("L", (7, 5)))).num_pixels == 35


def with_scans(content, count):
    """Return a JPEG with a comment after its start, so that it contains `count` start-of-scan markers."""
    comment = b"\xff\xda" * (count - content.count(b"\xff\xda"))
    return content[:2] + b"\xff\xfe" + struct.pack(">H", len(comment) + 2) + comment + content[2:]


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_a_jpeg_has_at_most_a_hundred_scans(options):
    content = encoded(Image.new("RGB", (8, 8), "white"), "JPEG", **options)
    assert with_scans(content, 100).count(b"\xff\xda") == 100
    assert (read_image(with_scans(content, 100), (8, 8)) == 255).all()
    assert refusal_of(with_scans(content, 101)) == "Image: damaged or truncated image. Get a new copy or remove it."


def test_a_jpeg_of_several_pictures_has_at_most_a_hundred_scans():
    image = Image.new("RGB", (8, 8), "white")
    content = encoded(image, "MPO", save_all=True, append_images=[image])
    assert Image.open(io.BytesIO(content)).format == "MPO"
    assert (read_image(content, (8, 8)) == 255).all()
    assert "damaged" in refusal_of(with_scans(content, 101) if content.count(b"\xff\xda") < 101 else content)


def test_other_formats_may_contain_the_bytes_of_scan_markers():
    content = png(1, 1, 8, 0, [b"\x50"], [(b"teSt", b"\xff\xda" * 200)])
    assert one_pixel(content) == [80, 80, 80]


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize(
    ("source", "size", "draft"),
    [
        ((360, 360), (60, 60), 180),  # decoded at half the size
        ((360, 360), (61, 61), 183),  # decoded in full
        ((960, 960), (40, 40), 120),  # decoded at an eighth
        ((480, 480), (40, 80), 240),  # the larger side counts
        ((480, 480), (80, 40), 240),
    ],
)
def test_a_jpeg_is_decoded_at_no_less_than_three_times_the_size(mode, source, size, draft):
    noise = np.random.default_rng(0).integers(0, 256, (source[1], source[0], 3), dtype=np.uint8)
    content = encoded(Image.fromarray(noise).convert(mode), "JPEG")
    reference = Image.open(io.BytesIO(content))
    reference.draft(None, (draft, draft))
    expected = ImageOps.fit(reference.convert("RGB"), size[::-1], Image.Resampling.LANCZOS)

    np.testing.assert_array_equal(read_image(content, size), channels_first(expected))


def test_a_rectangle_is_filled_from_the_center_like_in_pillow():
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 90, 3), dtype=np.uint8))
    for size in ((20, 40), (40, 20), (50, 90), (7, 90), (1, 1)):
        expected = ImageOps.fit(image, size[::-1], Image.Resampling.LANCZOS)
        np.testing.assert_array_equal(read_image(encoded(image), size), channels_first(expected))


def test_several_crops_of_a_file_are_in_the_order_of_the_crops(path):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 80, 3), dtype=np.uint8))
    image.save(path)
    crops = ImageFile(path).decode_crops((20, 20), SIX_CROP)
    assert crops.shape == (6, 3, 20, 20)
    assert crops.dtype == np.uint8
    boxes = [(20, 0, 60, 40), (0, 0, 40, 40), (40, 0, 80, 40), (25, 5, 55, 35), (10, 5, 40, 35), (40, 5, 70, 35)]
    for crop, box in zip(crops, boxes, strict=True):
        expected = image.resize((20, 20), Image.Resampling.LANCZOS, box)
        np.testing.assert_array_equal(crop, channels_first(expected))
    np.testing.assert_array_equal(crops[0], read_crops(path, (20, 20), CENTER_CROP)[0])


@pytest.mark.parametrize(
    ("source", "size", "margin", "cropped"),
    [
        ((32, 40), (24, 24), 0.125, True),  # 32 * 0.75 = 24: exactly large enough
        ((31, 40), (24, 24), 0.125, False),
        ((40, 31), (24, 24), 0.125, False),
        ((64, 64), (24, 32), 0.25, True),  # 64 * 0.5 = 32, the larger side
        ((62, 64), (24, 32), 0.25, False),
        ((24, 30), (24, 24), 0.0, True),
        ((24, 24), (24, 24), 0.0, False),
    ],
)
def test_a_crop_that_would_be_enlarged_is_replaced_by_the_first(source, size, margin, cropped):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (source[1], source[0], 3), dtype=np.uint8))
    first, second = read_crops(encoded(image), size, (Crop(), Crop(margin, 0.0)))
    assert (not np.array_equal(first, second)) == cropped
    if cropped:
        expected = ImageOps.fit(image, size[::-1], Image.Resampling.LANCZOS, margin, (0.0, 0.0))
        np.testing.assert_array_equal(second, channels_first(expected))


@pytest.mark.parametrize("orientation", [0, 1, 9, 255])
def test_other_orientations_leave_the_image_unchanged(orientation):
    image = smooth(6, 4)
    image.getexif()[0x0112] = orientation
    assert apply_exif_orientation(image) is image


def test_an_orientation_that_is_no_number_is_ignored():
    image = smooth(6, 4)
    image.getexif()[0x0112] = "6"
    assert apply_exif_orientation(image) is image


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I", "F"])
def test_opaque_images_of_every_mode_are_converted_like_in_pillow(mode):
    image = smooth(5, 7).convert(mode)
    converted = to_rgb(image)
    assert converted.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(converted), np.asarray(image.convert("RGB")))


@given(gray=st.integers(0, 65535))
def test_16_bit_grays_of_the_full_range_keep_their_upper_8_bits(gray):
    image = Image.fromarray(np.array([[gray, 65535]], np.uint16))
    assert image.mode == "I;16"
    assert to_rgb(image).getpixel((0, 0)) == (gray // 256,) * 3


@given(color=st.tuples(*[st.integers(0, 255)] * 4))
def test_transparency_is_blended_with_white(color):
    *channels, alpha = color
    expected = [255 + (channel - 255) * alpha / 255 for channel in channels]
    assert to_rgb(Image.new("RGBA", (1, 1), color)).getpixel((0, 0)) == pytest.approx(expected, abs=1)


def test_nested_blocks_restore_the_filters_at_the_end_of_the_outer():
    before = list(warnings.filters)
    with ignore_pillow_warnings():
        inside = list(warnings.filters)
        assert len(inside) == len(before) + 1
        with ignore_pillow_warnings():
            assert warnings.filters == inside
        assert warnings.filters == inside
    assert warnings.filters == before
    with pytest.raises(ZeroDivisionError), ignore_pillow_warnings():
        raise ZeroDivisionError
    assert warnings.filters == before


def test_warnings_of_other_modules_stay_visible():
    with ignore_pillow_warnings(), pytest.raises(UserWarning, match="visible"):
        warnings.warn("visible", UserWarning, stacklevel=1)
