"""In from Keras, out to Keras and ONNX, and served: by the command line, with a sentence for what goes wrong."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import urllib.request
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tinysight import ImageClassifier, packages
from tinysight.data.intake import read_looks
from tinysight.data.looks import CLOSER
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


def test_a_photo_gets_the_same_answer_everywhere(tinysight, finished_run, tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    pytest.importorskip("httpx2")
    from fastapi.testclient import TestClient

    from tinysight.serving.app import create_app
    from tinysight.serving.subject import Served

    run, photo = Run(finished_run), tmp_path / "photo.png"
    content = photograph(photo)
    run.write_classifier(replace(run.classifier(), looks=CLOSER))
    classifier = run.classifier()
    looks = read_looks(content, (32, 32), CLOSER)
    expected = np.mean([classifier.probabilities(look[None])[0] for look in looks], axis=0)
    assert not np.allclose(expected, classifier.probabilities(looks[:1])[0], atol=1e-3)
    assert tinysight("export", finished_run, "--to", "onnx", "photo.onnx").code == 0
    for model, error in ((finished_run, 1e-6), ("photo.onnx", 1e-4)):
        top = json.loads(tinysight("predict", model, photo, "--json", "--top", "10").out)["predictions"][0]["top"]
        found = {one["index"]: one["probability"] for one in top}
        assert [found[index] for index in range(10)] == pytest.approx(expected.tolist(), abs=error)
    in_python = ImageClassifier.load(finished_run)
    assert np.allclose(in_python.predict_proba([photo])[0], expected, atol=1e-6)
    assert np.allclose(in_python.answers([photo]).probabilities[0], expected, atol=1e-6)
    with TestClient(create_app(Served(run))) as client:
        options = {"params": {"top": 10}, "headers": {"Content-Type": "image/png"}}
        served = client.post("/predict", content=content, **options).json()["top"]
    assert [one["probability"] for one in served] == pytest.approx(sorted(expected, reverse=True), abs=1e-6)


def photograph(path):
    """Make a picture that is different from near, and return the bytes of it."""
    pixels = np.full((90, 120, 3), 20, dtype=np.uint8)
    pixels[30:60, 40:80] = (250, 200, 30)
    Image.fromarray(pixels).save(path)
    return path.read_bytes()


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
    assert (
        "an ONNX file needs --data, and takes neither --split nor --tta"
        in tinysight("evaluate", "model.onnx").refusal()
    )
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
    assert refusal == f"{package}: not installed. Run pip install 'tinysight[{target}]'."
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
        head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: {len(body)}\r\n"
        line.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
        assert line.recv(100).startswith(b"HTTP/1.1 100")  # somebody has it in hand
        os.kill(process.pid, signal.SIGTERM)
        line.sendall(body)
        assert line.recv(100).startswith(b"HTTP/1.1 200")
    assert process.wait(30) == 0


def predicted(address, file):
    headers = {"Content-Type": "image/png"}
    return urllib.request.urlopen(urllib.request.Request(f"{address}/predict", file.read_bytes(), headers)).read()


def children(process):
    return [int(one) for one in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_a_process_that_dies_is_replaced_and_all_count_together(server, photos):
    process, address = server
    picture = photos / "cat" / "00.png"
    expected = [predicted(address, picture) for _ in range(20)]
    assert expected == expected[:1] * 20
    workers = [one for one in children(process.pid) if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes()]
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    assert predicted(address, picture) == expected[0]  # it waits until somebody is there again
    counted = urllib.request.urlopen(f"{address}/metrics").read().decode()
    assert 'tinysight_answers_total{status="200"} 21.0' in counted


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_nobody_is_left_behind_when_the_first_process_is_killed(server):
    process, _ = server
    workers = [os.pidfd_open(one) for one in children(process.pid)]
    process.kill()
    for worker in workers:
        assert select.select([worker], [], [], 60)[0]
        os.close(worker)


def test_a_port_that_is_taken_is_named(tinysight, finished_run):
    pytest.importorskip("uvicorn")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"port {port}" in tinysight("serve", finished_run, "--port", port).refusal()
