"""Cases A8 and B1: image files by content, and more than 8 bits for each channel."""

import base64
import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, features

import tinysight as ts
from tinysight._util.errors import DataError, ImageError, InputError
from tinysight.data.image_io import read_image, to_pixels
from tinysight.data.image_io.formats import READS_HEIF, is_image_file
from tinysight.data.inputs import expand_inputs

# 16 x 12 pixels of HEVC: the left half is (200, 40, 40), the right half (40, 40, 200). Written by pillow-heif 1.4.
HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAXxtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAAACJpbG9jAAAA"
    "AERAAAEAAQAAAAABoAABAAAAAAAAAJMAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAAAA5waXRtAAAAAAABAAAA/GlwcnAAAADc"
    "aXBjbwAAAHVodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMAAAMAHroCQGEAAQApQgEBA3AAAAMAkAAAAwAA"
    "AwAeoCCBBZbqrprm4CGgwIAAAAyAAAADAIRiAAEABkQBwXPBiQAAABNjb2xybmNseAABAA0ABoAAAAAUaXNwZQAAAAAAAABAAAAAQAAAAChjbGFw"
    "AAAAEAAAAAEAAAAMAAAAAf///9AAAAAC////zAAAAAIAAAAQcGl4aQAAAAADCAgIAAAAGGlwbWEAAAAAAAAAAQABBYECAwWEAAAAm21kYXQAAACP"
    "KAGvBjIa6YqAXUOIm97///46PsvYRhLV4MzpfaNP/9mS1P4msjQFle0xfJVfvkpT42v9/+lKH6CoGLRcGpH85k7dEAOo4wEAIu+TBhC/jmzaNfSl"
    "6JXNim2JWEQgImhof5TcVxMjDT6kcp+C4f3bj82zvoIbctroZh2/bKLrp0DNIGkYZnrZh6Ns3TDpkyM="
)


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_every_file_of_a_mixed_class_is_used_or_counted(folder, tmp_path, pic):
    folder(tmp_path, 6)
    expected = 6
    for number in range(4):
        for suffix, kind in ((".JPEG", "JPEG"), (".jfif", "JPEG"), (".jpe", "JPEG"), (".tif", "TIFF"), ("", "PNG")):
            (tmp_path / f"red/x{number}{suffix}").write_bytes(encoded(pic("red", number), kind))
            expected += 1
    for number, (kind, name) in enumerate(
        [("BMP", "a.dib"), ("GIF", "a.GIF"), ("WEBP", "a.webp"), ("PNG", "a.jpg"), ("JPEG", "photo.dat"), ("BMP", "b")]
    ):
        (tmp_path / "red" / name).write_bytes(encoded(pic("red", 100 + number), kind))
        expected += 1
    for name in ("labels.csv", "a.psd", "b.psd", "README", "c.dng"):
        (tmp_path / "red" / name).write_bytes(b"II*\0" if name == "c.dng" else b"BMW and other words" * 9)
    dataset = ts.load_dataset(tmp_path)
    label = dataset.class_names.index("red")
    assert sum(split.class_counts(3)[label] for split in dataset.splits.values()) == expected
    assert [finding.describe() for finding in dataset.report.skipped] == [
        "5 files of kinds that are not read: .psd 2, .csv 1, .dng 1, without suffix 1."
    ]
    assert len(expand_inputs(str(tmp_path / "red"))) == expected


