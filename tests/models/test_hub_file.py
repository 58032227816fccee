"""Weights from the Hugging Face Hub, downloaded from a local server that answers as the Hub does."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from safetensors.torch import save

from tinysight._util.errors import DownloadError, ModelError
from tinysight.models.pretrained import HubFile

REPOSITORY, REVISION = "someone/weights", "0123456789abcdef0123456789abcdef01234567"
CONTENT = save({"weight": torch.arange(1000.0)}, metadata={"format": "pt"})
SHA256 = hashlib.sha256(CONTENT).hexdigest()
FILE = HubFile(REPOSITORY, REVISION, SHA256)


class _Hub(ThreadingHTTPServer):
    """Serves one file of one repository, and lists the requests."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content, self.stated_size, self.requests = CONTENT, len(CONTENT), []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self._answer()

    def do_GET(self):
        self._answer()

    def _answer(self):
        hub = self.server
        hub.requests.append((self.command, self.path, self.headers.get("Authorization")))
        is_known = self.path == f"/{REPOSITORY}/resolve/{REVISION}/model.safetensors"
        content = hub.content if is_known else b""
        self.send_response(200 if is_known else 404)
        if is_known:
            self.send_header("X-Repo-Commit", REVISION)
            self.send_header("X-Linked-Etag", f'"{SHA256}"')
            self.send_header("X-Linked-Size", str(hub.stated_size))
        else:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *args):
        pass


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A server in place of the Hub, and an empty cache."""
    constants = pytest.importorskip("huggingface_hub.constants", reason="the extra 'pretrained' is not installed")
    server = _Hub()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def message_of(error):
    with pytest.raises(error) as caught:
        FILE.read()
    return str(caught.value)


def test_file_is_downloaded_once(hub):
    FILE.check()
    n_requests = len(hub.requests)
    for _ in range(2):
        assert torch.equal(FILE.read()["weight"], torch.arange(1000.0))
    assert len(hub.requests) == n_requests
    assert sum(method == "GET" and path.endswith(FILE.file) for method, path, _ in hub.requests) == 1


def test_no_token_of_the_user_is_sent(hub, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    FILE.check()
    assert {token for _, _, token in hub.requests} == {None}


def test_cached_file_needs_no_hub(hub, monkeypatch):
    FILE.check()
    hub.content = b""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert FILE.read().keys() == {"weight"}


UNREACHABLE = (
    "someone/weights: its weights are not in the cache of the Hugging Face Hub, and cannot be downloaded ({}). Connect "
    "to the internet, or use the backbone efficientnet-lite0, which needs no connection."
)


def test_offline_mode_is_named(hub, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    message = message_of(DownloadError)
    before, after = UNREACHABLE.split("{}")
    assert message.startswith(before)
    assert message.endswith(after)
    assert "HF_HUB_OFFLINE" in message
    assert hub.requests == []


def test_hub_that_cannot_be_reached_is_refused_at_once(hub):
    hub.shutdown()
    hub.server_close()
    message = message_of(DownloadError)
    assert message.startswith(UNREACHABLE.split("{}")[0])
    assert "\n" not in message


def test_missing_revision_is_refused(hub):
    file = HubFile(REPOSITORY, "f" * 40, SHA256)
    with pytest.raises(DownloadError, match=r"someone/weights: .* cannot be downloaded .*404"):
        file.read()


def test_truncated_download_is_refused_and_does_not_remain(hub):
    hub.content = CONTENT[:100]
    assert f"should be of size {len(CONTENT)} but has size 100" in message_of(DownloadError)
    hub.content = CONTENT
    assert FILE.read().keys() == {"weight"}


def test_other_content_is_refused_and_does_not_remain(hub):
    hub.content = CONTENT[:-1] + b"\x00"
    message = message_of(ModelError)
    actual = hashlib.sha256(hub.content).hexdigest()
    assert f"model.safetensors: has the SHA-256 {actual} instead of {SHA256}" in message
    assert message.endswith("so it is not the published file. It was deleted. Run the command again to download it.")
    hub.content = CONTENT
    assert FILE.read().keys() == {"weight"}


def test_changed_file_in_the_cache_is_replaced(hub, tmp_path):
    FILE.check()
    (cached,) = tmp_path.glob("hub/*/snapshots/*/model.safetensors")
    cached.write_bytes(b"changed")
    message_of(ModelError)
    assert FILE.read().keys() == {"weight"}


def test_file_that_is_no_safetensors_file_is_refused(hub):
    hub.content = b"no tensors"
    hub.stated_size = len(hub.content)
    file = HubFile(REPOSITORY, REVISION, hashlib.sha256(hub.content).hexdigest())
    with pytest.raises(ModelError, match=r"model\.safetensors: is not a safetensors file"):
        file.read()


def test_description_names_file_revision_and_checksum():
    assert FILE.describe() == (
        f"the file model.safetensors (SHA-256 {SHA256}) of the repository someone/weights on the Hugging Face Hub, "
        f"revision {REVISION}"
    )
