"""Load, time limits, interruptions and metrics of the prediction service."""

import asyncio
import json
from collections import Counter

import numpy as np
import pytest

from tests.serving.conftest import ask, encoded, part

pytest.importorskip("fastapi")
pytest.importorskip("httpx2")

import httpx2
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from tinysight.data.image_io import read_image
from tinysight.runs.run import Run
from tinysight.serving.app import create_app
from tinysight.serving.served_model import ServedModel
from tinysight.serving.service import RequestLimits

PNG = encoded()
HEADERS = {"Content-Type": "image/png"}


class HeldBody:
    """A request body that stays incomplete until it is released."""

    def __init__(self, content=PNG):
        self.content, self.started, self.released = content, asyncio.Event(), asyncio.Event()

    async def __aiter__(self):
        yield self.content[:10]
        self.started.set()
        await self.released.wait()
        yield self.content[10:]


def with_client(app, use):
    """Run the coroutine function `use` with an asynchronous client of the application; return its result."""

    async def call():
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://test") as client:
            return await use(client)

    return asyncio.run(call())


def predict(client, content, **params):
    return client.post("/predict", content=content, headers=HEADERS, params=params)


async def held_requests(client, count):
    """Start `count` requests; return their bodies and tasks once the server waits for each of them."""
    bodies = [HeldBody() for _ in range(count)]
    tasks = [asyncio.create_task(predict(client, body)) for body in bodies]
    for body in bodies:
        await body.started.wait()
    return bodies, tasks


def statuses(text):
    """Return the number of requests by status, from metrics in Prometheus format."""
    families = {family.name: family for family in text_string_to_metric_families(text)}
    requests = {
        sample.labels["status"]: int(sample.value)
        for sample in families["tinysight_requests"].samples
        if sample.name == "tinysight_requests_total"
    }
    (total,) = (
        sample.value for sample in families["tinysight_request_seconds"].samples if sample.name.endswith("_count")
    )
    assert total == sum(requests.values())
    return requests


def test_readiness_follows_the_requests_in_flight(loaded):
    async def use(client):
        seen = []

        async def look():
            ready, alive = await client.get("/readyz"), await client.get("/healthz")
            seen.append((ready.status_code, ready.json()["ready"], alive.status_code))

        await look()
        (first,), (first_task,) = await held_requests(client, 1)
        await look()
        (second,), (second_task,) = await held_requests(client, 1)
        await look()
        rejected = await predict(client, PNG)
        await look()
        first.released.set()
        answers = [await first_task]
        await look()
        second.released.set()
        answers += [await second_task, await predict(client, PNG)]
        return seen, rejected, answers

    seen, rejected, answers = with_client(create_app(loaded, RequestLimits(max_in_flight=2)), use)
    ready, full = (200, True, 200), (503, False, 200)
    assert seen == [ready, ready, full, full, ready]
    assert (rejected.status_code, rejected.headers["Retry-After"]) == (429, "1")
    assert rejected.json() == {"reason": "Server: too many requests in flight. Try again in a second."}
    assert [answer.json() for answer in answers] == [answers[0].json()] * 3


def test_exactly_the_maximum_of_requests_is_admitted(loaded):
    async def use(client):
        bodies, tasks = await held_requests(client, 5)
        rejected = [await predict(client, PNG) for _ in range(3)]
        for body in bodies:
            body.released.set()
        return Counter(answer.status_code for answer in [*rejected, *await asyncio.gather(*tasks)])

    assert with_client(create_app(loaded, RequestLimits(max_in_flight=5)), use) == {200: 5, 429: 3}


def test_time_limit_includes_the_body_and_frees_the_place(loaded):
    async def use(client):
        answer = await predict(client, HeldBody())  # never released
        return answer, await client.get("/readyz")

    answer, ready = with_client(create_app(loaded, RequestLimits(max_in_flight=1, timeout_seconds=0.01)), use)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.json() == {"reason": "Request: took longer than 0.01 s. Try again."}
    assert ready.json() == {"ready": True}