@pytest.mark.parametrize(
    ("kind", "options", "tolerance"),
    [
        ("PNG", {}, 0),
        ("BMP", {}, 0),
        ("DIB", {}, 0),
        ("TIFF", {}, 0),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("TIFF", {"compression": "tiff_deflate", "big_tiff": True}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("JPEG", {"quality": 95}, 3),
        ("AVIF", {"quality": 95}, 3),
    ],
)
@pytest.mark.parametrize("name", ["image", "image.txt", "image.jpg"])
def test_the_format_is_that_of_the_content(tmp_path, pic, kind, options, tolerance, name):
    if kind == "AVIF" and not features.check("avif"):
        pytest.skip("Pillow without AVIF")
    path, image = tmp_path / name, pic("green")
    path.write_bytes(encoded(image, kind, **options))
    pixels = read_image(path, (40, 48)).transpose(1, 2, 0)
    np.testing.assert_allclose(pixels.mean((0, 1)), np.asarray(image).mean((0, 1)), atol=tolerance)
    if not tolerance:
        np.testing.assert_array_equal(pixels, np.asarray(image))
    assert is_image_file(path) or kind == "DIB"


@pytest.mark.skipif(not READS_HEIF, reason="needs the extra heif")
def test_heic_is_read(tmp_path):
    (tmp_path / "IMG_0001.HEIC").write_bytes(HEIC)
    pixels = read_image(tmp_path / "IMG_0001.HEIC", (12, 16)).transpose(1, 2, 0)
    np.testing.assert_allclose(pixels[6, 3], (200, 40, 40), atol=25)
    np.testing.assert_allclose(pixels[6, 12], (40, 40, 200), atol=25)
    assert is_image_file(tmp_path / "IMG_0001.HEIC")


@pytest.mark.skipif(READS_HEIF, reason="the extra heif is installed")
def test_heic_without_the_extra_is_counted_with_the_way_to_read_it(folder, tmp_path):
    folder(tmp_path, 4)
    for name in ("red/IMG_0001.HEIC", "red/no suffix"):
        (tmp_path / name).write_bytes(HEIC)
    assert [finding.describe() for finding in ts.load_dataset(tmp_path).report.skipped] == [
        "1 HEIC image for which the extra 'heif' is missing (pip install 'tinysight[heif]'): red/IMG_0001.HEIC.",
        "1 file of kinds that are not read: without suffix 1.",
    ]
    with pytest.raises(ImageError) as error:
        read_image(tmp_path / "red/IMG_0001.HEIC", (8, 8))
    assert str(error.value) == (
        f"{tmp_path / 'red/IMG_0001.HEIC'}: a HEIC image. Run pip install 'tinysight[heif]' to read HEIC images, or "
        "convert them."
    )
    (tmp_path / "green").rename(tmp_path / "other")
    (tmp_path / "green").mkdir()
    (tmp_path / "green/1.heic").write_bytes(HEIC)
    with pytest.raises(DataError, match=r"green: contains no images, only other files: \.heic 1\. Run pip install"):
        ts.load_dataset(tmp_path)


def test_only_the_first_page_of_a_tiff_is_used():
    pages = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    content = encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    assert read_image(content, (1, 1))[:, 0, 0].tolist() == [255, 0, 0]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_of_a_tiff_is_applied_once(orientation, pic):
    upright = pic("red").resize((8, 6))
    stored = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    image = upright if stored is None else upright.transpose(stored)
    content = encoded(image, "TIFF", tiffinfo={274: orientation})
    np.testing.assert_array_equal(read_image(content, (6, 8)).transpose(1, 2, 0), np.asarray(upright))


def gray(values, mode="I;16"):
    """A gray image of more than 8 bits, from a list of lists."""
    dtype = {"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]
    return Image.fromarray(np.array(values, dtype))


# The largest value, the value at the other pixel, and the result by hand: a shift by 0, 2, 4, 6 or 8 bits.
RANGES = [
    (255, 100, 100),
    (256, 100, 25),
    (1023, 100, 25),
    (1024, 1000, 62),
    (4095, 1600, 100),
    (4096, 1600, 25),
    (16383, 6400, 100),
    (16384, 6400, 25),
    (65535, 25600, 100),
]


@pytest.mark.parametrize(("largest", "value", "expected"), RANGES)
@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
@pytest.mark.parametrize("way", ["PNG", "TIFF", "image", "images"])
def test_more_than_8_bits_are_scaled_by_the_range_of_the_file(largest, value, expected, mode, way):
    image = gray([[value, largest]] * 2, mode)
    if way == "PNG" and mode != "I;16":
        pytest.skip("PNG has at most 16 bits")
    if way == "image":
        (pixels,) = to_pixels([image], 2)
    elif way == "images":
        pixels = to_pixels([Image.new("RGB", (2, 2)), image], 2)[1]
    else:
        pixels = read_image(encoded(image, way), (2, 2))
    assert (pixels[:, :, 0] == expected).all()
    assert (pixels[:, :, 1] >= 64).all()


@given(st.integers(1, 16), st.integers(0, 2**16 - 1))
def test_the_order_of_brightness_is_kept_in_every_range(bits, seed):
    values = np.random.default_rng(seed).integers(0, 2**bits, (6, 6), np.uint16)
    pixels = to_pixels([Image.fromarray(values)], 6)[0, 0]
    order = np.argsort(values, axis=None, kind="stable")
    assert (np.diff(pixels.ravel()[order].astype(int)) >= 0).all()
    assert int(pixels.max()) <= 255


def test_floating_point_values_up_to_1_are_fractions_of_white():
    (pixels,) = to_pixels([gray([[0.0, 0.5], [0.25, 1.0]], "F")], 2)
    assert pixels[0].tolist() == [[0, 128], [64, 255]]
    assert pixels[1].tolist() == pixels[2].tolist() == pixels[0].tolist()


@pytest.mark.parametrize(
    ("values", "mode", "problem"),
    [
        ([[-5, 70_000]], "I", "pixel values from -5 to 70,000, whose range is unknown"),
        ([[-1, 1000]], "I", "pixel values from -1 to 1,000, whose range is unknown"),
        ([[500, 65_536]], "I", "pixel values from 500 to 65,536, whose range is unknown"),
        ([[-0.9, 0.5]], "F", "pixel values from -1 to 0, whose range is unknown"),
        ([[0, 1e9]], "F", "pixel values from 0 to 1,000,000,000, whose range is unknown"),
        ([[0, float("nan")]], "F", "some pixel values are not finite"),
        ([[0, float("inf")]], "F", "some pixel values are not finite"),
    ],
)
def test_values_of_an_unknown_range_are_refused(tmp_path, values, mode, problem):
    image, fix = gray(values, mode), "Save the image with 8 or 16 bits."
    with pytest.raises(InputError) as error:
        to_pixels([image], 2)
    assert str(error.value) == f"Image 0: {problem}. {fix}"
    image.save(tmp_path / "x.tif")
    with pytest.raises(ImageError) as file_error:
        read_image(tmp_path / "x.tif", (2, 2))
    assert str(file_error.value) == f"{tmp_path / 'x.tif'}: {problem}. {fix}"


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_arrays_of_other_types_are_refused_by_name(dtype):
    for images in (np.zeros((2, 8, 8, 3), dtype), [np.zeros((8, 8), dtype)]):
        with pytest.raises(InputError, match=f"Unsupported dtype: {np.dtype(dtype)}"):
            to_pixels(images, 8)


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"]
)
def test_every_8_bit_mode_is_converted(mode, pic):
    image = pic("red")
    if mode in ("La", "RGBa", "PA"):
        image = image.convert({"La": "LA", "RGBa": "RGBA", "PA": "P"}[mode])
    (pixels,) = to_pixels([image.convert(mode)], 40)
    assert pixels.shape == (3, 40, 40)
    assert 40 < pixels.mean() < 160


def gray_tiff(values, *more):
    """A gray TIFF of 16 bits in one strip; `more` are tags, which may replace others."""
    height, width = values.shape
    data = values.tobytes()
    tags = {256: width, 257: height, 258: 16, 259: 1, 262: 1, 273: 8, 278: height, 279: len(data)} | dict(more)
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(tags.items()))
    head = b"II*\0" + struct.pack("<I", 8 + len(data)) + data
    return head + struct.pack("<H", len(tags)) + entries + bytes(4)


