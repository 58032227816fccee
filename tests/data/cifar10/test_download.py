import socket
from pathlib import Path

import pytest

from tinysight.data.cifar10 import download
from tinysight.errors import DownloadError, StorageError


@pytest.fixture
def part(tmp_path):
    return tmp_path / "cache" / "images.part"


class Recorder:
    """A progress that remembers how far it was told to be."""

    def __init__(self):
        self.tasks = []

    def start(self, task, total, unit=""):
        self.tasks.append([total, unit, 0])

    def advance(self, amount, **figures):
        self.tasks[-1][2] += amount

    def finish(self, line=""):
        pass

    def note(self, message):
        pass


def test_the_file_arrives_whole_and_progress_counts_its_bytes(site, part):
    progress = Recorder()
    download.fetch(site.archive(), part, progress)
    assert part.read_bytes() == site.content
    assert progress.tasks == [[len(site.content), "B", len(site.content)]]


def test_what_is_there_is_not_fetched_again(site, part):
    part.parent.mkdir()
    part.write_bytes(site.content)
    download.fetch(site.archive(), part)
    assert site.ranges == []


def test_a_dropped_connection_is_taken_up_where_it_broke(site, part):
    site.drops = [300_000, 200_000]
    progress = Recorder()
    download.fetch(site.archive(), part, progress)
    assert part.read_bytes() == site.content
    assert site.ranges == [None, "bytes=300000-", "bytes=500000-"]
    assert [done for _, _, done in progress.tasks] == [300_000, 500_000, len(site.content)]


def test_a_later_call_goes_on_from_what_an_earlier_one_left(site, part):
    site.drops = [300_000, 0]
    with pytest.raises(DownloadError, match="300,000 of 1,024,000 bytes"):
        download.fetch(site.archive(), part)
    assert part.stat().st_size == 300_000
    download.fetch(site.archive(), part)
    assert part.read_bytes() == site.content
    assert site.ranges[-1] == "bytes=300000-"


def test_a_server_that_knows_no_ranges_is_read_from_the_start(site, part):
    site.drops, site.ignores_range = [300_000], True
    download.fetch(site.archive(), part)
    assert part.read_bytes() == site.content


def test_a_connection_that_breaks_within_a_piece_is_taken_up_too(site, part):
    site.drops, site.chunked = [300_000], True
    download.fetch(site.archive(), part)
    assert part.read_bytes() == site.content
    assert site.ranges == [None, "bytes=300000-"]


def test_bytes_from_elsewhere_are_not_joined_to_what_is_there(site, part):
    site.drops, site.shifts_range = [300_000], True
    with pytest.raises(DownloadError, match=r"sends bytes 300001-.* where the bytes from 300000 on were asked for"):
        download.fetch(site.archive(), part)
    assert part.read_bytes() == site.content[:300_000]


def test_a_server_without_the_rest_is_asked_from_the_start(site, part):
    part.parent.mkdir()
    part.write_bytes(site.content + b"more")  # as long as the archive, and longer than what the server has
    archive = site.archive(size=len(site.content) + 5)
    with pytest.raises(DownloadError, match="1,024,000 bytes instead of 1,024,005"):
        download.fetch(archive, part)
    assert site.ranges == ["bytes=1024004-", None]


def test_a_connection_that_always_drops_ends(site, part):
    site.drops = [1] * 100
    with pytest.raises(DownloadError, match="broke 20 times"):
        download.fetch(site.archive(), part)


def test_the_last_connection_that_is_allowed_may_bring_the_rest(site, part):
    site.drops = [1] * 19
    download.fetch(site.archive(), part)
    assert part.read_bytes() == site.content
    assert len(site.ranges) == 20


def test_a_file_with_the_wrong_checksum_is_removed(site, part):
    with pytest.raises(DownloadError, match=f"SHA-256 {site.archive().sha256} instead of 0000"):
        download.fetch(site.archive(sha256="0" * 64), part)
    assert not part.exists()


@pytest.mark.parametrize("announces_length", [True, False])
def test_a_file_that_is_too_long_is_refused_and_never_written_past_its_size(site, part, announces_length):
    site.announces_length = announces_length
    with pytest.raises(DownloadError, match="it is not the published file"):
        download.fetch(site.archive(size=100_000), part)
    assert not part.exists()


def test_a_file_that_is_too_short_is_refused(site, part):
    with pytest.raises(DownloadError, match="1,024,000 bytes instead of 2,000,000"):
        download.fetch(site.archive(size=2_000_000), part)


def test_an_error_of_the_server_is_told(site, part):
    site.status = 503
    with pytest.raises(DownloadError, match="the server answers 503"):
        download.fetch(site.archive(), part)


def test_a_refused_connection_is_told(site, part):
    with socket.socket() as taken:
        taken.bind(("localhost", 0))  # bound but not listening
        url = f"https://localhost:{taken.getsockname()[1]}/"
        with pytest.raises(DownloadError, match="cannot be fetched: Connection refused"):
            download.fetch(site.archive(url=url), part)


def test_a_server_that_falls_silent_is_given_up(site, part, monkeypatch):
    monkeypatch.setattr(download, "_TIMEOUT_SECONDS", 0.1)
    site.hold.clear()
    with pytest.raises(DownloadError, match="timed out"):
        download.fetch(site.archive(), part)


def test_a_stranger_with_a_certificate_of_his_own_is_not_believed(site, part, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(DownloadError, match="certificate verify failed"):
        download.fetch(site.archive(), part)
    assert site.ranges == []


def test_only_https_is_asked(site, part):
    with pytest.raises(DownloadError, match="not an https address"):
        download.fetch(site.archive(url=site.url.replace("https", "http")), part)
    assert site.ranges == []


def test_a_way_within_https_is_followed(site, part):
    site.redirect = "/elsewhere"
    download.fetch(site.archive(), part)
    assert part.read_bytes() == site.content


def test_a_way_out_of_https_is_not_followed(site, part):
    site.redirect = "http://localhost/images.tar.gz"
    with pytest.raises(DownloadError, match=r"leads to http://localhost/images.tar.gz, which is not https"):
        download.fetch(site.archive(), part)


def test_a_folder_that_cannot_be_made_is_told_apart_from_the_network(site, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"Cannot write .*images.part: a file of that name exists"):
        download.fetch(site.archive(), tmp_path / "file" / "images.part")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
def test_a_full_disk_is_told_apart_from_the_network(site):
    with pytest.raises(StorageError, match="the disk is full"):
        download.fetch(site.archive(), Path("/dev/full"))
