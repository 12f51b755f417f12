"""Places where files land, a folder or a bucket: each lists its files with what changes when they do."""

import datetime as dt
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from lakeline.errors import MissingExtraError
from lakeline.freshness.observing import SourceUnreachableError


@dataclass(frozen=True, kw_only=True, slots=True)
class LandedFile:
    """A file as its place lists it.

    Attributes:
        name: Below the place, with ``/`` between folders.
        version: Changes when the content does.
        written_ts: When it was written last by the clock of its place, aware UTC.
    """

    name: str
    version: str
    written_ts: dt.datetime


class Place(Protocol):
    """Lists files."""

    def __str__(self) -> str:
        """Where it is, without secrets."""
        ...

    def files(self, source: str, beginning: str, depth: int | None) -> Iterator[LandedFile]:
        """Files whose names begin so, at most ``depth`` folders deep.

        Raises:
            SourceUnreachableError: They cannot be listed.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderPlace:
    """A folder of this machine, or one that is mounted."""

    folder: Path

    def __str__(self) -> str:
        return str(self.folder)

    def files(self, source: str, beginning: str, depth: int | None) -> Iterator[LandedFile]:
        """Files below the folder, whose version is their size and date; what vanishes meanwhile is left out."""
        start = beginning.rpartition("/")[0]
        try:
            os.scandir(self.folder).close()  # a missing day is no files, a missing folder an error
            for path in _walk(self.folder / start, start, depth):
                name = path.relative_to(self.folder).as_posix()
                if name.startswith(beginning) and (landed := _landed(path, name)) is not None:
                    yield landed
        except OSError as error:
            advice = "Check that the folder is there, mounted, and can be read."
            raise SourceUnreachableError(source, str(self), error, advice) from error


@dataclass(frozen=True, kw_only=True, slots=True)
class BucketPlace:
    """A bucket of S3, reached through dagster-aws."""

    bucket: str
    prefix: str
    connection: Mapping[str, Any] = field(repr=False)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"

    def files(self, source: str, beginning: str, depth: int | None) -> Iterator[LandedFile]:
        """Objects below the prefix, whose version is their ETag; an object is whole as soon as it is listed."""
        try:
            from botocore.exceptions import BotoCoreError, ClientError
            from dagster_aws.s3 import S3Resource
        except ImportError as error:
            raise MissingExtraError("A bucket that is looked at", "aws") from error
        try:
            client = S3Resource(**{"max_attempts": 2, **self.connection}).get_client()
            pages = client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self.bucket, Prefix=self.prefix + beginning):
                for one in page.get("Contents", ()):
                    yield LandedFile(
                        name=one["Key"].removeprefix(self.prefix),
                        version=f"{one['ETag'].strip(chr(34))}:{one['Size']}",
                        written_ts=one["LastModified"].astimezone(dt.UTC),
                    )
        except (BotoCoreError, ClientError) as error:
            advice = "Check the bucket's name, its region, the endpoint and the key that it is asked with."
            raise SourceUnreachableError(source, str(self), error, advice) from error


def _walk(folder: Path, start: str, depth: int | None) -> Iterator[Path]:
    """Files below a folder in no order; links to folders are not followed."""
    waiting = [(folder, start.count("/") + 1 if start else 0)]
    while waiting:
        at, level = waiting.pop()
        try:
            entries = list(os.scandir(at))
        except FileNotFoundError:
            continue  # moved away in between, or no such day
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if depth is None or level < depth:
                    waiting.append((Path(entry.path), level + 1))
            elif entry.is_file():
                yield Path(entry.path)


def _landed(path: Path, name: str) -> LandedFile | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    written = dt.datetime.fromtimestamp(found.st_mtime, dt.UTC)
    version = f"{found.st_size}:{found.st_mtime_ns}"
    return LandedFile(name=name, version=version, written_ts=written)
