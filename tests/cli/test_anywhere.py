"""In from Keras, out to Keras and ONNX, and served: by the command line, with a sentence for what goes wrong."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from tinysight import packages
from tinysight.runs.run import Run

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of Keras


@pytest.fixture
def brought(tinysight, finished_run):
    """A run of ours that went to Keras and came back."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    pytest.importorskip("keras")
    exported = tinysight("export", finished_run, "--to", "keras", "out")
    assert exported.code == 0
    assert "keras.models.load_model('out/model.keras')" in exported.out
    outcome = tinysight(
        *("import", "out/architecture.json", "out/model.weights.h5"),
        *("--data", "shapes:train=100,test=30", "--out", "brought"),
    )
    assert outcome.code == 0
    assert outcome.out.splitlines()[-1] == "next: tinysight evaluate brought"
    return Path("brought")


def test_there_and_back_again_is_the_same(finished_run, brought, photos):
    pixels = np.random.default_rng(0).integers(0, 256, (50, 3, 32, 32), dtype=np.uint8)
    ours, theirs = (Run(path).classifier().probabilities(pixels) for path in (finished_run, brought))
    assert np.abs(ours - theirs).max() < 1e-4


def test_whatever_takes_a_run_takes_one_that_was_brought_along(tinysight, brought, photos, monkeypatch):
    from tinysight.audit import audit, sections

    monkeypatch.setattr(sections, "CORRUPTED", 10)
    monkeypatch.setattr(audit, "SHADOWS", 2)
    picture = photos / "cat" / "00.png"
    for command in (
        ("evaluate", brought),
        ("predict", brought, picture),
        ("explain", brought, picture),
        ("audit", brought),
        ("card", brought),
        ("report", brought),
        ("summary", brought),
    ):
        outcome = tinysight(*command)
        assert outcome.code == 0, (command, outcome.err)
    assert "nobody checked" in (brought / "card.md").read_text()


def test_a_keras_file_needs_no_weights(tinysight, brought):
    outcome = tinysight("import", "out/model.keras", "--data", "shapes:train=100,test=30", "--out", "again")
    assert outcome.code == 0
    refused = tinysight("import", "out/model.keras", "out/model.weights.h5", "--data", "shapes", "--out", "more")
    assert "has weights of its own" in refused.refusal()
    assert not Path("more").exists()


def test_an_onnx_file_is_predicted_with_and_evaluated(tinysight, finished_run, photos):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    exported = tinysight("export", finished_run, "--to", "onnx", "model.onnx")
    assert exported.code == 0
    said = json.loads(tinysight("predict", "model.onnx", photos / "cat" / "00.png", "--json").out)
    expected = json.loads(tinysight("predict", finished_run, photos / "cat" / "00.png", "--json").out)
    assert said["predictions"][0]["top"][0]["class"] == expected["predictions"][0]["top"][0]["class"]
    data = ("--data", "shapes:train=100,test=30")
    measured = tinysight("evaluate", "model.onnx", *data)
    of_the_run = tinysight("evaluate", finished_run)
    (line,) = (line for line in of_the_run.out.splitlines() if line.startswith("test accuracy"))
    assert line in measured.out
    assert "say the images by --data" in tinysight("evaluate", "model.onnx").refusal()
    assert "--data is for ONNX files" in tinysight("evaluate", finished_run, *data).refusal()
    assert "has the classes" in tinysight("evaluate", "model.onnx", "--data", photos).refusal()


def test_the_printed_lines_work_as_they_stand(tinysight, finished_run, photos):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    exported = tinysight("export", finished_run, "--to", "onnx", "model.onnx")
    program = exported.out.partition("\n\n")[2]
    Path("cat.jpg").write_bytes((photos / "cat" / "00.png").read_bytes())
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (prediction,) = json.loads(tinysight("predict", finished_run, "cat.jpg", "--json").out)["predictions"]
    assert done.stdout.split()[0] == prediction["top"][0]["class"]


@pytest.mark.parametrize(("target", "package"), [("keras", "keras"), ("onnx", "onnxscript")])
def test_an_extra_that_is_missing_is_named(tinysight, finished_run, monkeypatch, target, package):
    monkeypatch.setattr(packages, "version", lambda name: None)
    refusal = tinysight("export", finished_run, "--to", target, "out").refusal()
    assert refusal == f"This needs {package}, which is not installed: pip install 'tinysight[{target}]'."
    assert not Path("out").exists()


def test_other_machines_are_let_in_with_a_token_only(tinysight, finished_run):
    assert "say by --token" in tinysight("serve", finished_run, "--host", "0.0.0.0").refusal()  # noqa: S104


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture
def server(finished_run):
    """A server in a process of its own, and where it is."""
    pytest.importorskip("uvicorn")
    port = free_port()
    command = [sys.executable, "-m", "tinysight", "serve", str(finished_run), "--port", str(port)]
    address = f"http://127.0.0.1:{port}"
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == f"page: {address}/\n", process.stderr.read()
        urllib.request.urlopen(f"{address}/readyz").read()  # answered once it has started
        yield process, address
        process.kill()


def test_a_server_finishes_what_is_in_hand_when_it_is_asked_to_stop(server, photos):
    process, address = server
    with socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2]))) as line:
        body = (photos / "cat" / "00.png").read_bytes()
        head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: {len(body)}\r\n\r\n"
        line.sendall(head.encode() + body[:10])
        urllib.request.urlopen(f"{address}/healthz").read()  # by now the first half has been read
        os.kill(process.pid, signal.SIGTERM)
        line.sendall(body[10:])
        assert line.recv(100).startswith(b"HTTP/1.1 200")
    assert process.wait(30) == 0


def test_a_port_that_is_taken_is_named(tinysight, finished_run):
    pytest.importorskip("uvicorn")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"port {port}" in tinysight("serve", finished_run, "--port", port).refusal()
