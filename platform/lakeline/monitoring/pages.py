"""HTML pages of reports: written below one folder, opened by their address.

A page of Evidently's carries 3.5 MB of the same script. The script goes into one file beside the pages, and a page keeps
a few hundred kilobytes of its own.
"""

import hashlib
import html
import os
import re
from pathlib import Path

from lakeline.errors import PageNameError

PART = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
SHARED_FOLDER = "_shared"
SHARED_FROM_CHARS = 1_000_000
"""Scripts from this length on are shared; the data of a page is shorter."""


def write_page(folder: Path, name: str, document: str, *, base_url: str | None = None) -> str:
    """Write a page, over one of the same name, and give its address.

    Args:
        folder: Root of all pages.
        name: Path of the page below it, without ending, for example ``flights/feature_drift/2013-07-01``.
        document: The whole page, HTML.
        base_url: Where ``folder`` is served; without, the address is that of the file. Browsers refuse to follow a link
            from a served page, such as Dagster's, to a file.

    Raises:
        PageNameError: The name would leave the folder, or need quoting in an address.
    """
    parts = name.split("/")
    if not all(PART.fullmatch(part) for part in parts) or parts[0] == SHARED_FOLDER:
        raise PageNameError(name)
    page = folder.joinpath(*parts[:-1], f"{parts[-1]}.html")
    _write(page, _with_shared_scripts(folder, document, depth=len(parts) - 1))
    if base_url is None:
        return page.absolute().as_uri()
    return f"{base_url.rstrip('/')}/{name}.html"


def note_html(title: str, text: str) -> str:
    """A page that says one thing, for a report that has nothing to show yet."""
    said = html.escape(text)
    return f"<!doctype html><title>{html.escape(title)}</title><h1>{html.escape(title)}</h1><p>{said}</p>"


def _with_shared_scripts(folder: Path, document: str, *, depth: int) -> str:
    """The document with its long scripts in files of their own, which are named by their content."""

    def moved(found: re.Match[str]) -> str:
        script = found[1]
        if len(script) < SHARED_FROM_CHARS:
            return found[0]
        content = script.encode()
        name = f"{hashlib.sha256(content).hexdigest()[:16]}.js"
        if not (folder / SHARED_FOLDER / name).exists():
            _write(folder / SHARED_FOLDER / name, script)
        return f'<script src="{"../" * depth}{SHARED_FOLDER}/{name}" charset="utf-8"></script>'

    return SCRIPT.sub(moved, document)


def _write(path: Path, text: str) -> None:
    """Readers see the old file or the new one, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
