"""Shards cover the input exactly, whatever it consists of."""

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.bulk.conftest import pa, png, pq
from tinysight._util.errors import InputError
from tinysight.bulk.readers import read_images
from tinysight.bulk.shards import INPUT_SUFFIXES, iter_shards, total_bytes
from tinysight.bulk.storage import RemotePath

SIZE = 3  # images per shard, set by the fixture `_small_shards`


def write_groups(path, groups, column="image"):
    """Write a Parquet file whose row groups have these numbers of rows; return its cells."""
    cells = [f"image {row}".encode() for row in range(sum(groups))]
    schema, start = pa.schema([(column, pa.binary())]), 0
    with pq.ParquetWriter(path, schema) as writer:
        for rows in groups:
            writer.write_table(pa.table([pa.array(cells[start : start + rows], pa.binary())], schema))
            start += rows
    return cells


def shards_of(path):
    return list(iter_shards(RemotePath.parse(str(path))))


NAMES = st.lists(st.sampled_from(["a", "b", "c", "B", ".d", "e.f"]), min_size=1, max_size=3).map("/".join)
SUFFIXES = st.sampled_from([".png", ".JPG", ".jpeg", ".webp", ".gif", ".bmp", ".txt", ".png.part", ""])


@settings(max_examples=30)
@given(
    st.lists(st.tuples(NAMES, SUFFIXES, st.integers(0, 9)), min_size=1, max_size=12, unique_by=lambda file: file[:2])
)
def test_image_files_are_covered_exactly_once_in_sorted_order(files):
    with tempfile.TemporaryDirectory() as folder:
        expected = {}
        for number, (name, suffix, size) in enumerate(files):
            path = Path(folder, "in", f"{name}-{number}{suffix}")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(bytes(size))
            hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
            if suffix.lower() in INPUT_SUFFIXES and not hidden:
                expected[path.as_posix()] = size
        place = RemotePath.parse(f"{folder}/in")
        if not expected:
            with pytest.raises(InputError, match="contains no images"):
                list(iter_shards(place))
            return
        shards = list(iter_shards(place))
        covered = [path for shard in shards for path in shard.paths]
        assert sorted(covered) == sorted(expected)
        assert [len(shard.paths) for shard in shards[:-1]] == [SIZE] * (len(shards) - 1)
        assert [shard.size for shard in shards] == [sum(expected[path] for path in shard.paths) for shard in shards]
        assert total_bytes(place) == sum(expected.values())
        assert {shard.kind for shard in shards} == {"images"}
        assert len({shard.digest for shard in shards}) == len(shards)


@settings(max_examples=30)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=10))
def test_row_groups_are_covered_exactly_once_and_sizes_add_up(groups):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.parquet"
        cells = write_groups(path, groups)
        shards = shards_of(path)
        assert [group for shard in shards for group in shard.row_groups] == list(range(len(groups)))
        rows = [[groups[group] for group in shard.row_groups] for shard in shards]
        assert all(sum(counts) >= SIZE for counts in rows[:-1])
        assert all(sum(counts[:-1]) < SIZE for counts in rows), "a shard could have ended earlier"
        assert sum(shard.size for shard in shards) == path.stat().st_size == total_bytes(RemotePath.parse(str(path)))
        place = RemotePath.parse(str(path))
        images = [image for shard in shards for image in read_images(place, shard)]
        assert images == [(f"{path}:{row}", cell) for row, cell in enumerate(cells)]


@settings(max_examples=20)
@given(st.lists(st.sampled_from(["image", "tar", "parquet"]), min_size=1, max_size=10))
def test_kinds_are_never_mixed_in_a_shard(kinds):
    with tempfile.TemporaryDirectory() as folder:
        names = []
        for number, kind in enumerate(kinds):
            name = f"{number}.{ {'image': 'png'}.get(kind, kind) }"
            names.append(f"{folder}/{name}")
            Path(folder, name).touch()
        shards = shards_of(folder)
        assert sorted(path for shard in shards for path in shard.paths) == sorted(names)
        for shard in shards:
            suffixes = {path.rpartition(".")[2] for path in shard.paths}
            assert suffixes == {{"images": "png"}.get(shard.kind, shard.kind)}
            assert len(shard.paths) == 1 or shard.kind == "images"


def test_digest_changes_with_path_size_and_time_only(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(png(0))
    os.utime(path, (1000, 1000))
    (before,) = shards_of(tmp_path)

    path.write_bytes(png(0))
    os.utime(path, (1000, 1000))
    assert shards_of(tmp_path) == [before]  # written again with the same content and time
    os.utime(path, (1000, 1001))
    assert shards_of(tmp_path)[0].digest != before.digest
    path.write_bytes(png(0) + b"x")
    os.utime(path, (1000, 1000))
    assert shards_of(tmp_path)[0].digest != before.digest
    path.write_bytes(png(0))
    os.utime(path, (1000, 1000))
    path.rename(tmp_path / "b.png")
    assert shards_of(tmp_path)[0].digest != before.digest


def test_digests_of_the_row_groups_of_a_file_differ(tmp_path):
    write_groups(tmp_path / "x.parquet", [3, 3, 3])
    digests = [shard.digest for shard in shards_of(tmp_path)]
    assert len(set(digests)) == 3
    assert all(len(digest) == 16 and int(digest, 16) >= 0 for digest in digests)


def test_unreadable_parquet_file_is_one_shard_without_row_groups(tmp_path):
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    (shard,) = shards_of(tmp_path)
    assert (shard.kind, shard.row_groups, shard.size) == ("parquet", (), 4)


def test_single_file_is_an_input_whatever_its_folder_holds(tmp_path):
    for name in ("a.png", "b.png", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    (shard,) = shards_of(tmp_path / "b.png")
    assert shard.paths == (f"{tmp_path}/b.png",)
    with pytest.raises(InputError, match=r"notes\.txt: contains no images\. Supported files are \.jpg, \.jpeg, \.jpe"):
        shards_of(tmp_path / "notes.txt")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes")
def test_links_and_pipes_are_handled(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "outside.png").write_bytes(b"12345")
    (tmp_path / "in" / "link.png").symlink_to(tmp_path / "outside.png")
    (tmp_path / "in" / "dangling.png").symlink_to(tmp_path / "nowhere.png")
    os.mkfifo(tmp_path / "in" / "pipe.png")
    (shard,) = shards_of(tmp_path / "in")
    assert (shard.paths, shard.size) == ((f"{tmp_path}/in/link.png",), 5)


def test_listing_is_lazy(tmp_path):
    """The first shard is there before the rest of the files is listed."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(40):
            (tmp_path / name / f"{number:02}.png").touch()
    shards = iter_shards(RemotePath.parse(str(tmp_path)))
    assert next(shards).paths[0] == f"{tmp_path}/a/00.png"
    for path in (tmp_path / "b").iterdir():
        path.unlink()
    assert sum(len(shard.paths) for shard in shards) == 40 - SIZE
