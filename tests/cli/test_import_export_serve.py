"""The commands `import`, `export` and `serve`, and their error messages."""

import ast
import json
import logging
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tinysight import ImageClassifier
from tinysight._util import optional_deps
from tinysight.data.crops import SIX_CROP
from tinysight.data.image_io import read_crops
from tinysight.runs.run import Run
from tinysight.runs.run_dataset import open_dataset, split_of_run

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # raised inside Keras


@pytest.fixture
def imported(tinysight, finished_run):
    """A run that was exported to Keras and imported again."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    pytest.importorskip("keras")
    exported = tinysight("export", finished_run, "--to", "keras", "out")
    assert exported.code == 0
    assert "keras.models.load_model('out/model.keras')" in exported.out
    outcome = tinysight(
        *("import", "out/architecture.json", "out/model.weights.h5"),
        *("--data", "shapes:train=100,test=30", "--out", "imported"),
    )
    assert outcome.code == 0
    assert outcome.next == "tinysight evaluate imported"
    return Path("imported")


def test_keras_round_trip_keeps_the_probabilities(finished_run, imported, photos):
    pixels = np.random.default_rng(0).integers(0, 256, (50, 3, 32, 32), dtype=np.uint8)
    ours, theirs = (Run(path).classifier().probabilities(pixels) for path in (finished_run, imported))
    assert np.abs(ours - theirs).max() < 1e-4


def test_all_interfaces_give_the_same_probabilities(tinysight, finished_run, tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    pytest.importorskip("httpx2")
    from fastapi.testclient import TestClient

    from tinysight.serving.app import create_app
    from tinysight.serving.served_model import ServedModel

    run, path = Run(finished_run), tmp_path / "image.png"
    content = save_image(path)
    run.write_classifier(run.classifier().with_spec(crops=SIX_CROP))
    classifier = run.classifier()
    crops = read_crops(content, (32, 32), SIX_CROP)
    expected = np.mean([classifier.probabilities(crop[None])[0] for crop in crops], axis=0)
    assert not np.allclose(expected, classifier.probabilities(crops[:1])[0], atol=1e-3)
    assert tinysight("export", finished_run, "--to", "onnx", "image.onnx").code == 0
    for model, error in ((finished_run, 1e-6), ("image.onnx", 1e-4)):
        top = json.loads(tinysight("predict", model, path, "--json", "--top", "10").out)["predictions"][0]["top"]
        probabilities = {entry["index"]: entry["probability"] for entry in top}
        assert [probabilities[index] for index in range(10)] == pytest.approx(expected.tolist(), abs=error)
    estimator = ImageClassifier.load(finished_run)
    assert np.allclose(estimator.predict_proba([path])[0], expected, atol=1e-6)
    assert np.allclose(estimator.predict_details([path]).probabilities[0], expected, atol=1e-6)
    with TestClient(create_app(ServedModel(run))) as client:
        options = {"params": {"top": 10}, "headers": {"Content-Type": "image/png"}}
        served = client.post("/predict", content=content, **options).json()["top"]
    assert [entry["probability"] for entry in served] == pytest.approx(sorted(expected, reverse=True), abs=1e-6)


def save_image(path):
    """Save an image whose crops differ, and return its bytes."""
    pixels = np.full((90, 120, 3), 20, dtype=np.uint8)
    pixels[30:60, 40:80] = (250, 200, 30)
    Image.fromarray(pixels).save(path)
    return path.read_bytes()


def test_every_command_accepts_an_imported_run(tinysight, imported, photos, monkeypatch):
    from tinysight.auditing import audit, context

    monkeypatch.setattr(context, "MAX_PROBED", 10)
    monkeypatch.setattr(audit, "N_SHADOW_MODELS", 2)
    image = photos / "cat" / "00.png"
    for command in (
        ("evaluate", imported),
        ("predict", imported, image),
        ("explain", imported, image),
        ("audit", imported),
        ("card", imported),
        ("report", imported),
        ("summary", imported),
    ):
        outcome = tinysight(*command)
        assert outcome.code == 0, (command, outcome.err)
    assert "its training procedure and training images were not verified" in (imported / "card.md").read_text()


def test_import_of_a_keras_file_needs_no_weights(tinysight, imported):
    outcome = tinysight("import", "out/model.keras", "--data", "shapes:train=100,test=30", "--out", "again")
    assert outcome.code == 0
    refused = tinysight("import", "out/model.keras", "out/model.weights.h5", "--data", "shapes", "--out", "more")
    assert "contains its own weights" in refused.refusal()
    assert not Path("more").exists()


def test_predict_and_evaluate_accept_an_onnx_file(tinysight, finished_run, photos):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    exported = tinysight("export", finished_run, "--to", "onnx", "model.onnx")
    assert exported.code == 0
    predicted_json = json.loads(tinysight("predict", "model.onnx", photos / "cat" / "00.png", "--json").out)
    expected = json.loads(tinysight("predict", finished_run, photos / "cat" / "00.png", "--json").out)
    assert predicted_json["predictions"][0]["top"][0]["class"] == expected["predictions"][0]["top"][0]["class"]
    data = ("--data", "shapes:train=100,test=30")
    evaluated = tinysight("evaluate", "model.onnx", *data)
    run_evaluated = tinysight("evaluate", finished_run)
    (line,) = (line for line in run_evaluated.out.splitlines() if line.startswith("test accuracy"))
    assert line in evaluated.out
    assert (
        "an ONNX file needs --data, and takes neither --split nor --tta"
        in tinysight("evaluate", "model.onnx").refusal()
    )
    assert line in tinysight("evaluate", finished_run, *data).out
    assert "has the classes" in tinysight("evaluate", "model.onnx", "--data", photos).refusal()


def test_printed_usage_example_runs(tinysight, finished_run, photos):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    exported = tinysight("export", finished_run, "--to", "onnx", "model.onnx")
    program = exported.out.partition("\n\n")[2]
    Path("cat.jpg").write_bytes((photos / "cat" / "00.png").read_bytes())
    completed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stderr
    (prediction,) = json.loads(tinysight("predict", finished_run, "cat.jpg", "--json").out)["predictions"]
    first, second = completed.stdout.splitlines()
    name = prediction["top"][0]["class"]
    assert second.split() == [*["unsure:"] * prediction["unsure"], name, second.split()[-1]]
    label, _, classes = first.partition(": ")
    assert label == "prediction set (95%)"
    assert sorted(ast.literal_eval(classes)) == sorted(prediction["prediction_set"])


def test_quantized_export_prints_the_change_in_accuracy(tinysight, finished_run, caplog):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    exported = tinysight("export", finished_run, "--to", "onnx", "int8.onnx", "--int8")
    assert exported.code == 0
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]  # of onnxruntime
    assert exported.next == "tinysight evaluate int8.onnx --data DIR"
    path, accuracy, blank, *program = exported.out.splitlines()
    assert (path, blank) == ("file: int8.onnx", "")
    assert "session = onnxruntime.InferenceSession('int8.onnx')" in program

    run = Run(finished_run)
    validation = split_of_run(run, open_dataset(run)).validation
    images = {"images": validation.pixels.transpose(0, 2, 3, 1)}
    (quantized,) = onnxruntime.InferenceSession("int8.onnx").run(["probabilities"], images)
    int8, float32 = (
        f"{np.mean(probabilities.argmax(1) == validation.labels):.1%}"
        for probabilities in (quantized, run.classifier().probabilities(validation.pixels))
    )
    assert accuracy == f"validation accuracy: int8 {int8} (n = {len(validation)}), float {float32}"
    assert len(accuracy) <= 80
    assert Path("int8.onnx").stat().st_size < Path(finished_run, "model.safetensors").stat().st_size / 2


def test_quantized_export_is_refused_before_any_work(tinysight, finished_run, monkeypatch):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    refused = tinysight("export", finished_run, "--to", "keras", "out", "--int8")
    assert refused.refusal() == "export: keras has no --int8. Leave it out, or export to onnx."
    installed = optional_deps.version
    monkeypatch.setattr(optional_deps, "version", lambda name: None if name == "onnxruntime" else installed(name))
    refused = tinysight("export", finished_run, "--to", "onnx", "out", "--int8")
    assert refused.refusal() == "onnxruntime: not installed. Run pip install 'tinysight[onnx]'."
    assert not Path("out").exists()


def test_quantized_export_needs_the_images_of_the_run(tinysight, photos):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    shutil.copytree(photos, "pictures")
    assert tinysight("train", "early-stopping", "--data", "pictures", "--epochs", 1, "--out", "run").code == 0
    shutil.move("pictures", "moved")
    export = ("export", "run", "--to", "onnx", "--int8")
    missing = f"{Path.cwd() / 'pictures'}: does not exist, but run was trained on it. Set --data if it has moved."
    assert tinysight(*export).refusal() == missing
    assert "not the images that run was trained on" in tinysight(*export, "--data", "shapes").refusal()
    assert not Path("run.onnx").exists()


@pytest.mark.parametrize(("target", "package"), [("keras", "keras"), ("onnx", "onnxscript")])
def test_missing_extra_is_named_in_the_error(tinysight, finished_run, monkeypatch, target, package):
    monkeypatch.setattr(optional_deps, "version", lambda name: None)
    refusal = tinysight("export", finished_run, "--to", target, "out").refusal()
    assert refusal == f"{package}: not installed. Run pip install 'tinysight[{target}]'."
    assert not Path("out").exists()


def test_public_host_requires_a_token(tinysight, finished_run):
    refusal = tinysight("serve", finished_run, "--host", "0.0.0.0").refusal()  # noqa: S104
    assert "exposes the server to the network. Set --token" in refusal


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


@pytest.fixture
def server(finished_run):
    """A server process and its address."""
    pytest.importorskip("uvicorn")
    port = free_port()
    command = [sys.executable, "-m", "tinysight", "serve", str(finished_run), "--port", str(port)]
    address = f"http://127.0.0.1:{port}"
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == f"page: {address}/\n", process.stderr.read()
        urllib.request.urlopen(f"{address}/readyz").read()  # blocks until it is ready
        yield process, address
        process.kill()


def connect(address):
    return socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])))


def predict(address, file):
    headers = {"Content-Type": "image/png"}
    return urllib.request.urlopen(urllib.request.Request(f"{address}/predict", file.read_bytes(), headers)).read()


def children(process):
    return [int(pid) for pid in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def send_in_chunks(address, file):
    """Send a file in a form, in chunks over a socket; return the response."""
    form = (
        b'--x1\r\nContent-Disposition: form-data; name="file"; filename="0.png"\r\n\r\n'
        + file.read_bytes()
        + b"\r\n--x1--"
    )
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in (form[:3], form[3:]))
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=x1\r\n"
    with connect(address) as connection:
        connection.sendall(head + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n")
        return b"".join(iter(lambda: connection.recv(2**16), b""))


def test_form_in_chunks_gets_the_answer_of_a_body_and_sigterm_lets_requests_in_flight_finish(server, photos):
    process, address = server
    file = photos / "cat" / "00.png"
    response = send_in_chunks(address, file)
    assert response.startswith(b"HTTP/1.1 200")
    assert response.endswith(b"\r\n\r\n" + predict(address, file))

    with connect(address) as connection:
        body = file.read_bytes()
        head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: {len(body)}\r\n"
        connection.sendall(f"{head}Expect: 100-continue\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 100")  # a worker has accepted the request
        os.kill(process.pid, signal.SIGTERM)
        connection.sendall(body)
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
    assert process.wait(30) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_killed_workers_are_restarted_metrics_are_summed_and_workers_exit_with_the_supervisor(server, photos):
    process, address = server
    image = photos / "cat" / "00.png"
    expected = [predict(address, image) for _ in range(20)]
    assert expected == expected[:1] * 20
    workers = [pid for pid in children(process.pid) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    assert predict(address, image) == expected[0]  # waits for a restarted worker
    metrics = urllib.request.urlopen(f"{address}/metrics").read().decode()
    assert 'tinysight_requests_total{status="200"} 21.0' in metrics

    workers = [os.pidfd_open(pid) for pid in children(process.pid)]
    process.kill()
    for worker in workers:
        assert select.select([worker], [], [], 60)[0]
        os.close(worker)


def test_port_in_use_is_named_in_the_error(tinysight, finished_run):
    pytest.importorskip("uvicorn")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"127.0.0.1, port {port}: cannot listen" in tinysight("serve", finished_run, "--port", port).refusal()
