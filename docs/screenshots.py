"""Pictures of the real Dagster UI for the README: `python docs/screenshots.py` writes docs/images/*.png.

The state must be built (`make demo ARGS=--no-ui`). Needs Chromium and playwright, as `make test-services` does.
"""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Page

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
CHROMIUM = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
READY_S = 180


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """One page of the UI.

    Attributes:
        path: Of the page.
        wait_for: Text that is on the page when it is ready.
        clip: Left, top, right and bottom margins that are cut off, in pixels of the page.
    """

    name: str
    path: str
    wait_for: str
    width: int = 1500
    height: int = 900
    clip: tuple[int, int, int, int] = (0, 0, 0, 0)


PICTURES = (
    Picture(
        name="lineage",
        path="/assets/flights/training_set?view=lineage&lineageScope=neighbors&lineageDepth=3",
        wait_for="feature_drift",
        width=2900,
        height=1700,
        clip=(330, 420, 270, 40),
    ),
    Picture(
        name="asset",
        path="/assets/flights/departures_clean?view=overview",
        wait_for="is_late",
        height=1350,
    ),
    Picture(
        name="checks",
        path="/assets/flights/weather_clean?view=checks&checkDetail=contract",
        wait_for="wind_speed_mph.le",
    ),
)


@contextmanager
def ui(port: int) -> Iterator[str]:
    """The UI on the state of the settings, served by `lakeline ui` and ended after; its address."""
    command = [
        sys.executable,
        "-m",
        "lakeline.cli",
        "--project",
        str(ROOT),
        "ui",
        "--port",
        str(port),
    ]
    # A shell's background job ignores SIGINT, and so would its children.
    server = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    try:
        _wait(server, f"{address}/server_info")
        yield address
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(timeout=60)


@contextmanager
def browser_page(width: int = 1600, height: int = 900) -> "Iterator[Page]":
    """A page of a headless Chromium."""
    from playwright.sync_api import sync_playwright

    program = next(path for path in CHROMIUM if Path(path).exists())
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, headless=True, args=list(ARGUMENTS)
        )
        try:
            yield browser.new_page(viewport={"width": width, "height": height})
        finally:
            browser.close()


def take(page: "Page", address: str, picture: Picture, folder: Path) -> Path:
    """Open a page of the UI, wait until it is complete, and keep its picture; the file."""
    page.set_viewport_size({"width": picture.width, "height": picture.height})
    page.goto(f"{address}{picture.path}")
    page.get_by_text(picture.wait_for).first.wait_for(timeout=120_000)
    page.wait_for_timeout(2000)
    page.get_by_text("Loading").first.wait_for(state="hidden", timeout=60_000)
    page.wait_for_timeout(2000)  # counters and badges come one by one
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{picture.name}.png"
    left, top, right, bottom = picture.clip
    width, height = picture.width - left - right, picture.height - top - bottom
    page.screenshot(path=str(file), clip={"x": left, "y": top, "width": width, "height": height})
    return file


def settle(page: "Page", address: str) -> None:
    """Fold the navigation away."""
    page.goto(f"{address}/assets")
    page.get_by_text("Hide navigation").click(timeout=60_000)


def _wait(server: "subprocess.Popen[bytes]", url: str) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise SystemExit(f"lakeline ui ended with exit code {server.returncode}")
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.5)
    raise SystemExit(f"Nothing answered at {url}")


def main() -> None:
    """Take every picture."""
    port = int(os.environ.get("PORT", "3210"))
    with ui(port) as address, browser_page() as page:
        settle(page, address)
        for picture in PICTURES:
            print(take(page, address, picture, IMAGES))


if __name__ == "__main__":
    main()
