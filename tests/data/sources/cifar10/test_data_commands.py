"""`tinysight data download` and `tinysight data info` for CIFAR-10."""

import socket
from pathlib import Path

import pytest

from tinysight._util.files import cache_folder
from tinysight.data.sources import cifar10
from tinysight.data.sources.cifar10 import official

BINARY = "cifar-10-batches-bin"


@pytest.fixture
def offline(isolated, site, monkeypatch):
    """The URL of the official archive refuses connections."""
    with socket.socket() as unused:
        unused.bind(("localhost", 0))  # bound but not listening
        url = f"https://localhost:{unused.getsockname()[1]}/"
        monkeypatch.setattr(official, "ARCHIVE", site.archive(url=url))
        yield


@pytest.fixture
def truncated_file(isolated, binary_folder):
    """Path of a truncated file in an otherwise complete cache."""
    cache_folder().mkdir()
    file = binary_folder.rename(cache_folder() / BINARY) / "data_batch_4.bin"
    with file.open("r+b") as content:
        content.truncate(1_000_000)
    return file


def test_download_runs_once(tinysight, isolated, small_site):
    first, second = tinysight("data", "download"), tinysight("data", "download")
    for outcome in (first, second):
        assert (outcome.code, outcome.out) == (0, f"CIFAR-10 is in {cache_folder() / BINARY}\n")
        assert outcome.next == "tinysight data info"
    assert len(small_site.ranges) == 1


def test_download_replaces_a_truncated_file(tinysight, isolated, small_site):
    tinysight("data", "download")
    file = cache_folder() / BINARY / "data_batch_4.bin"
    content = file.read_bytes()
    file.write_bytes(content[:1000])
    assert tinysight("data", "download").code == 0
    assert file.read_bytes() == content


def test_download_without_a_network_is_an_error(tinysight, offline):
    message = tinysight("data", "download").refusal(1)
    assert "download failed (Connection refused). Check the connection and try again." in message
    assert cifar10.find() is None


def test_download_with_a_complete_cache_needs_no_network(tinysight, offline, binary_folder):
    cache_folder().mkdir()
    binary_folder.rename(cache_folder() / BINARY)
    outcome = tinysight("data", "download")
    assert (outcome.code, outcome.err) == (0, "next: tinysight data info\n")


def test_training_on_a_truncated_file_suggests_a_download(tinysight, offline, truncated_file):
    message = tinysight("train", "early-stopping", "--out", "run").refusal(1)
    assert "`tinysight data download`" in message
    assert not Path("run").exists()


def test_a_variable_that_names_an_empty_folder_is_an_error(tinysight, isolated, monkeypatch):
    monkeypatch.setenv("TINYSIGHT_DATA_DIR", str(isolated / "nothing"))
    message = tinysight("data", "info").refusal()
    assert message.startswith(f"{isolated / 'nothing'}: no CIFAR-10 (")
    assert "Set TINYSIGHT_DATA_DIR to a complete copy" in message


def test_info_confirms_official_images(tinysight, published_layout):
    message = tinysight("data", "info", "--data-dir", published_layout).out
    assert "official:    yes\n" in message
    assert "note:" not in message


def test_info_reports_unofficial_images(tinysight, binary_folder):
    message = tinysight("data", "info", "--data-dir", binary_folder).out
    assert "official:    no (checksum differs)\n" in message
    assert "note:        The images or labels differ from the official CIFAR-10.\n" in message
