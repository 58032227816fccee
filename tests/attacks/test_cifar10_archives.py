"""Damaged and malicious CIFAR-10 archives and batch files."""

import gzip
import io
import random
import tarfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tinysight._util.errors import DataError
from tinysight.data.sources import cifar10
from tinysight.data.sources.cifar10.archive import read_tar_members

MEMBER = "cifar-10-batches-bin/test_batch.bin"
CONTENT = b"images" * 100


def member(name=MEMBER, kind=tarfile.REGTYPE, content=CONTENT, **properties):
    header = tarfile.TarInfo(name)
    header.type = kind
    header.size = len(content)
    for key, value in properties.items():
        setattr(header, key, value)
    return header, content


def write_archive(path, *members):
    with tarfile.open(path, "w:gz") as archive:
        for header, content in members:
            archive.addfile(header, io.BytesIO(content))
    return path


def read(path):
    content = {}
    read_tar_members(path, {MEMBER: len(CONTENT)}, lambda name, stream: content.update({name: stream.read()}))
    return content


HOSTILE = {
    "an absolute path": [member(), member("/etc/passwd")],
    "a path with ..": [member(), member("cifar-10-batches-bin/../../passwd")],
    "a symbolic link in place of the file": [member(kind=tarfile.SYMTYPE, content=b"", linkname="/etc/passwd")],
    "a hard link in place of the file": [member(kind=tarfile.LNKTYPE, content=b"", linkname="/etc/passwd")],
    "a symbolic link beside the file": [member(), member("x", tarfile.SYMTYPE, b"", linkname="/")],
    "a device": [member(kind=tarfile.CHRTYPE, content=b"", devmajor=1, devminor=5)],
    "a pipe": [member(kind=tarfile.FIFOTYPE, content=b"")],
    "a folder of the file's name": [member(kind=tarfile.DIRTYPE, content=b"")],
    "a folder of the file's name and size": [member(kind=tarfile.DIRTYPE)],
    "the file twice": [member(), member()],
    "a file that is too long": [member(content=CONTENT + b"!")],
    "a file that is too short": [member(content=CONTENT[1:])],
    "a sparse file": [member(pax_headers={"GNU.sparse.map": "0,1", "GNU.sparse.size": "9"})],
    "nothing": [],
    "too many files": [member(f"file-{number}", content=b"") for number in range(200)],
}


@pytest.mark.parametrize("members", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_archive_is_an_error(tmp_path, members):
    with pytest.raises(DataError, match=r"images.tar.gz"):
        read(write_archive(tmp_path / "images.tar.gz", *members))


def test_an_archive_without_hostile_members_is_read(tmp_path):
    assert read(write_archive(tmp_path / "images.tar.gz", member())) == {MEMBER: CONTENT}


def test_a_decompression_bomb_is_detected_early(tmp_path, monkeypatch):
    unzipped = []
    original_read = gzip.GzipFile.read
    monkeypatch.setattr(
        gzip.GzipFile, "read", lambda *arguments: unzipped.append(original_read(*arguments)) or unzipped[-1]
    )
    bomb = write_archive(tmp_path / "images.tar.gz", member("bomb", content=bytes(50_000_000)), member())
    with pytest.raises(DataError, match="unpacks to more bytes than expected"):
        read(bomb)
    assert sum(map(len, unzipped)) < 2_000_000


def test_deeply_nested_headers_are_an_error(tmp_path):
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 0
    path = tmp_path / "images.tar.gz"
    path.write_bytes(gzip.compress(header.tobuf() * 1900))
    with pytest.raises(DataError, match="incomplete or damaged gzipped tar archive"):
        read(path)


def test_a_negative_size_does_not_loop(tmp_path):
    header = tarfile.TarInfo("x")
    header.size = -512
    path = tmp_path / "images.tar.gz"
    path.write_bytes(gzip.compress(header.tobuf(format=tarfile.GNU_FORMAT) + bytes(10_240)))
    with pytest.raises(DataError):
        read(path)


@pytest.fixture
def plain_tar(tmp_path):
    return gzip.decompress(write_archive(tmp_path / "whole.tar.gz", member()).read_bytes())


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_archive_is_read_or_a_data_error(tmp_path, plain_tar, data):
    plain = bytearray(plain_tar)
    for _ in range(data.draw(st.integers(1, 4))):
        plain[data.draw(st.integers(0, 600))] = data.draw(st.integers(0, 255))
    damaged = tmp_path / "images.tar.gz"
    damaged.write_bytes(gzip.compress(plain, 1, mtime=0)[: data.draw(st.integers(1, 2000))])
    try:
        assert len(read(damaged)[MEMBER]) == len(CONTENT)
    except DataError as error:
        assert str(damaged) in str(error)  # noqa: PT017


@pytest.mark.parametrize("fraction", [0.01, 0.5, 0.9])
def test_a_truncated_archive_is_an_error(tmp_path, fraction):
    noise = random.Random(0).randbytes(50_000)  # incompressible
    path = write_archive(tmp_path / "images.tar.gz", member(content=noise))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(fraction * len(whole))])
    with pytest.raises(DataError, match="incomplete or damaged gzipped tar archive"):
        read_tar_members(path, {MEMBER: len(noise)}, lambda name, stream: stream.read())


