import socket
from pathlib import Path

import pytest

from tinysight._util.errors import DownloadError, StorageError
from tinysight.data.sources.cifar10 import download


@pytest.fixture
def part(tmp_path):
    return tmp_path / "cache" / "images.part"


class RecordingProgress:
    """Records totals and advances."""

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


def test_the_file_is_downloaded_and_progress_counts_its_bytes(site, part):
    progress = RecordingProgress()
    download.fetch(site.archive(), part, progress)
    assert part.read_bytes() == site.content
    assert progress.tasks == [[len(site.content), "B", len(site.content)]]


def test_a_complete_file_is_not_downloaded_again(site, part):
    part.parent.mkdir()
    part.write_bytes(site.content)
    download.fetch(site.archive(), part)
    assert site.ranges == []


def test_a_dropped_connection_is_resumed(site, part):
    site.drops = [300_000, 200_000]
    progress = RecordingProgress()
    download.fetch(site.archive(), part, progress)
    assert part.read_bytes() == site.content
    assert site.ranges == [None, "bytes=300000-", "bytes=500000-"]
    assert [done for _, _, done in progress.tasks] == [300_000, 500_000, len(site.content)]


def test_a_later_call_resumes_a_partial_file(site, part):
    site.drops = [300_000, 0]
    with pytest.raises(DownloadError, match="300,000 of 1,024,000 bytes"):
        download.fetch(site.archive(), part)
    assert part.stat().st_size == 300_000
    download.fetch(site.archive(), part)
    assert part.read_bytes() == site.content
    assert site.ranges[-1] == "bytes=300000-"


def test_a_server_without_ranges_is_read_from_the_start(site, part):
    site.drops, site.ignores_range = [300_000], True
    download.fetch(site.archive(), part)
    assert part.read_bytes() == site.content


def test_a_connection_dropped_within_a_chunk_is_resumed(site, part):
    site.drops, site.chunked = [300_000], True
    download.fetch(site.archive(), part)
    assert part.read_bytes() == site.content
    assert site.ranges == [None, "bytes=300000-"]


def test_a_wrong_range_is_an_error(site, part):
    site.drops, site.shifts_range = [300_000], True
    with pytest.raises(DownloadError, match=r"sent bytes 300001-.*, but the request was for bytes 300000-"):
        download.fetch(site.archive(), part)
    assert part.read_bytes() == site.content[:300_000]


def test_an_unsatisfiable_range_restarts_the_download(site, part):
    part.parent.mkdir()
    part.write_bytes(site.content + b"more")  # longer than the file on the server
    archive = site.archive(size=len(site.content) + 5)
    with pytest.raises(DownloadError, match="1,024,000 bytes instead of 1,024,005"):
        download.fetch(archive, part)
    assert site.ranges == ["bytes=1024004-", None]


def test_retries_are_limited(site, part):
    site.drops = [1] * 100
    with pytest.raises(DownloadError, match="connection dropped 20 times"):
        download.fetch(site.archive(), part)


def test_the_last_retry_may_complete_the_file(site, part):
    site.drops = [1] * 19
    download.fetch(site.archive(), part)
    assert part.read_bytes() == site.content
    assert len(site.ranges) == 20


def test_a_file_with_the_wrong_checksum_is_removed(site, part):
    with pytest.raises(DownloadError, match=f"SHA-256 {site.archive().sha256} instead of 0000"):
        download.fetch(site.archive(sha256="0" * 64), part)
    assert not part.exists()


@pytest.mark.parametrize("announces_length", [True, False])
def test_a_file_that_is_too_long_is_an_error(site, part, announces_length):
    site.announces_length = announces_length
    with pytest.raises(DownloadError, match="not the official file"):
        download.fetch(site.archive(size=100_000), part)
    assert not part.exists()


def test_a_file_that_is_too_short_is_an_error(site, part):
    with pytest.raises(DownloadError, match="1,024,000 bytes instead of 2,000,000"):
        download.fetch(site.archive(size=2_000_000), part)


def test_a_server_error_is_reported(site, part):
    site.status = 503
    with pytest.raises(DownloadError, match="the server returned 503"):
        download.fetch(site.archive(), part)


def test_a_refused_connection_is_reported(site, part):
    with socket.socket() as unused:
        unused.bind(("localhost", 0))  # bound but not listening
        url = f"https://localhost:{unused.getsockname()[1]}/"
        with pytest.raises(DownloadError, match=r"download failed \(Connection refused\)"):
            download.fetch(site.archive(url=url), part)


def test_a_silent_server_times_out(site, part, monkeypatch):
    monkeypatch.setattr(download, "_TIMEOUT_SECONDS", 0.1)
    site.hold.clear()
    with pytest.raises(DownloadError, match="timed out"):
        download.fetch(site.archive(), part)


def test_an_untrusted_certificate_is_an_error(site, part, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(DownloadError, match="certificate verify failed"):
        download.fetch(site.archive(), part)
    assert site.ranges == []


def test_plain_http_is_an_error(site, part):
    with pytest.raises(DownloadError, match="not an https URL"):
        download.fetch(site.archive(url=site.url.replace("https", "http")), part)
    assert site.ranges == []


def test_a_redirect_to_https_is_followed(site, part):
    site.redirect = "/elsewhere"
    download.fetch(site.archive(), part)
    assert part.read_bytes() == site.content


def test_a_redirect_to_http_is_an_error(site, part):
    site.redirect = "http://localhost/images.tar.gz"
    with pytest.raises(DownloadError, match=r"redirects to http://localhost/images.tar.gz, which is not https"):
        download.fetch(site.archive(), part)


def test_a_folder_that_cannot_be_created_is_a_storage_error(site, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"Cannot write .*images.part: a file of that name exists"):
        download.fetch(site.archive(), tmp_path / "file" / "images.part")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_a_storage_error(site):
    with pytest.raises(StorageError, match="the disk is full"):
        download.fetch(site.archive(), Path("/dev/full"))
