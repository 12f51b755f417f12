"""The manifest of a version's files: each with its hash and size, in the shape of a ``.dvc`` file, as JSON.

DVC writes ``outs`` with ``path``, ``size`` and the hash under the name of its algorithm; so does this, with SHA-256.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

MANIFEST_FILE = "manifest.json"


def write_manifest(folder: Path) -> Path:
    """Write down every file below a folder, and give the manifest."""
    told = {"outs": [_entry(folder, file) for file in _files(folder)]}
    path = folder / MANIFEST_FILE
    path.write_text(json.dumps(told, indent=2), encoding="utf-8")
    return path


def broken_files(folder: Path) -> list[str]:
    """Files below a folder that are gone or are not what its manifest says; none where it has no manifest."""
    path = folder / MANIFEST_FILE
    if not path.is_file():
        return []
    said = {one["path"]: one for one in json.loads(path.read_text(encoding="utf-8"))["outs"]}
    found = {one["path"]: one for one in (_entry(folder, file) for file in _files(folder))}
    return sorted(name for name, entry in said.items() if found.get(name) != entry)


def _files(folder: Path) -> Iterator[Path]:
    yield from sorted(
        one for one in folder.rglob("*") if one.is_file() and one.name != MANIFEST_FILE
    )


def _entry(folder: Path, file: Path) -> dict[str, object]:
    content = file.read_bytes()
    return {
        "path": file.relative_to(folder).as_posix(),
        "size": len(content),
        "hash": "sha256",
        "sha256": hashlib.sha256(content).hexdigest(),
    }
