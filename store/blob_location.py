"""Where blobs are: what `LEARND_BLOB_URL` means, and the client of an object store with its time limits."""

import os
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from obstore.exceptions import BaseError
from obstore.store import ObjectStore, from_url

from store.errors import StoreError

if TYPE_CHECKING:  # the library has them for type checkers alone
    from obstore.store import ClientConfig, RetryConfig

TIMEOUT_SECONDS = 5.0  # of each request, which carries at most 8 MiB
_CONNECT_SECONDS = 2.0
_RETRIES = 5  # of what fails at once: a reset, a 503
_TRUE = ("1", "true", "yes", "on")


class BadBlobUrl(StoreError):
    """`LEARND_BLOB_URL` cannot be used; the message is for the operator who set it."""


def folder_of(url: str) -> Path | None:
    """Return the folder that a `file:` URL names, None for an object store. Raise BadBlobUrl."""
    parts = urlsplit(url)
    if parts.scheme != "file":
        return None
    if parts.query or parts.fragment:
        sign = "?" if parts.query else "#"
        raise BadBlobUrl(
            f"LEARND_BLOB_URL: a {sign} ends the path of a URL, so that {url} names the folder {unquote(parts.path)};"
            f" write that folder alone, or %{ord(sign):02X} for a {sign} in its name"
        )
    if parts.netloc or not parts.path.startswith("/"):
        raise BadBlobUrl(f"LEARND_BLOB_URL: a folder is file:/// and its whole path, not {url}")
    return Path(unquote(parts.path))


def remote_store(url: str, timeout_seconds: float) -> ObjectStore:
    """Return a client that gives up soon. Raise BadBlobUrl.

    What fails at once is tried again; what hangs is not, past the first time-out: the caller is to be told in time.
    """
    client: ClientConfig = {
        "timeout": timedelta(seconds=timeout_seconds),
        "connect_timeout": timedelta(seconds=min(_CONNECT_SECONDS, timeout_seconds)),
    }
    # obstore reads this variable only where it is given no options of a client.
    if os.environ.get("AWS_ALLOW_HTTP", "").lower() in _TRUE:
        client["allow_http"] = True
    retry: RetryConfig = {"max_retries": _RETRIES, "retry_timeout": timedelta(seconds=timeout_seconds * 0.9)}
    if url.startswith("memory:"):
        return from_url(url)
    try:
        return from_url(url, client_options=client, retry_config=retry)
    except (BaseError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise BadBlobUrl(f"LEARND_BLOB_URL: {url} is no address of an object store ({reason})") from None


def misread(folder: Path) -> Path | None:
    """Return the other folder that versions before took this one's path for; None where they read it right."""
    other = Path(unquote(urlsplit(f"file://{folder}").path))
    return None if other == folder else other