def test_concurrent_requests_get_the_predictions_of_their_own_images(loaded):
    images = [encoded((random, 255 - random, random // 2)) for random in range(0, 250, 12)]

    async def together(client):
        return await asyncio.gather(*(predict(client, image, top=10) for image in images))

    size = (loaded.classifier.image_size,) * 2
    answers = with_client(create_app(loaded), together)
    for image, answer in zip(images, answers, strict=True):
        expected = loaded.classifier.probabilities(read_image(image, size)[None])[0]
        given = {choice["index"]: choice["probability"] for choice in answer.json()["top"]}
        assert [given[index] for index in range(10)] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (128, 128), (129, 128), (300, 40), (640, 480)])
def test_prediction_does_not_depend_on_where_an_image_is_decoded(loaded, size):
    """Images of more than 128 x 128 pixels are decoded in a thread."""
    content = encoded((10, 200, 90), size)
    expected = loaded.classifier.probabilities(read_image(content, (loaded.classifier.image_size,) * 2)[None])[0]
    with TestClient(create_app(loaded)) as client:
        first = client.post("/predict", content=content, headers=HEADERS).json()["top"][0]
    assert first["index"] == expected.argmax()
    assert first["probability"] == pytest.approx(expected.max(), abs=1e-5)


def test_large_damaged_image_gets_422(loaded):
    content = encoded(size=(640, 480))
    with TestClient(create_app(loaded)) as client:
        answer = client.post("/predict", content=content[:-40], headers=HEADERS)
    assert answer.status_code == 422
    assert answer.json() == {"reason": "Image: damaged or truncated image. Get a new copy or remove it."}


def test_metrics_count_every_request_once_by_its_status(loaded):
    with TestClient(create_app(loaded)) as client:
        for content, kind in [(PNG, "image/png")] * 3 + [(b"", "image/png"), (b"x", "image/png"), (PNG, "text/plain")]:
            client.post("/predict", content=content, headers={"Content-Type": kind})
        client.get("/model"), client.get("/readyz"), client.get("/metrics")
        metrics = client.get("/metrics")
    assert metrics.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert statuses(metrics.text) == {"200": 3, "400": 1, "422": 1, "415": 1}


def test_failing_prediction_is_counted_as_500_and_the_next_one_succeeds(faulty):
    with TestClient(create_app(faulty(1)), raise_server_exceptions=False) as client:  # call 0 is the warm-up
        answers = [client.post("/predict", content=PNG, headers=HEADERS) for _ in range(3)]
        metrics = client.get("/metrics").text
        ready = client.get("/readyz").json()
    assert [answer.status_code for answer in answers] == [500, 200, 200]
    assert "secret" not in answers[0].text
    assert statuses(metrics) == {"500": 1, "200": 2}
    assert ready == {"ready": True}


def test_rejected_and_late_requests_are_counted(loaded):
    for limits, status in ((RequestLimits(max_in_flight=0), "429"), (RequestLimits(timeout_seconds=1e-6), "503")):
        with TestClient(create_app(loaded, limits)) as client:
            client.post("/predict", content=PNG, headers=HEADERS)
            assert statuses(client.get("/metrics").text) == {status: 1}


def test_client_that_disconnects_causes_no_error_of_the_server(loaded):
    app = create_app(loaded)
    answer = ask(app, part(PNG[:20], more=True), {"type": "http.disconnect"})
    assert (answer.status, answer.reason) == (400, "Request body: ended early. Send the image again.")
    assert statuses(ask(app, path="/metrics", method="GET").content.decode()) == {"400": 1}
    assert ask(app, part(PNG)).status == 200


def test_applications_count_separately(loaded):
    first, second = create_app(loaded), create_app(loaded)
    ask(first, part(PNG))
    ask(second, part(b""))
    assert statuses(ask(first, path="/metrics", method="GET").content.decode()) == {"200": 1}
    assert statuses(ask(second, path="/metrics", method="GET").content.decode()) == {"400": 1}


@pytest.mark.parametrize(("side", "expected"), [(8, 512), (32, 32), (128, 2), (512, 1)])
def test_batches_are_a_sixteenth_of_the_usual_ones(loaded, side, expected):
    """2**19 pixels / side**2 / 16, but at least one image."""
    classifier = loaded.classifier.with_spec(image_size=side)
    assert RequestLimits().max_batch_size(classifier) == expected


def test_unsure_means_below_the_threshold(faulty):
    served = faulty()
    names = len(served.classifier.class_names)
    probabilities = np.full(names, 0.4 / (names - 1), dtype=np.float32)
    probabilities[7] = 0.6
    for threshold, unsure in ((0.59, False), (0.61, True), (0.0, False), (2.0, True)):
        served.classifier = served.classifier.with_spec(abstain_below=threshold)
        response = served.to_response(probabilities, 2)
        assert (response.top[0].index, response.unsure) == (7, unsure)
        assert [choice.index for choice in response.top] == [7, 0]  # ties by index


def test_prediction_set_lists_the_classes_from_the_threshold_on(faulty):
    served = faulty()
    names = served.classifier.class_names
    probabilities = np.full(len(names), 0.02, dtype=np.float32)
    probabilities[[3, 7]] = 0.3, 0.54
    for threshold, expected in ((0.25, [7, 3]), (0.4, [7]), (0.9, [7]), (0.0, [7, 3, 0, 1, 2, 4, 5, 6, 8, 9])):
        served.classifier = served.classifier.with_spec(set_threshold=threshold)
        assert served.to_response(probabilities, 1).prediction_set == [names[index] for index in expected]
    served.classifier = served.classifier.with_spec(set_threshold=None)
    assert served.to_response(probabilities, 1).prediction_set is None


def test_images_unlike_the_training_images_are_marked(detecting):
    served = ServedModel(Run(detecting))
    image = read_image(PNG, (served.classifier.image_size,) * 2)[None]
    (score,) = served.classifier.outputs(image).ood_scores
    for threshold, unlike in ((score - 0.01, True), (score + 0.01, False)):
        served.classifier = served.classifier.with_spec(ood_threshold=float(threshold))
        answer = ask(create_app(served), part(PNG))
        assert json.loads(answer.content)["unlike_training"] is unlike


def test_cancelled_index_leaves_explanations_without_neighbors(faulty, tmp_path, monkeypatch):
    pytest.importorskip("captum")
    monkeypatch.setenv("TINYSIGHT_CACHE_DIR", str(tmp_path))  # which has no features yet
    served = faulty()
    served.cancel_index()
    served.build_index()
    pixels = read_image(PNG, (served.classifier.image_size,) * 2)
    assert served.explain(pixels, 0).neighbors == []
