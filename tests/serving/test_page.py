"""The page in a real browser: a photo in, an answer out. Debian's Chromium through Playwright."""

import shutil
import threading
import urllib.request
from contextlib import contextmanager

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("playwright")

import uvicorn
from playwright.sync_api import expect, sync_playwright

from tinysight.runs.run import Run
from tinysight.serving.app import create_app
from tinysight.serving.listening import listen
from tinysight.serving.subject import Served

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="there is no Chromium on this machine"),
]


@contextmanager
def serving(run, token=None):
    """Serve a run, and yield where."""
    (line,), served = listen("127.0.0.1", 0), Served(Run(run))
    served.remember()  # a server does so while it answers already
    app = create_app(served, token=token)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [line]})
    thread.start()
    address = f"http://127.0.0.1:{line.getsockname()[1]}/"
    urllib.request.urlopen(f"{address}readyz").read()  # answered once it has started
    yield address
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def address(trained):
    with serving(trained) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    arguments = ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    with sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, address):
    """The page, which must neither complain nor ask anybody but its server."""
    context = browser.new_context(viewport={"width": 390, "height": 800}, permissions=["camera"])
    page, complaints, elsewhere = context.new_page(), [], []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "request",
        lambda request: elsewhere.append(request.url) if not request.url.startswith((address, "blob:", "data:")) else 0,
    )
    page.goto(address)
    yield page
    assert complaints == []
    assert elsewhere == []
    context.close()


def choose(page, *files):
    page.locator("#files").set_input_files([str(file) for file in files])


def test_it_says_what_it_knows_and_what_it_is_not_for(page):
    expect(page.locator("#about")).to_contain_text("and nothing else")
    expect(page.locator("#not-for li")).not_to_have_count(0)


def test_a_chosen_photo_gets_an_answer_with_bars(page, photos, trained):
    file = photos / "cat" / "00.png"
    choose(page, file)
    result = page.locator(".result").first
    expect(result.locator(".bars li")).to_have_count(3)
    expect(result.locator("figcaption")).to_have_text("00.png")
    from tinysight.evaluation.predict import Predictor

    (said,) = Predictor(Run(trained)).predict([str(file)])
    expect(result.locator(".verdict")).to_contain_text(said["top"][0]["class"])
    assert ("unsure" in result.locator(".verdict").get_attribute("class")) == said["unsure"]
    expect(page.locator("#status")).to_contain_text("00.png")


def test_the_slider_shows_where_it_looked_and_the_nearest_are_below(page, photos):
    pytest.importorskip("captum")
    choose(page, photos / "dog" / "03.png")
    result = page.locator(".result").first
    expect(result.locator(".alike li")).to_have_count(3)
    canvas, slider = result.locator("canvas"), result.locator("input[type=range]")
    before = canvas.evaluate("canvas => canvas.toDataURL()")
    slider.focus()
    page.keyboard.press("End")  # all by keyboard
    assert canvas.evaluate("canvas => canvas.toDataURL()") != before


def test_photos_are_dropped_and_pasted(page, photos):
    for kind in ("drop", "paste"):
        page.evaluate(
            """async ([kind, bytes]) => {
                const transfer = new DataTransfer();
                transfer.items.add(new File([new Uint8Array(bytes)], kind + ".png", { type: "image/png" }));
                document.dispatchEvent(kind === "drop"
                    ? new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true })
                    : new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true }));
            }""",
            [kind, list((photos / "cat" / "01.png").read_bytes())],
        )
        expect(page.locator("figcaption").first).to_have_text(f"{kind}.png")
        expect(page.locator(".result").first.locator(".bars li")).to_have_count(3)


def test_a_picture_from_the_camera_gets_an_answer(page):
    page.get_by_role("button", name="Use the camera").click()
    page.get_by_role("button", name="Take this").click()
    expect(page.locator(".result").first.locator(".bars li")).to_have_count(3)
    page.get_by_role("button", name="Stop the camera").click()
    expect(page.locator("#live")).to_be_hidden()


def test_what_is_no_picture_is_refused_in_words(page, tmp_path):
    (tmp_path / "notes.txt").write_text("no picture")
    choose(page, tmp_path / "notes.txt")
    expect(page.locator(".verdict").first).to_have_text("notes.txt is no JPEG, PNG or WebP picture.")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(page, photos, width, scheme):
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)
    choose(page, photos / "cat" / "00.png")
    expect(page.locator(".bars li").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_everything_to_press_has_a_name(page):
    name = "element => element.textContent.trim() || element.getAttribute('aria-label') || element.labels?.length"
    controls = page.locator("button:visible, input:visible").all()
    assert len(controls) >= 2
    assert all(control.evaluate(name) for control in controls)


def test_a_server_that_wants_a_token_is_told_it(browser, trained, photos):
    with serving(trained, token="secret") as address:  # noqa: S106
        page, told = browser.new_page(), iter(["wrong", "secret"])
        page.on("dialog", lambda dialog: dialog.accept(next(told)))
        page.goto(address)
        expect(page.locator("#about")).to_contain_text("and nothing else")
        choose(page, photos / "cat" / "00.png")
        expect(page.locator(".bars li")).to_have_count(3)
        page.close()
