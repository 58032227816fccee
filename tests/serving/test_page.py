"""The web page in a real browser: Chromium, driven by Playwright."""

import shutil
import threading
import urllib.request
from contextlib import contextmanager

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("playwright")

import uvicorn
from playwright.sync_api import expect, sync_playwright

from tinysight.evaluation.evaluate import evaluate
from tinysight.runs.run import Run
from tinysight.serving.app import create_app
from tinysight.serving.served_model import ServedModel
from tinysight.serving.supervisor import listen

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="Chromium is not installed"),
]


@contextmanager
def serving(run, token=None):
    """Serve a run; yield the page's address."""
    (line,), served = listen("127.0.0.1", 0), ServedModel(Run(run))
    served.build_index()  # a server does this in the background
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
    """The page; it must log no errors and contact only its server."""
    context = browser.new_context(viewport={"width": 390, "height": 800}, permissions=["camera"])
    page, errors, external = context.new_page(), [], []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on(
        "request",
        lambda request: external.append(request.url) if not request.url.startswith((address, "blob:", "data:")) else 0,
    )
    page.goto(address)
    yield page
    assert errors == []
    assert external == []
    context.close()


def choose(page, *files):
    page.locator("#files").set_input_files([str(file) for file in files])


def test_page_describes_the_classifier_and_its_limits(page):
    expect(page.locator("#about")).to_contain_text("Recognizes only these classes:")
    expect(page.locator("#not-for li")).not_to_have_count(0)


def test_page_states_the_accuracy_with_its_images(browser, page, finished_run):
    expect(page.locator("#accuracy")).to_contain_text("Accuracy: not measured.")
    metrics = evaluate(Run(finished_run))
    with serving(finished_run) as address:
        evaluated = browser.new_page()
        evaluated.goto(address)
        expected = f"Accuracy: {metrics.accuracy:.1%} on 30 test images (95% confidence interval "
        expect(evaluated.locator("#accuracy")).to_contain_text(expected)
        evaluated.close()


def test_chosen_image_is_classified_and_gets_bars(page, photos, trained):
    file = photos / "cat" / "00.png"
    choose(page, file)
    result = page.locator(".result").first
    expect(result.locator(".bars li")).to_have_count(3)
    expect(result.locator("figcaption")).to_have_text("00.png")
    from tinysight.evaluation.predict import ImagePredictor

    (prediction,) = ImagePredictor(Run(trained)).predict([str(file)])
    expect(result.locator(".prediction")).to_contain_text(prediction["top"][0]["class"])
    assert ("unsure" in result.locator(".prediction").get_attribute("class")) == prediction["unsure"]
    expect(page.locator("#status")).to_contain_text("00.png")


def test_slider_shows_the_occlusion_map_and_neighbors_are_listed(page, photos):
    pytest.importorskip("captum")
    choose(page, photos / "dog" / "03.png")
    result = page.locator(".result").first
    expect(result.locator(".similar li")).to_have_count(3)
    canvas, slider = result.locator("canvas"), result.locator("input[type=range]")
    before = canvas.evaluate("canvas => canvas.toDataURL()")
    slider.focus()
    page.keyboard.press("End")  # must work by keyboard
    assert canvas.evaluate("canvas => canvas.toDataURL()") != before


def test_images_can_be_dropped_and_pasted(page, photos):
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


def test_camera_image_is_classified(page):
    page.get_by_role("button", name="Use the camera").click()
    page.get_by_role("button", name="Capture").click()
    expect(page.locator(".result").first.locator(".bars li")).to_have_count(3)
    page.get_by_role("button", name="Stop the camera").click()
    expect(page.locator("#live")).to_be_hidden()


def test_other_file_types_get_an_error_message(page, tmp_path):
    (tmp_path / "notes.txt").write_text("not an image")
    choose(page, tmp_path / "notes.txt")
    expect(page.locator(".prediction").first).to_have_text(
        "notes.txt: is not a JPEG, PNG, WebP, GIF, BMP, TIFF or AVIF image. Choose another file."
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_page_fits_the_viewport(page, photos, width, scheme):
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme=scheme)
    choose(page, photos / "cat" / "00.png")
    expect(page.locator(".bars li").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_every_control_has_an_accessible_name(page):
    name = "element => element.textContent.trim() || element.getAttribute('aria-label') || element.labels?.length"
    controls = page.locator("button:visible, input:visible").all()
    assert len(controls) >= 2
    assert all(control.evaluate(name) for control in controls)


def test_page_prompts_for_the_token_until_it_is_right(browser, trained, photos):
    with serving(trained, token="secret") as address:  # noqa: S106
        page, tokens = browser.new_page(), iter(["wrong", "secret"])
        page.on("dialog", lambda dialog: dialog.accept(next(tokens)))
        page.goto(address)
        expect(page.locator("#about")).to_contain_text("Recognizes only these classes:")
        choose(page, photos / "cat" / "00.png")
        expect(page.locator(".bars li")).to_have_count(3)
        page.close()
