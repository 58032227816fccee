"""The server, asked over HTTP within this process."""

import asyncio
import io

import numpy as np
import pytest
from PIL import Image

from tinysight.runs.run import Run

pytest.importorskip("fastapi")
pytest.importorskip("httpx2")

from fastapi.testclient import TestClient

from tinysight.serving.app import create_app
from tinysight.serving.engine import Engine
from tinysight.serving.limits import Limits
from tinysight.serving.subject import Served


def picture(kind="PNG", size=(40, 30), colour=(200, 30, 30)):
    content = io.BytesIO()
    Image.new("RGB", size, colour).save(content, kind)
    return content.getvalue()


@pytest.fixture(scope="module")
def served(trained):
    served = Served(Run(trained))
    served.remember()  # a server does so while it answers already
    return served


@pytest.fixture(scope="module")
def client(served):
    with TestClient(create_app(served)) as client:
        yield client


def ask(client, content, kind="image/png", **options):
    return client.post("/predict", content=content, headers={"Content-Type": kind}, **options)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_picture_gets_the_answer_that_predict_gives(client, served, kind):
    content = picture(kind)
    answer = ask(client, content, f"image/{kind.lower()}")
    assert answer.status_code == 200
    from tinysight.data.intake import read_image

    probabilities = served.classifier.probabilities(read_image(content, (32, 32))[None])[0]
    top = answer.json()["top"]
    assert [one["index"] for one in top] == list(np.argsort(-probabilities)[:3])
    assert top[0]["probability"] == pytest.approx(float(probabilities.max()), abs=1e-5)
    assert answer.json()["unsure"] == (probabilities.max() < served.classifier.unsure_below)


def test_as_many_classes_are_named_as_are_asked_for(client):
    assert len(ask(client, picture(), params={"top": 1}).json()["top"]) == 1
    assert len(ask(client, picture(), params={"top": 100}).json()["top"]) == 10
    assert ask(client, picture(), params={"top": 0}).status_code == 422


def test_an_explanation_is_given_where_it_is_asked_for(client):
    pytest.importorskip("captum")
    assert ask(client, picture()).json()["explanation"] is None
    explanation = ask(client, picture(), params={"explain": "true"}).json()["explanation"]
    assert np.array(explanation["heat"]).shape == (32, 32)
    assert len(explanation["neighbours"]) == 3
    assert explanation["picture"].startswith("data:image/png;base64,")


@pytest.mark.parametrize(
    ("content", "kind", "status", "said"),
    [
        (b"", "image/png", 400, "The body is empty"),
        (b"no picture", "image/png", 422, "Image: not a JPEG"),
        (picture()[:50], "image/png", 422, "Image: damaged or truncated image"),
        (picture(), "text/plain", 415, "Content-Type"),
        (picture("GIF"), "image/gif", 415, "Content-Type"),
        (bytes(10 * 2**20 + 1), "image/png", 413, "more than 10 MiB"),
    ],
)
def test_what_is_no_picture_is_refused_with_its_status_and_a_reason(client, content, kind, status, said):
    answer = ask(client, content, kind)
    assert answer.status_code == status
    assert said in answer.json()["reason"]


def test_a_body_whose_length_nobody_announced_is_cut_off(client):
    answer = ask(client, (bytes(2**20) for _ in range(11)))
    assert answer.status_code == 413


def test_whoever_lacks_the_token_is_refused(served):
    with TestClient(create_app(served, token="secret")) as client:  # noqa: S106
        assert ask(client, picture()).status_code == 401
        assert client.get("/model").status_code == 401
        client.headers["Authorization"] = "Bearer secret"
        assert ask(client, picture()).status_code == 200
        client.headers["Authorization"] = "Bearer secreT"
        assert ask(client, picture()).status_code == 401


def test_more_than_it_can_take_is_asked_to_come_back(served, monkeypatch):
    with TestClient(create_app(served, Limits(waiting=0))) as client:
        answer = ask(client, picture())
    assert answer.status_code == 429
    assert answer.headers["Retry-After"] == "1"


def test_what_takes_too_long_is_given_up(served):
    with TestClient(create_app(served, Limits(seconds=1e-6))) as client:
        assert ask(client, picture()).status_code == 503


def test_it_says_what_a_user_must_know(client):
    facts = client.get("/model").json()
    assert len(facts["classes"]) == 10
    assert facts["accuracy"] is None
    assert any("identifying" in sentence for sentence in facts["not_for"])


def test_it_is_alive_and_ready_and_tells_figures(client):
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"ready": True}
    ask(client, b"")
    assert 'tinysight_answers_total{status="400"}' in client.get("/metrics").text


def test_the_page_comes_with_a_strict_policy_and_asks_nobody_else(client):
    page = client.get("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    for name in ("page.css", "page.js"):
        assert name in page.text
        assert client.get(f"/{name}").status_code == 200
        assert "http" not in client.get(f"/{name}").text
    assert client.get("/secrets").status_code == 404


def test_the_description_has_every_status_and_examples(client):
    described = client.get("/openapi.json").json()
    assert {"200", "400", "401", "413", "415", "422", "429", "503"} <= set(
        described["paths"]["/predict"]["post"]["responses"]
    )


def brightness(looks):
    """Stand in for a classifier that says how bright the first pixel of a picture is."""
    return looks[:, 0, 0, 0, :1].astype(np.float32)


def asked(probabilities, levels, batch):
    """Return what an engine says of pictures that all come at once, or the errors."""

    async def ask_all():
        engine = Engine(probabilities, batch)
        pictures = [np.full((1, 3, 1, 1), level, dtype=np.uint8) for level in levels]
        return await asyncio.gather(*map(engine.probabilities, pictures), return_exceptions=True)

    return asyncio.run(ask_all())


def test_pictures_that_wait_are_answered_together():
    sizes = []

    def probabilities(looks):
        sizes.append(len(looks))
        return brightness(looks)

    found = asked(probabilities, range(10), batch=4)
    assert [float(one[0]) for one in found] == list(range(10))
    assert sizes == [4, 4, 2]


def test_one_that_fails_does_not_stop_the_next():
    def probabilities(looks):
        if looks.min() == 1:
            raise ValueError("no")
        return brightness(looks)

    first, second = asked(probabilities, [1, 2], batch=1)
    assert isinstance(first, ValueError)
    assert second[0] == 2


def test_nobody_is_answered_who_has_hung_up():
    seen = []

    async def ask():
        engine = Engine(lambda looks: seen.append(len(looks)) or brightness(looks), batch=8)
        picture = np.zeros((1, 3, 1, 1), dtype=np.uint8)
        gone, here = (asyncio.ensure_future(engine.probabilities(picture)) for _ in range(2))
        await asyncio.sleep(0)
        gone.cancel()
        return await here

    assert asyncio.run(ask())[0] == 0
    assert seen == [1]
