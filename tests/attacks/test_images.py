"""Hostile images are rejected by name, or decoded, with bounded memory and time."""

import functools
import json
import os
import struct
import subprocess
import sys
import zipfile
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from tinysight._util.errors import ImageError
from tinysight.data.image_io import read_image

MAX_GROWTH = 64 * 2**20  # bytes of memory for all files, beyond Python and its imports


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(width, height, *chunks):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


def idat(size):
    return chunk(b"IDAT", zeros(size))


@functools.cache
def zeros(size):
    """`size` zero bytes, compressed about 1000:1."""
    packer = zlib.compressobj(9)
    block = bytes(2**20)
    return b"".join(packer.compress(block) for _ in range(size // len(block))) + packer.flush()


def gif(screen, frame):
    """A GIF of one frame whose header claims the given screen and frame sizes."""
    head = b"GIF89a" + struct.pack("<HHBBB", *screen, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    return head + b"," + struct.pack("<HHHHB", 0, 0, *frame, 0) + b"\x02\x02\x4c\x01\x00;"


def bmp(width, height, compression=0):
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, compression, 0, 0, 0, 2, 0)
    return b"BM" + struct.pack("<IHHI", 1000, 0, 0, 62) + header + bytes(8)


def webp(width, height):
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    frame = bytes(6) + canvas + bytes(4)  # an animation frame as large as the canvas, without pixels
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + canvas
    body += b"ANIM" + struct.pack("<I", 6) + bytes(6) + b"ANMF" + struct.pack("<I", len(frame)) + frame
    return b"RIFF" + struct.pack("<I", len(body)) + body


def jpeg(width, height):
    """A valid JPEG of 8 x 8 whose header claims a different size."""
    content = saved(Image.new("RGB", (8, 8)), "JPEG")
    position = content.index(b"\xff\xc0") + 5
    return content[:position] + struct.pack(">HH", height, width) + content[position + 4 :]


def tiff(width, height, bits=8):
    """A TIFF of one strip of 81 bytes, with a header that claims the given size."""
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, 1), (273, 8), (278, height), (279, 81)]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    start = 8 + 81 + 1
    header = b"II*\0" + struct.pack("<I", start) + bytes(81 + 1)
    return header + struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)


def avif(width, height):
    """A valid AVIF of 8 x 8 whose header claims a different size."""
    content = saved(Image.new("RGB", (8, 8)), "AVIF")
    position = content.index(b"ispe") + 8
    return content[:position] + struct.pack(">II", width, height) + content[position + 8 :]


def scans(count):
    """A small progressive JPEG of many pixels whose last scan is repeated `count` times."""
    content = saved(Image.new("L", (8000, 8000)), "JPEG", progressive=True)
    last = content[content.rindex(b"\xff\xc4", 0, content.rindex(b"\xff\xda")) : -2]
    return content[:-2] + last * count + content[-2:]


def saved(image, kind, **options):
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


MANY = 200 * 2**20
PIXEL = chunk(b"IDAT", zlib.compress(b"\0\1\2\3"))

REJECTED = {
    "forged.png": (lambda: png(50_000, 50_000, idat(2**20)), "too many pixels"),
    "forged-without-pixels.png": (lambda: png(50_000, 50_000), "too many pixels"),
    "largest.png": (lambda: png(2**31 - 1, 2**31 - 1, PIXEL), "too many pixels"),
    "no-height.png": (lambda: png(1, 0, PIXEL), "damaged|not a JPEG"),
    "forged.jpg": (lambda: jpeg(65_500, 65_500), "too many pixels"),
    "scans.jpg": (lambda: scans(5000), "damaged"),
    "forged.bmp": (lambda: bmp(50_000, 50_000), "too many pixels"),
    "run-length.bmp": (lambda: bmp(50_000, -50_000, compression=1), "too many pixels"),
    "negative.bmp": (lambda: bmp(-50, 50), "too many pixels|damaged|not a JPEG"),
    "canvas.webp": (lambda: webp(16_384, 16_384), "too many pixels|damaged|not a JPEG"),
    "screen.gif": (lambda: gif((65_535, 65_535), (1, 1)), "too many pixels"),
    "frame.gif": (lambda: gif((1, 1), (65_535, 65_535)), "too many pixels"),
    "profile.png": (lambda: png(1, 1, chunk(b"iCCP", b"x\0\0" + zeros(MANY)), PIXEL), "damaged"),
    "text.png": (lambda: png(1, 1, chunk(b"zTXt", b"x\0\0" + zeros(MANY)), PIXEL), "damaged"),
    "international.png": (lambda: png(1, 1, chunk(b"iTXt", b"x\0\1\0\0\0" + zeros(MANY)), PIXEL), "damaged"),
    "texts.png": (lambda: png(1, 1, *[chunk(b"zTXt", b"x\0\0" + zeros(2**20))] * 200, PIXEL), "damaged"),
    "huge-chunk.png": (lambda: png(1, 1)[:-12] + b"\x7f\xff\xff\xffIDAT", "damaged"),
    "empty.webp": (lambda: b"", "empty"),
    "diary.jpg": (lambda: b"Dear diary,\n" * 1000, "not a JPEG"),
    "magic-only.jpg": (lambda: b"\xff\xd8\xff", "not a JPEG"),
    "postscript.png": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(x) run\n", "not a JPEG"),
    "photoshop.png": (lambda: b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 9, 9, 8, 3), "not a JPEG"),
    "vector.png": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'><script>x()</script></svg>", "not a JPEG"),
    "forged.tif": (lambda: tiff(50_000, 50_000), "too many pixels"),
    "forged-16-bit.tif": (lambda: tiff(60_000, 60_000, 16), "too many pixels"),
    "largest.tif": (lambda: tiff(2**32 - 1, 2**32 - 1), "too many pixels|damaged|not a JPEG"),
    "far-away.tif": (lambda: b"II*\0" + struct.pack("<I", 2**31), "damaged|not a JPEG"),
    "forged.avif": (lambda: avif(50_000, 50_000), "too many pixels|damaged|not a JPEG"),
    "brand-only.avif": (lambda: b"\0\0\0\x18ftypavif\0\0\0\0avifmif1", "damaged|not a JPEG"),
    "magic-only.heic": (lambda: b"\0\0\0\x18ftypheic\0\0\0\0heicmif1", "damaged|not a JPEG|HEIC"),
    "icon.png": (lambda: saved(Image.new("RGB", (16, 16)), "ICO"), "not a JPEG"),
    "pixmap.png": (lambda: saved(Image.new("RGB", (9, 9)), "PPM"), "not a JPEG"),
}
DECODED = {
    "much-data.png": lambda: png(1, 1, idat(MANY)),
    "loop.tif": lambda: tiff(9, 9)[:-4] + struct.pack("<I", 90),  # the next page is the first
}

