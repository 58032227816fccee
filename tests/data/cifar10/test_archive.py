import tarfile

import pytest

from tinysight.data.cifar10.archive import read_members
from tinysight.errors import DataError


@pytest.fixture
def archive(tmp_path):
    """Two files to ask for, one that nobody asks for, in a folder."""
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
    read_members(path, sizes, lambda name, stream: content.update({name: stream.read()}))
    return content


def test_the_members_that_are_asked_for_are_handed_over(archive):
    content = read(archive, {"images/one.bin": 100, "images/two.bin": 70_000})
    assert content == {"images/one.bin": b"1" * 100, "images/two.bin": b"2" * 70_000}


def test_a_member_need_not_be_read_to_its_end(archive):
    begun = []
    read_members(
        archive,
        {"images/one.bin": 100, "images/two.bin": 70_000},
        lambda name, stream: begun.append(stream.read(1)),
    )
    assert sorted(begun) == [b"1", b"2"]


def test_nothing_is_unpacked_to_disk(archive, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    read(archive, {"images/one.bin": 100})
    assert sorted(tmp_path.rglob("*")) == before


def test_a_member_that_is_not_there_is_named(archive):
    with pytest.raises(DataError, match=r"lacks images/three.bin"):
        read(archive, {"images/one.bin": 100, "images/three.bin": 1})


def test_a_member_of_another_size_is_refused_before_it_is_read(archive):
    read_names = []
    with pytest.raises(DataError, match=r"images/two.bin in it has 70,000 bytes instead of 7"):
        read_members(archive, {"images/two.bin": 7}, lambda name, stream: read_names.append(name))
    assert read_names == []
