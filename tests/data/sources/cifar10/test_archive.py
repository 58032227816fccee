import tarfile

import pytest

from tinysight._util.errors import DataError
from tinysight.data.sources.cifar10.archive import read_tar_members


@pytest.fixture
def archive(tmp_path):
    """Two binary files and a readme in a folder."""
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "one.bin").write_bytes(b"1" * 100)
    (folder / "two.bin").write_bytes(b"2" * 70_000)
    (folder / "readme.html").write_text("<html>")
    path = tmp_path / "images.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder, "images")
    return path


def read(path, sizes):
    content = {}
    read_tar_members(path, sizes, lambda name, stream: content.update({name: stream.read()}))
    return content


def test_requested_members_are_read(archive):
    content = read(archive, {"images/one.bin": 100, "images/two.bin": 70_000})
    assert content == {"images/one.bin": b"1" * 100, "images/two.bin": b"2" * 70_000}


def test_a_member_may_be_read_partially(archive):
    first_bytes = []
    read_tar_members(
        archive,
        {"images/one.bin": 100, "images/two.bin": 70_000},
        lambda name, stream: first_bytes.append(stream.read(1)),
    )
    assert sorted(first_bytes) == [b"1", b"2"]


def test_nothing_is_written_to_disk(archive, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    read(archive, {"images/one.bin": 100})
    assert sorted(tmp_path.rglob("*")) == before


def test_a_missing_member_is_an_error(archive):
    with pytest.raises(DataError, match=r"member images/three.bin is missing"):
        read(archive, {"images/one.bin": 100, "images/three.bin": 1})


def test_a_member_of_the_wrong_size_is_an_error_before_it_is_read(archive):
    read_names = []
    with pytest.raises(DataError, match=r"member images/two.bin has 70,000 bytes instead of 7"):
        read_tar_members(archive, {"images/two.bin": 7}, lambda name, stream: read_names.append(name))
    assert read_names == []