@pytest.mark.parametrize("content", [b"", b"text", gzip.compress(b"text", mtime=0), gzip.compress(b"", mtime=0)])
def test_other_files_are_an_error(tmp_path, content):
    path = tmp_path / "images.tar.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"images.tar.gz"):
        read(path)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        (5, r"incomplete CIFAR-10 \(5 bytes instead of 170,052,171"),
        (170_052_172, r"incomplete CIFAR-10 \(170,052,172 bytes instead of 170,052,171"),
        (170_052_171, "has the SHA-256 .* instead of c4a38c50"),
    ],
)
def test_an_unofficial_archive_is_an_error(tmp_path, size, message):
    with (tmp_path / "cifar-10-binary.tar.gz").open("wb") as file:
        file.truncate(size)
    with pytest.raises(DataError, match=message):
        cifar10.load(tmp_path)


def test_a_missing_archive_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"images.tar.gz: cannot be read \(No such file"):
        cifar10.read(cifar10.Location("archive", tmp_path / "images.tar.gz"))


@pytest.fixture
def batches(tmp_path):
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    for name in [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]:
        with (folder / name).open("wb") as file:
            file.truncate(30_730_000)
    return folder


def read_binary(folder):
    """Read a folder without the check of `find`."""
    return cifar10.read(cifar10.Location("binary", folder))


@pytest.mark.parametrize(("load", "separator"), [(cifar10.load, " has"), (read_binary, ":")])
@pytest.mark.parametrize("size", [0, 30_729_999, 30_730_001, 60_000_000])
def test_a_batch_of_the_wrong_size_is_an_error(batches, size, load, separator):
    with (batches / "data_batch_3.bin").open("r+b") as file:
        file.truncate(size)
    with pytest.raises(DataError, match=f"data_batch_3.bin{separator} {size:,} bytes instead of 30,730,000"):
        load(batches)


def test_a_label_of_200_is_an_error(batches):
    with (batches / "data_batch_3.bin").open("r+b") as file:
        file.seek(17 * 3073)
        file.write(bytes([200]))
    with pytest.raises(DataError, match=r"data_batch_3.bin: label 200 of image 17 is not in 0\.\.9"):
        cifar10.load(batches)


def test_a_missing_batch_is_an_error(batches):
    (batches / "test_batch.bin").unlink()
    with pytest.raises(DataError, match=r"cifar-10-batches-bin: incomplete CIFAR-10 \(missing test_batch\.bin\)\."):
        cifar10.load(batches)
    with pytest.raises(
        DataError, match=r"test_batch.bin: cannot be read \(No such file or directory\). Get a new copy"
    ):
        read_binary(batches)
