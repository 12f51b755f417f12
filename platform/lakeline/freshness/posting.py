"""Posting an alert to a web server. Apart from the channels, so that declaring one does not import Python's HTTP."""

import json
import urllib.error
import urllib.request
from contextlib import suppress
from http.client import HTTPException
from typing import Any

from lakeline.errors import LakelineError
from lakeline.freshness.channels import DeliveryError
from lakeline.freshness.webhooks import host_of

TIMEOUT_S = 5.0
"""How long a webhook may take to connect, and again to answer, in seconds."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirected POST would be repeated as a GET, which drops the alert and succeeds."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        """Follow none."""


def post(channel: str, url: str, body: dict[str, Any]) -> None:
    """Post a JSON object.

    Args:
        channel: Name of the channel, for errors.
        url: Its address, which no error repeats.
        body: What is posted.

    Raises:
        DeliveryError: The server is not reached, or answers anything but success.
    """
    host = host_of(channel, url)
    headers = {"Content-Type": "application/json", "User-Agent": "lakeline"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)  # noqa: S310 - http(s) alone is let in
    opener = urllib.request.build_opener(_NoRedirects)
    try:
        opener.open(request, timeout=TIMEOUT_S).close()
    except urllib.error.HTTPError as error:
        raise _answered(channel, host, error) from None  # its own words may repeat the address
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise DeliveryError(channel, host, f"it cannot be reached ({reason})") from None
    except (ValueError, HTTPException) as error:  # their words may hold the address
        raise DeliveryError(channel, host, f"it speaks no HTTP ({type(error).__name__})") from None


def _answered(channel: str, host: str, error: urllib.error.HTTPError) -> LakelineError:
    said = ""
    with error, suppress(OSError, HTTPException):
        said = error.read(200).decode(errors="replace").strip()
    is_refusal = 300 <= error.code < 500 and error.code not in (408, 425, 429)
    reason = f"it answered {error.code} {error.reason}{f', {said}' if said else ''}"
    return DeliveryError(channel, host, reason, is_refusal=is_refusal)
