"""Zip files as data: like the folder that they hold, and safe to unpack."""

import contextlib
import io
import os
import stat
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tinysight as ts
from tinysight._util.errors import DataError, TinysightError
from tinysight.data.sources import zip as zip_source

COLORS = ("blue", "green", "red")


def packed(folder, path, prefix="", compression=zipfile.ZIP_DEFLATED):
    """Write all files below a folder to a zip file."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for file in sorted(file for file in folder.rglob("*") if file.is_file()):
            archive.write(file, prefix + file.relative_to(folder).as_posix())
    return path


@pytest.fixture
def archive(folder, tmp_path):
    """A zip file of six images for each of three colors."""
    return packed(folder(tmp_path / "unpacked", 6), tmp_path / "flowers.zip")


def added(path, *members):
    """Add members, pairs of a name or ZipInfo and the content."""
    with zipfile.ZipFile(path, "a") as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def refusal(path):
    with pytest.raises(DataError) as error:
        ts.load_dataset(path)
    return str(error.value)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_file_has_the_images_of_its_folder(folder, tmp_path, compression):
    plain = folder(tmp_path / "flowers", 6)
    dataset = ts.load_dataset(packed(plain, tmp_path / "flowers.ZIP", compression=compression))
    expected = ts.load_dataset(plain)
    assert dataset.fingerprint == expected.fingerprint
    assert dataset.train.files == expected.train.files
    assert (dataset.name, dataset.source) == ("flowers.ZIP", f"image files in {tmp_path / 'flowers.ZIP'}")
    assert dataset.argument == str(tmp_path / "flowers.ZIP")
    assert all((dataset.folder / file).read_bytes() == (plain / file).read_bytes() for file in dataset.train.files)


def test_the_rules_for_folders_hold_inside_of_a_zip_file(folder, tmp_path):
    folder(tmp_path / "J/Training", 6), folder(tmp_path / "J/Testing", 5)
    for name in ("Training/red/notes.txt", "Training/red/Thumbs.db", "Training/red/.DS_Store"):
        (tmp_path / "J" / name).write_bytes(b"x" * 1000)
    path = added(packed(tmp_path / "J", tmp_path / "J.zip", "archive/"), ("__MACOSX/archive/._x", b"x"))
    dataset = ts.load_dataset(path)
    assert dataset.class_names == COLORS
    assert dataset.test.class_counts(3) == [5, 5, 5]
    assert dataset.report.notes() == (
        "The images are in archive, the only folder there.",
        "Split folders: Training is train, Testing is test.",
        "Not used: 1 file of kinds that are not read: .txt 1.",
    )
    assert [finding.count for finding in dataset.report.ignored] == [3]
    assert ts.load_dataset(path).report == dataset.report  # from the cache


def test_errors_about_the_layout_name_the_zip_file(folder, tmp_path):
    path = packed(folder(tmp_path / "x", 3, ("red",)), tmp_path / "x.zip")
    assert refusal(path).startswith(f"{path}: contains only the class folder red, but at least two are needed.")


def test_a_run_on_a_zip_file_is_evaluated_again(archive, tinysight):
    trained = tinysight("train", "early-stopping", "--epochs", 1, "--data", archive, "--out", "run")
    assert trained.code == 0
    assert tinysight("evaluate", "run").code == 0
    assert "used:        18 images" in tinysight("data", "info", "--data", archive).out


def test_a_changed_zip_file_is_unpacked_again_and_the_old_files_are_removed(archive, tmp_path, monkeypatch, pic):
    monkeypatch.setenv("TINYSIGHT_CACHE_DIR", str(tmp_path / "cache"))
    before = ts.load_dataset(archive)
    content = io.BytesIO()
    pic("red", 99).save(content, "PNG")
    after = ts.load_dataset(added(archive, ("red/new.png", content.getvalue())))
    assert (before.report.used, after.report.used) == (18, 19)
    assert not before.folder.exists()
    assert not list((tmp_path / "cache/zips").rglob("*.part"))


@pytest.mark.parametrize(
    "name",
    [
        *("../evil.png", "red/../../evil.png", "/evil.png", "..", "red/..", "C:/evil.png", "c:evil.png"),
        *("..\\evil.png", "red\\..\\..\\evil.png", "\\evil.png", "\\\\host\\share\\evil.png", "./../evil.png"),
    ],
)
def test_members_outside_of_the_folder_are_refused(archive, tmp_path, monkeypatch, name):
    monkeypatch.setenv("TINYSIGHT_CACHE_DIR", str(tmp_path / "cache"))
    shown = name.replace("\\", "/")
    assert refusal(added(archive, (name, b"evil"))) == (
        f"{archive}: the member {shown} is outside of the folder to unpack. Use an archive that you trust."
    )
    assert not list(tmp_path.rglob("evil*"))
    assert not list(tmp_path.rglob("cache/**/*.png"))


@given(
    name=st.lists(st.sampled_from(["a", "..", ".", "/", "\\", "C:", "\n", "é"]), min_size=1, max_size=6).map("".join)
)
@settings(max_examples=60)
def test_no_name_is_written_outside_of_the_cache(tmp_path_factory, name):
    folder = tmp_path_factory.mktemp("names")
    path, cache = folder / "x.zip", folder / "cache"
    with zipfile.ZipFile(path, "w") as archive, pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYSIGHT_CACHE_DIR", str(cache))
        archive.writestr(zipfile.ZipInfo(name), b"planted")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYSIGHT_CACHE_DIR", str(cache))
        with pytest.raises(TinysightError):
            ts.load_dataset(path)
    outside = [file for file in folder.rglob("*") if file.is_file() and cache not in file.parents]
    assert outside == [path]


def test_backslashes_separate_folders(archive, pic):
    content = io.BytesIO()
    pic("red", 99).save(content, "PNG")
    assert ts.load_dataset(added(archive, ("red\\new.png", content.getvalue()))).report.used == 19


def test_links_and_repeated_names_in_a_zip_file_are_counted(archive):
    link = zipfile.ZipInfo("red/link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.warns(UserWarning, match="Duplicate name"):
        added(archive, (link, "/etc/passwd"), ("red/0.png", b"other"), ("green/1.png/x.png", b"other"))
    report = ts.load_dataset(archive, skip_unreadable=True).report
    assert [finding.describe() for finding in report.skipped] == [
        "1 link in a zip file: red/link.png.",
        "1 file whose name occurs twice in the zip file: red/0.png.",
        "1 file with the name of a folder in the zip file: green/1.png.",
        "1 file that cannot be read: green/1.png/x.png.",
    ]


def test_encrypted_members_are_refused(archive):
    content = bytearray(archive.read_bytes())
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        start = content.index(signature)
        content[start + offset] |= 1
    archive.write_bytes(content)
    assert refusal(archive) == f"{archive}: blue/0.png is encrypted. Unpack it yourself and pass the folder."


def test_an_unknown_compression_is_refused(archive):
    content = bytearray(archive.read_bytes())
    for signature, offset in ((b"PK\3\4", 8), (b"PK\1\2", 10)):
        start = content.index(signature)
        content[start + offset] = 97
    archive.write_bytes(content)
    assert refusal(archive) == (
        f"{archive}: blue/0.png has an unknown compression. Unpack it yourself and pass the folder."
    )


def test_limits_on_members_and_size(archive, monkeypatch):
    monkeypatch.setattr(zip_source, "MAX_MEMBERS", 17)
    assert refusal(archive) == f"{archive}: 18 files (limit: 17). Unpack it yourself and pass the folder."
    monkeypatch.undo()
    with zipfile.ZipFile(archive) as opened:
        total = sum(info.file_size for info in opened.infolist())
    monkeypatch.setattr(zip_source, "MAX_TOTAL_BYTES", total - 1)
    assert "GiB). Unpack it yourself and pass the folder." in refusal(archive)
    monkeypatch.setattr(zip_source, "MAX_TOTAL_BYTES", total)
    assert ts.load_dataset(archive).report.used == 18


def test_a_large_member_that_is_no_image_is_not_unpacked(archive, tmp_path, monkeypatch):
    monkeypatch.setenv("TINYSIGHT_CACHE_DIR", str(tmp_path / "cache"))
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("red/zeros.bin", bytes(30 * 2**20))
    dataset = ts.load_dataset(archive)
    assert (dataset.folder / "red/zeros.bin").stat().st_size <= 64
    assert dataset.report.skipped[0].describe() == "1 file of kinds that are not read: .bin 1."


def test_other_files_are_refused(tmp_path):
    (tmp_path / "text.zip").write_text("not a zip file")
    assert refusal(tmp_path / "text.zip") == f"{tmp_path / 'text.zip'}: not a zip file, or damaged. Get a new copy."
    assert refusal(tmp_path / "none.zip") == f"{tmp_path / 'none.zip'}: no such file. Check the path."
    assert refusal("a\0b.zip") == r"'a\x00b.zip': not a path. Pass a zip file."
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.zip")
        assert refusal(tmp_path / "pipe.zip") == f"{tmp_path / 'pipe.zip'}: not a regular file. Pass a zip file."


@given(data=st.data())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_zip_file_is_refused_or_read(archive, data):
    content = bytearray(archive.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path = archive.with_name("damaged.zip")
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))] if data.draw(st.booleans()) else content)
    with contextlib.suppress(TinysightError):  # any other exception fails the test
        assert ts.load_dataset(path, image_size=8).report.used <= 18