def test_a_scanner_image_of_signed_16_bits_is_read():
    """Pillow opens signed 16-bit TIFF as mode I."""
    content = gray_tiff(np.array([[0, 4000], [2000, 1000]], "<i2"), (339, 2))
    assert Image.open(io.BytesIO(content)).mode == "I"
    assert read_image(content, (2, 2))[0].tolist() == [[0, 250], [125, 62]]


@pytest.mark.parametrize("largest", [4095, 65535])
def test_16_bit_images_whose_zero_is_white_are_inverted(largest):
    """Radiographs are often stored so. Pillow inverts only images of 8 bits."""
    values = np.array([[0, largest], [largest // 2, largest // 4]], "<u2")
    (pixels,) = {tuple(channel.ravel().tolist()) for channel in read_image(gray_tiff(values, (262, 0)), (2, 2))}
    assert pixels == (255, 0, 128, 192)


def deep_png(values, orientation=None):
    """A PNG of 16 bits for each of 3 or 4 channels, which Pillow cannot write."""
    height, width, channels = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, {3: 2, 4: 6}[channels], 0, 0, 0))]
    if orientation:
        exif = Image.Exif()
        exif[274] = orientation
        chunks.append((b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")))
    chunks += [(b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    body = (struct.pack(">I", len(c)) + name + c + struct.pack(">I", zlib.crc32(name + c)) for name, c in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def deep_tiff(values, order, compression):
    """A TIFF of 16 bits for each of 3 channels, in one strip."""
    data = values.astype(f"{order}u2").tobytes()
    data = zlib.compress(data) if compression == 8 else data
    data += bytes(len(data) % 2)
    height, width, _ = values.shape
    tags = [(256, 3, 1, width), (257, 3, 1, height), (258, 3, 3, 0), (259, 3, 1, compression), (262, 3, 1, 2)]
    tags += [(273, 4, 1, 8), (277, 3, 1, 3), (278, 3, 1, height), (279, 4, 1, len(data))]
    start = 8 + len(data)
    bits = start + 2 + 12 * len(tags) + 4
    entries = b"".join(
        struct.pack(f"{order}HHI", tag, kind, count)
        + (
            struct.pack(f"{order}I", bits)
            if count > 1
            else struct.pack(f"{order}HH" if kind == 3 else f"{order}I", value, *[0] * (kind == 3))
        )
        for tag, kind, count, value in tags
    )
    head = {"<": b"II*\0", ">": b"MM\0*"}[order] + struct.pack(f"{order}I", start) + data
    return head + struct.pack(f"{order}H", len(tags)) + entries + bytes(4) + struct.pack(f"{order}HHH", 16, 16, 16)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("file", ["png", "png with alpha", "<1", "<8", ">1", ">8"])
def test_color_images_of_16_bits_are_scaled_by_the_range_of_the_file(bits, file):
    values = np.random.default_rng(bits).integers(0, 2**bits, (5, 7, 3))
    values[0, 0, 0] = 2**bits - 1
    if file.startswith("png"):
        alpha = np.full((5, 7, 1), 65535)
        content = deep_png(np.concatenate([values, alpha], axis=2) if "alpha" in file else values)
    else:
        content = deep_tiff(values, file[0], int(file[1]))
    np.testing.assert_array_equal(read_image(content, (5, 7)).transpose(1, 2, 0), values >> (bits - 8))


@pytest.mark.parametrize("bits", [12, 16])
def test_the_orientation_of_a_color_image_of_16_bits_is_applied(bits):
    values = np.random.default_rng(0).integers(0, 2**bits, (4, 6, 3))
    values[0, 0, 0] = 2**bits - 1
    pixels = read_image(deep_png(values, orientation=3), (4, 6)).transpose(1, 2, 0)
    np.testing.assert_array_equal(pixels, values[::-1, ::-1] >> (bits - 8))
