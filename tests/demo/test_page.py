"""The page in a real browser: what a visitor does with mouse, keyboard and phone, all offline."""

import contextlib
import re
import shutil
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from PIL import Image

from tests.demo.conftest import GIVEN, HORIZON, LIMITS, ClassyCopies, serving

playwright = pytest.importorskip(
    "playwright.sync_api", reason="the page's test needs playwright (pip install playwright)"
)
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (apt install chromium)"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
FUTURES = "#panels figure"


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as tool:
        started = tool.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@contextlib.contextmanager
def opened_page(browser, demo, options):
    """The page, loaded and with its first prediction; afterwards, every host that was asked."""
    context = browser.new_context(**options, accept_downloads=True)
    opened = context.new_page()
    asked, problems = [], []
    opened.on("request", lambda sent: asked.append(sent.url))
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
    opened.problems = problems
    opened.goto(demo.url)
    done(opened)
    yield opened
    context.close()
    assert len(asked) > 5
    # A blob is a download that the page made itself.
    hosts = {urlsplit(url).netloc for url in asked if not url.startswith(("data:", "blob:"))}
    assert hosts == {urlsplit(demo.url).netloc}
    assert problems == []


DESKTOP = {"viewport": {"width": 1280, "height": 900}}


@pytest.fixture
def page(browser, demo, request):
    with opened_page(browser, demo, getattr(request, "param", DESKTOP)) as opened:
        yield opened


def done(page) -> None:
    """Waits for the end of a prediction."""
    page.wait_for_selector("#result[aria-busy=false]")


def test_it_begins_with_a_prediction_of_an_example(page) -> None:
    assert page.locator(FUTURES).count() == 4  # what followed, and three futures
    assert re.match(r"3 futures of 3 frames", page.inner_text("#status"))
    assert page.is_hidden("#error")
    assert page.is_hidden("#label-field")  # a model without classes
    page.click("#play")
    page.locator("#time").fill(str(GIVEN + 1))
    assert page.inner_text("#when") == f"predicted +2 of {HORIZON}"
    captions = page.locator("figcaption span").all_inner_texts()
    assert captions == ["real +2", "predicted +2", "predicted +2", "predicted +2"]


def test_upload_predict_change_download(page, demo, upload: bytes, tmp_path: Path) -> None:
    clip = tmp_path / "my clip.mp4"
    clip.write_bytes(upload)
    page.set_input_files("#file", clip)
    done(page)
    assert page.inner_text("#file-name") == "my clip.mp4"
    assert page.locator("input[name=example]:checked").count() == 0

    def pixels() -> str:
        page.click("#play") if page.inner_text("#play") == "Pause" else None
        page.locator("#time").fill(str(GIVEN))
        return page.locator("canvas").nth(1).evaluate("canvas => canvas.toDataURL()")

    before = pixels()
    page.fill("#seed", "41")
    page.locator("#num_samples").fill("2")
    page.locator("#num_frames").fill("5")
    page.click("#predict")
    done(page)
    assert page.inner_text("#status").startswith("2 futures of 5 frames")
    assert "then it continues its own" in page.inner_text("#length-hint")
    assert page.locator(FUTURES).count() == 3
    assert pixels() != before
    plain = pixels()
    page.check("#motion")
    assert page.is_visible("#legend")
    assert pixels() != plain
    for kind in ("gif", "mp4"):
        with page.expect_download() as caught:
            page.click(f"[data-download={kind}]")
        assert caught.value.suggested_filename == f"my clip-seed41.{kind}"
        path = tmp_path / f"saved.{kind}"
        caught.value.save_as(path)
        assert path.stat().st_size > 1000
    with Image.open(tmp_path / "saved.gif") as animation:
        assert animation.n_frames == GIVEN + 5


def test_errors_are_shown_kindly_and_leave_the_last_prediction(page, tmp_path: Path) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("not a video")
    page.set_input_files("#file", text)
    page.wait_for_selector("#error:visible")
    assert page.inner_text("#error").startswith("Your clip: not a video")
    assert page.inner_text("#status") == "Still showing the last prediction."
    assert page.locator(FUTURES).count() == 4
    large = tmp_path / "large.mp4"
    large.write_bytes(bytes(LIMITS.upload_bytes + 1))
    page.set_input_files("#file", large)
    assert "are taken" in page.inner_text("#error")
    page.fill("#seed", "-4")
    page.click("#predict")
    assert "seed must be a whole number" in page.inner_text("#error")
    # And on it goes.
    page.fill("#seed", "4")
    page.locator("input[name=example]").nth(3).check()
    done(page)
    assert page.is_hidden("#error")
    page.problems.clear()  # the browser itself notes the refused request


