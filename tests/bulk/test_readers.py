"""Readers yield every image once, and an error in place of what cannot be read."""

import io
import os
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bulk.conftest import pa, png, pq
from tinysight._util.errors import ImageError
from tinysight.bulk.readers import image_column, read_images
from tinysight.bulk.shards import Shard, iter_shards
from tinysight.bulk.storage import RemotePath
from tinysight.data.image_io import MAX_BYTES


def read(path):
    """Return the names and contents of all images of an input, with errors as text."""
    place = RemotePath.parse(str(path))
    return [
        (name, f"error: {content}" if isinstance(content, ImageError) else content)
        for shard in iter_shards(place)
        for name, content in read_images(place, shard)
    ]


def tar_of(members, mode="w", **options):
    """Return the bytes of a tar file; a member is its bytes, or a TarInfo without content."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, **options) as archive:
        for name, content in members.items():
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.name = name
            if isinstance(content, bytes):
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return buffer.getvalue()


def special(kind, target=""):
    info = tarfile.TarInfo()
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_images_of_a_tar_file_are_read_in_its_order(tmp_path, mode, form):
    path, contents = tmp_path / "x.tar", {f"{'d' * 60}/{'e' * 60}/{name}.png": png(7) + name.encode() for name in "cab"}
    path.write_bytes(tar_of(contents, mode, format=form))
    assert read(path) == [(f"{path}:{name}", content) for name, content in contents.items()]


def test_only_regular_visible_images_of_a_tar_file_are_read(tmp_path):
    path = tmp_path / "x.tar"
    members = {
        "folder.png": special(tarfile.DIRTYPE),
        "good.PNG": b"1",
        "link.png": special(tarfile.SYMTYPE, "/etc/passwd"),
        "hard.png": special(tarfile.LNKTYPE, "good.PNG"),
        "pipe.png": special(tarfile.FIFOTYPE),
        "device.png": special(tarfile.CHRTYPE),
        "._good.png": b"metadata of macOS",
        "a/.hidden.png": b"x",
        "notes.txt": b"x",
        "png": b"x",
        "./b.webp": b"2",
        "empty.jpg": b"",
    }
    path.write_bytes(tar_of(members))
    assert [(name.partition(":")[2], content) for name, content in read(path)] == [
        ("good.PNG", b"1"),
        ("./b.webp", b"2"),
        ("empty.jpg", b""),
    ]


def test_images_of_a_tar_file_are_recognized_by_their_content(tmp_path):
    path = tmp_path / "x.tar"
    members = {"a": png(7), "b.dat": png(9) + bytes(5000), "notes": b"words" * 100, "Thumbs.db": png(7), "._c": png(7)}
    path.write_bytes(tar_of(members))
    assert read(path) == [(f"{path}:a", png(7)), (f"{path}:b.dat", png(9) + bytes(5000))]


def test_names_that_are_not_utf_8_are_escaped(tmp_path):
    """Old archives have Latin-1 names; Parquet stores only UTF-8."""
    path = tmp_path / "x.tar"
    names = ["caf\xe9.png", "na\xefve.png", "plain.png"]
    path.write_bytes(tar_of(dict.fromkeys(names, b"x"), format=tarfile.GNU_FORMAT, encoding="latin-1"))
    read_names = [name.partition(":")[2] for name, _ in read(path)]
    assert read_names == [r"caf\xe9.png", r"na\xefve.png", "plain.png"]
    assert pa.array(read_names, pa.string()).to_pylist() == read_names


def test_names_in_any_script_are_kept(tmp_path):
    path, names = tmp_path / "x.tar", ["\u732b.png", "caf\xe9.png", "a\nb.png", "a:b.png"]
    path.write_bytes(tar_of(dict.fromkeys(names, b"x")))
    assert [name.removeprefix(f"{path}:") for name, _ in read(path)] == names


def test_empty_tar_file_has_no_images(tmp_path):
    (tmp_path / "x.tar").write_bytes(tar_of({}))
    assert read(tmp_path / "x.tar") == []


MEMBERS = {f"{number}.png": bytes([number]) * (400 + 300 * number) for number in range(4)}


@settings(max_examples=50)
@given(data=st.data(), mode=st.sampled_from(["w", "w:gz"]))
def test_tar_file_cut_at_any_byte_gives_its_first_images_and_at_most_one_error(data, mode):
    content = tar_of(MEMBERS, mode)
    cut = data.draw(st.integers(0, len(content)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.tar"
        path.write_bytes(content[:cut])
        images = read(path)
    expected = [(f"{path}:{name}", member) for name, member in MEMBERS.items()]
    damage = (str(path), f"error: {path}: is damaged or truncated. Replace or remove it.")
    good = images[:-1] if images[-1:] == [damage] else images
    assert good == expected[: len(good)]
    assert images[-1] == damage or good == expected, "images are missing without an error"
    if cut == len(content):
        assert images == expected


@pytest.mark.parametrize("damage", ["changed header", "missing end", "cut header"])
def test_images_after_damage_between_members_are_not_lost_silently(tmp_path, damage):
    path, content = tmp_path / "x.tar", bytearray(tar_of({f"{number}.png": b"x" * 512 for number in range(4)}))
    if damage == "changed header":
        content[2 * 1024] ^= 1  # each member takes two blocks of 512 bytes
    else:
        del content[2 * 1024 + (100 if damage == "cut header" else 0) :]
    path.write_bytes(content)
    assert [name for name, _ in read(path)] == [f"{path}:0.png", f"{path}:1.png", str(path)]
    assert read(path)[-1][1] == f"error: {path}: is damaged or truncated. Replace or remove it."


@settings(max_examples=50)
@given(data=st.data(), mode=st.sampled_from(["w", "w:gz"]))
def test_changed_byte_of_a_tar_file_never_raises(data, mode):
    content = bytearray(tar_of(MEMBERS, mode))
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.tar"
        path.write_bytes(content)
        assert all(name.startswith(str(path)) for name, _ in read(path))


@settings(max_examples=40)
@given(data=st.data())
def test_parquet_file_cut_at_any_byte_is_one_error(data):
    buffer = io.BytesIO()
    pq.write_table(pa.table({"image": [b"a" * 50, b"b" * 50]}), buffer)
    content = buffer.getvalue()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.parquet"
        path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
        assert read(path) == [(str(path), f"error: {path}: is damaged or truncated. Replace or remove it.")]


BYTES, STRUCT = pa.binary(), pa.struct([("bytes", pa.binary()), ("path", pa.string())])


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ([("image", BYTES)], "image"),
        ([("a", pa.int64()), ("b", BYTES), ("c", BYTES)], "b"),
        ([("a", BYTES), ("image", BYTES)], "image"),
        ([("image", pa.string()), ("b", BYTES)], "b"),
        ([("image", STRUCT)], "image"),
        ([("picture", pa.large_binary())], "picture"),
        ([("x", pa.struct([("bytes", pa.large_binary())]))], "x"),
        ([("x", pa.struct([("bytes", pa.string())]))], None),
        ([("x", pa.struct([("path", BYTES)]))], None),
        ([("x", pa.list_(BYTES))], None),
        ([("image", pa.string())], None),
        ([], None),
    ],
)
def test_column_of_images_is_found_by_its_type_and_then_its_name(columns, expected):
    assert image_column(pa.schema(columns)) == expected


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view()])
def test_every_binary_type_gives_the_same_images(tmp_path, kind):
    path, cells = tmp_path / "x.parquet", [b"one", b"two", b"three"]
    pq.write_table(pa.table({"label": [1, 2, 3], "image": pa.array(cells, kind)}), path)
    assert read(path) == [(f"{path}:{row}", cell) for row, cell in enumerate(cells)]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([b"one", None, b"", b"two"]),
        pa.array([{"bytes": b"one", "path": "x"}, None, {"bytes": b"", "path": None}, {"bytes": b"two"}], STRUCT),
        pa.array([{"bytes": b"one"}, {"bytes": None, "path": "only.png"}, {"bytes": b""}, {"bytes": b"two"}], STRUCT),
    ],
    ids=["bytes", "missing struct", "missing bytes"],
)
def test_empty_cells_are_errors_that_name_the_row(tmp_path, column):
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"image": column}), path)
    missing = [(f"{path}:{row}", f"error: {path}: row {row} holds no image. Remove the row.") for row in (1, 2)]
    assert read(path) == [(f"{path}:0", b"one"), *missing, (f"{path}:3", b"two")]


def test_more_rows_than_are_read_at_a_time_keep_their_numbers(tmp_path):
    path, count = tmp_path / "x.parquet", 600  # read in batches of 256
    pq.write_table(pa.table({"image": [f"{row}".encode() for row in range(count)]}), path)
    assert read(path) == [(f"{path}:{row}", f"{row}".encode()) for row in range(count)]


def images_shard(*paths):
    return Shard("images", tuple(map(str, paths)), 0, "0" * 16)


def test_file_that_disappears_after_the_listing_is_an_error(tmp_path):
    (tmp_path / "a.png").write_bytes(b"a")
    shard = images_shard(tmp_path / "a.png", tmp_path / "gone.png")
    (_, first), (name, error) = read_images(RemotePath.parse(str(tmp_path)), shard)
    assert (first, name) == (b"a", f"{tmp_path}/gone.png")
    assert str(error) == f"{tmp_path}/gone.png: no longer exists. Restore it or rerun without it."


@pytest.mark.skipif(getattr(os, "geteuid", int)() == 0, reason="root may read every file")
def test_file_without_permission_is_an_error(tmp_path):
    (tmp_path / "a.png").write_bytes(b"a")
    (tmp_path / "a.png").chmod(0)
    ((_, error),) = read_images(RemotePath.parse(str(tmp_path)), images_shard(tmp_path / "a.png"))
    assert str(error).endswith("Check its permissions.")


def test_huge_file_is_read_only_up_to_the_limit(tmp_path):
    with (tmp_path / "a.png").open("wb") as file:
        file.truncate(MAX_BYTES * 4)  # takes no space on the disk
    ((_, content),) = read_images(RemotePath.parse(str(tmp_path)), images_shard(tmp_path / "a.png"))
    assert len(content) == MAX_BYTES + 1


def test_nothing_is_read_before_it_is_needed(tmp_path):
    (tmp_path / "a.png").write_bytes(b"a")
    images = read_images(RemotePath.parse(str(tmp_path)), images_shard(tmp_path / "a.png", tmp_path / "b.png"))
    assert next(images)[1] == b"a"
    (tmp_path / "b.png").write_bytes(b"late")
    assert next(images)[1] == b"late"
