"""Plain data that was read from a file, kept as JSON for the next process: it holds for as long as the file has the same bytes."""

import contextlib
import functools
import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def key_of(content: bytes, *readers: Path) -> str:
    """What stands for the content of a file, and for the code that reads it: what another release kept is not taken."""
    return hashlib.sha256(content + _digest_of(readers)).hexdigest()


@functools.cache
def _digest_of(files: Sequence[Path]) -> bytes:
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).digest()


def kept(path: Path, key: str) -> Any:
    """What was kept under the key; None if nothing was, or nothing that can be understood."""
    try:
        head, _, body = path.read_bytes().partition(b"\n")
        return json.loads(body) if head == key.encode() else None
    except (OSError, ValueError):
        return None


def keep(path: Path, key: str, data: Any) -> None:
    """Keep data of JSON's types, whole or not at all."""
    text = f"{key}\n{json.dumps(data, separators=(',', ':'))}"
    with contextlib.suppress(OSError):  # As with bytecode: a folder may be for reading alone.
        path.parent.mkdir(parents=True, exist_ok=True)
        growing = path.with_name(f"{path.name}.{os.getpid()}")
        growing.write_text(text, encoding="utf-8")
        growing.replace(path)