def test_everything_is_reached_with_the_keyboard(page) -> None:
    page.locator("#play").focus()
    page.keyboard.press("Space")
    assert page.inner_text("#play") == "Play"
    page.keyboard.press("Tab")
    page.keyboard.press("End")
    assert page.inner_text("#when") == f"predicted +{HORIZON} of {HORIZON}"
    page.keyboard.press("Home")
    assert page.inner_text("#when") == f"conditioning frame 1 of {GIVEN}"
    page.evaluate("document.activeElement.blur()")
    names = []
    for _ in range(20):
        page.keyboard.press("Tab")
        names.append(
            page.evaluate(
                "(document.activeElement.id || document.activeElement.name"
                " || document.activeElement.dataset.download || document.activeElement.tagName)"
            )
        )
    reached = ["example", "num_samples", "num_frames", "truncation", "seed", "dice", "predict"]
    reached += ["play", "time", "speed", "motion", "gif", "mp4"]
    assert set(reached) <= set(names)
    # Enter in a field predicts; arrows choose another example.
    page.locator("#seed").fill("7")
    with page.expect_response("**/api/predict?seed=7&*"):
        page.keyboard.press("Enter")
    done(page)
    page.locator("input[name=example]:checked").focus()
    with page.expect_response("**/api/predict?*example=digit-2*"):
        page.keyboard.press("ArrowDown")
    done(page)


PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}


@pytest.mark.parametrize("page", [PHONE], indirect=True)
def test_it_fits_a_phone(page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    for selector in ("#predict", "#play", "#drop", "[data-download=gif]"):
        box = page.locator(selector).bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 360
        assert box["height"] >= 40  # a finger's width
    first, second = (page.locator(FUTURES).nth(n).bounding_box() for n in (0, 1))
    assert first["y"] == second["y"]  # side by side all the same
    page.tap("#predict")
    done(page)


def test_a_dropped_file_is_taken(page, upload: bytes) -> None:
    import base64

    page.evaluate(
        """content => {
            const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
            const data = new DataTransfer();
            data.items.add(new File([bytes], "dropped.mp4", { type: "video/mp4" }));
            document.getElementById("drop").dispatchEvent(
                new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
        }""",
        base64.b64encode(upload).decode(),
    )
    done(page)
    assert page.inner_text("#file-name") == "dropped.mp4"


def brightness_of_first_future(page) -> float:
    page.locator("#time").fill(str(GIVEN))
    return (
        page.locator("canvas")
        .nth(1)
        .evaluate(
            """canvas => {
            const { width, height } = canvas;
            const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
            const sum = data.reduce((sum, value, at) => sum + (at % 4 < 3 ? value : 0), 0);
            return sum / (width * height * 3);
        }"""
        )
    )


def test_the_class_is_chosen_from_a_menu(browser, tmp_path: Path) -> None:
    with (
        serving(ClassyCopies()) as demo,
        opened_page(browser, demo, DESKTOP) as page,
    ):
        menu = page.get_by_label("Class", exact=True)
        assert menu.is_visible()
        assert menu.locator("option").all_inner_texts() == list(ClassyCopies.class_names)
        assert menu.input_value() == "0"
        page.locator("input[name=example]").nth(3).check()  # drifting shapes: nowhere black
        done(page)
        brightness = {"bowling": brightness_of_first_future(page)}
        for name in ("<b>surfing</b>", "high jump"):
            menu.select_option(name)
            page.click("#predict")
            done(page)
            brightness[name] = brightness_of_first_future(page)
        assert brightness["bowling"] > brightness["high jump"] + 20
        assert brightness["high jump"] > brightness["<b>surfing</b>"] + 20
        # With the keyboard, and what is downloaded is of the class that is shown.
        menu.focus()
        page.keyboard.press("ArrowDown")
        assert menu.input_value() == "2"
        page.click("#predict")
        done(page)
        menu.select_option("bowling")
        with (
            page.expect_request("**/api/download/gif?*label=2*"),
            page.expect_download() as caught,
        ):
            page.click("[data-download=gif]")
        caught.value.save_as(tmp_path / "saved.gif")
        with Image.open(tmp_path / "saved.gif") as animation:
            assert animation.n_frames == GIVEN + HORIZON
