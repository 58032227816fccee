"""`tinysight data` and CIFAR-10: the download, and what is said of the images that are here."""

import socket
from pathlib import Path

import pytest

from tinysight.data import cifar10
from tinysight.data.cache import cache_folder
from tinysight.data.cifar10 import published

BINARY = "cifar-10-batches-bin"


@pytest.fixture
def offline(isolated, site, monkeypatch):
    """The published archive lies where nobody answers."""
    with socket.socket() as taken:
        taken.bind(("localhost", 0))  # bound but not listening
        url = f"https://localhost:{taken.getsockname()[1]}/"
        monkeypatch.setattr(published, "ARCHIVE", site.archive(url=url))
        yield


@pytest.fixture
def cut_short(isolated, binary_layout):
    """A cache in which one of the six files is not whole; that file."""
    cache_folder().mkdir()
    file = binary_layout.rename(cache_folder() / BINARY) / "data_batch_4.bin"
    with file.open("r+b") as content:
        content.truncate(1_000_000)
    return file


def test_download_fetches_the_images_once(tinysight, isolated, small_site):
    first, second = tinysight("data", "download"), tinysight("data", "download")
    for outcome in (first, second):
        said = f"CIFAR-10 is in {cache_folder() / BINARY}\nnext: tinysight data info\n"
        assert (outcome.code, outcome.out) == (0, said)
    assert len(small_site.ranges) == 1


def test_download_mends_a_file_that_was_cut_short(tinysight, isolated, small_site):
    tinysight("data", "download")
    file = cache_folder() / BINARY / "data_batch_4.bin"
    whole = file.read_bytes()
    file.write_bytes(whole[:1000])
    assert tinysight("data", "download").code == 0
    assert file.read_bytes() == whole


def test_download_without_a_network_is_refused_in_a_sentence(tinysight, offline):
    told = tinysight("data", "download").refusal(1)
    assert "cannot be fetched: Connection refused; check the connection and try again." in told
    assert cifar10.find() is None


def test_where_the_images_are_already_download_needs_no_network(tinysight, offline, binary_layout):
    cache_folder().mkdir()
    binary_layout.rename(cache_folder() / BINARY)
    outcome = tinysight("data", "download")
    assert (outcome.code, outcome.err) == (0, "")


def test_training_on_what_was_cut_short_names_the_command_that_mends_it(tinysight, offline, cut_short):
    told = tinysight("train", "early-stopping", "--out", "run").refusal(1)
    assert "`tinysight data download`" in told
    assert not Path("run").exists()


def test_a_variable_that_leads_to_no_images_is_named(tinysight, isolated, monkeypatch):
    monkeypatch.setenv("TINYSIGHT_DATA_DIR", str(isolated / "nothing"))
    told = tinysight("data", "info").refusal()
    assert told.startswith(f"{isolated / 'nothing'} holds no CIFAR-10: ")
    assert "Set TINYSIGHT_DATA_DIR to a folder that does" in told


def test_info_says_that_images_are_the_published_ones(tinysight, published_layout):
    told = tinysight("data", "info", "--data-dir", published_layout).out
    assert "official:    yes\n" in told
    assert "note:" not in told


def test_info_says_that_images_are_not_the_published_ones(tinysight, binary_layout):
    told = tinysight("data", "info", "--data-dir", binary_layout).out
    assert "official:    no (checksum differs)\n" in told
    assert "note:        The images or labels differ from those published as CIFAR-10.\n" in told
