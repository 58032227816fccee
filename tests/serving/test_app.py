"""The HTTP application, tested in process."""

import asyncio
import io

import numpy as np
import pytest
from PIL import Image

from tinysight.evaluation.evaluate import evaluate
from tinysight.runs.run import Run

pytest.importorskip("fastapi")
pytest.importorskip("httpx2")

from fastapi.testclient import TestClient

from tinysight.serving.app import create_app
from tinysight.serving.batcher import MicroBatcher
from tinysight.serving.served_model import ServedModel
from tinysight.serving.service import RequestLimits


def image(kind="PNG", size=(40, 30), color=(200, 30, 30)):
    content = io.BytesIO()
    Image.new("RGB", size, color).save(content, kind)
    return content.getvalue()


@pytest.fixture(scope="module")
def served(trained):
    served = ServedModel(Run(trained))
    served.build_index()  # a server does this in the background
    return served


@pytest.fixture(scope="module")
def client(served):
    with TestClient(create_app(served)) as client:
        yield client


def post(client, content, kind="image/png", **options):
    return client.post("/predict", content=content, headers={"Content-Type": kind}, **options)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_response_equals_the_classifiers_prediction(client, served, kind):
    content = image(kind)
    response = post(client, content, f"image/{kind.lower()}")
    assert response.status_code == 200
    from tinysight.data.image_io import read_image

    probabilities = served.classifier.probabilities(read_image(content, (32, 32))[None])[0]
    top = response.json()["top"]
    assert [choice["index"] for choice in top] == list(np.argsort(-probabilities)[:3])
    assert top[0]["probability"] == pytest.approx(float(probabilities.max()), abs=1e-5)
    assert response.json()["unsure"] == (probabilities.max() < served.classifier.abstain_below)
    assert len(response.json()["prediction_set"]) == 10  # ten validation images are too few to leave out a class


def test_top_limits_the_number_of_classes(client):
    assert len(post(client, image(), params={"top": 1}).json()["top"]) == 1
    assert len(post(client, image(), params={"top": 100}).json()["top"]) == 10
    assert post(client, image(), params={"top": 0}).status_code == 422


def test_explanation_is_returned_on_request(client):
    pytest.importorskip("captum")
    assert post(client, image()).json()["explanation"] is None
    explanation = post(client, image(), params={"explain": "true"}).json()["explanation"]
    assert np.array(explanation["occlusion_map"]).shape == (32, 32)
    assert len(explanation["neighbors"]) == 3
    assert explanation["image"].startswith("data:image/png;base64,")


@pytest.mark.parametrize(
    ("content", "kind", "status", "reason"),
    [
        (b"", "image/png", 400, "Request body: is empty. Send the image as the body."),
        (b"not an image", "image/png", 422, "Image: not a JPEG"),
        (image()[:50], "image/png", 422, "Image: damaged or truncated image"),
        (image(), "text/plain", 415, "Content-Type"),
        (b"<html></html>", "image/gif", 422, "Image: not a JPEG"),
        (bytes(10 * 2**20 + 1), "image/png", 413, "more than 10 MiB"),
    ],
)
def test_invalid_body_gets_a_status_and_a_reason(client, content, kind, status, reason):
    response = post(client, content, kind)
    assert response.status_code == status
    assert reason in response.json()["reason"]


def test_body_without_content_length_is_limited(client):
    response = post(client, (bytes(2**20) for _ in range(11)))
    assert response.status_code == 413


def test_wrong_or_missing_token_is_rejected(served):
    with TestClient(create_app(served, token="secret")) as client:  # noqa: S106
        assert post(client, image()).status_code == 401
        assert client.get("/model").status_code == 401
        client.headers["Authorization"] = "Bearer secret"
        assert post(client, image()).status_code == 200
        client.headers["Authorization"] = "Bearer secreT"
        assert post(client, image()).status_code == 401


def test_too_many_requests_get_429_and_retry_after(served):
    with TestClient(create_app(served, RequestLimits(max_in_flight=0))) as client:
        response = post(client, image())
    assert response.status_code == 429
    assert response.headers["Retry-After"] == "1"


def test_slow_request_gets_503(served):
    with TestClient(create_app(served, RequestLimits(timeout_seconds=1e-6))) as client:
        assert post(client, image()).status_code == 503


def test_model_describes_the_classifier(client):
    info = client.get("/model").json()
    assert len(info["classes"]) == 10
    assert (info["accuracy"], info["accuracy_ci95"], info["evaluated_on"]) == (None, None, None)
    assert any("identifying" in sentence for sentence in info["not_for"])


def test_accuracy_has_its_number_of_images_and_an_interval(finished_run):
    metrics = evaluate(Run(finished_run))
    with TestClient(create_app(ServedModel(Run(finished_run)))) as client:
        info = client.get("/model").json()
    assert info["accuracy"] == metrics.accuracy
    assert info["accuracy_ci95"] == list(metrics.accuracy_ci95)
    assert info["evaluated_on"] == "30 test images"


def test_health_readiness_and_metrics(client):
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"ready": True}
    post(client, b"")
    assert 'tinysight_requests_total{status="400"}' in client.get("/metrics").text


def test_page_has_a_strict_content_security_policy_and_no_external_links(client):
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for name in ("page.css", "page.js"):
        assert name in page.text
        assert client.get(f"/{name}").status_code == 200
        assert "http" not in client.get(f"/{name}").text
    assert client.get("/secrets").status_code == 404


def test_openapi_lists_every_status(client):
    schema = client.get("/openapi.json").json()
    assert {"200", "400", "401", "413", "415", "422", "429", "503"} <= set(
        schema["paths"]["/predict"]["post"]["responses"]
    )


def brightness(crops):
    """Return the first pixel's value, in place of probabilities."""
    return crops[:, 0, 0, 0, :1].astype(np.float32)


def classify_together(probabilities, levels, batch):
    """Return the results, or errors, for images that are submitted at the same time."""

    async def submit_all():
        batcher = MicroBatcher(probabilities, batch)
        images = [np.full((1, 3, 1, 1), level, dtype=np.uint8) for level in levels]
        return await asyncio.gather(*map(batcher.output, images), return_exceptions=True)

    return asyncio.run(submit_all())


def test_waiting_images_are_batched():
    sizes = []

    def probabilities(crops):
        sizes.append(len(crops))
        return brightness(crops)

    results = classify_together(probabilities, range(10), batch=4)
    assert [float(row[0]) for row in results] == list(range(10))
    assert sizes == [4, 4, 2]


def test_failing_batch_does_not_affect_the_next():
    def probabilities(crops):
        if crops.min() == 1:
            raise ValueError("no")
        return brightness(crops)

    first, second = classify_together(probabilities, [1, 2], batch=1)
    assert isinstance(first, ValueError)
    assert second[0] == 2


def test_cancelled_request_is_not_classified():
    sizes = []

    async def submit():
        batcher = MicroBatcher(lambda crops: sizes.append(len(crops)) or brightness(crops), max_batch_size=8)
        image = np.zeros((1, 3, 1, 1), dtype=np.uint8)
        cancelled, kept = (asyncio.ensure_future(batcher.output(image)) for _ in range(2))
        await asyncio.sleep(0)
        cancelled.cancel()
        return await kept

    assert asyncio.run(submit())[0] == 0
    assert sizes == [1]