READ_ALL = """
import json, resource, sys, warnings
from pathlib import Path
from tinysight.data.image_io import read_image
from tinysight._util.errors import ImageError
warnings.simplefilter("error")

def peak():
    if sys.platform == "darwin":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux inherits ru_maxrss from the parent, and pytest's is larger than this.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) * 1024

results, start = {}, peak()
for path in map(Path, sys.argv[1:]):
    try:
        results[path.name] = read_image(path, (32, 32)).tolist()
    except ImageError as error:
        results[path.name] = str(error)
print(json.dumps([results, peak() - start]))
"""


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    """Pixels or error of each hostile file, and the memory growth, from a separate process."""
    folder = tmp_path_factory.mktemp("gallery")
    makers = DECODED | {name: make for name, (make, _) in REJECTED.items()}
    for name, make in makers.items():
        (folder / name).write_bytes(make())
    os.mkfifo(folder / "pipe.png")
    (folder / "device.png").symlink_to("/dev/zero")
    (folder / "loop.png").symlink_to("loop.png")
    (folder / "folder.png").mkdir()
    command = [sys.executable, "-c", READ_ALL, *map(str, sorted(folder.iterdir()))]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", REJECTED)
def test_a_hostile_file_is_an_error_with_its_name(gallery, name):
    results, _ = gallery

    assert isinstance(results[name], str), "it was decoded"
    assert f"/{name}: " in results[name]
    assert any(reason in results[name] for reason in REJECTED[name][1].split("|")), results[name]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("pipe.png", "not a regular file"),
        ("device.png", "not a regular file"),
        ("loop.png", "cannot be read"),
        ("folder.png", ": a folder"),
    ],
)
def test_special_files_are_errors(gallery, name, reason):
    assert reason in gallery[0][name]


@pytest.mark.parametrize("name", DECODED)
def test_surplus_data_is_not_decompressed(gallery, name):
    assert gallery[0][name] == np.zeros((3, 32, 32)).tolist()


def test_hostile_files_take_little_memory(gallery):
    assert gallery[1] < MAX_GROWTH


def test_a_polyglot_of_image_archive_and_html_decodes_as_an_image():
    content = BytesIO(saved(Image.new("RGB", (8, 8), "red"), "GIF") + b"<script>alert(1)</script>")
    with zipfile.ZipFile(content, "a") as archive:
        archive.writestr("evil.py", "import os")

    assert (read_image(content.getvalue(), (4, 4)) == np.array([255, 0, 0]).reshape(3, 1, 1)).all()


def test_metadata_with_code_is_ignored():
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Comment", "'; DROP TABLE images; --")
    buffer = BytesIO()
    Image.new("RGB", (4, 4), "red").save(buffer, "PNG", pnginfo=notes, exif=b"Exif\0\0<?php evil(); ?>")

    assert type(read_image(buffer.getvalue(), (4, 4))) is np.ndarray


@pytest.mark.parametrize("length", range(0, 1200, 40))
def test_a_jpeg_truncated_anywhere_is_an_error(length):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    content = saved(Image.fromarray(noise), "JPEG")
    assert len(content) > 1200
    with pytest.raises(ImageError):
        read_image(content[:length], (32, 32))
