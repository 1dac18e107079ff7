"""The preconditions of a request: `If-Match` and `If-None-Match`, as RFC 9110 has them in 13.1, ordered as in 13.2.

No representation here has a modification date, so `If-Unmodified-Since` and `If-Modified-Since` are ignored, as 13.1.3
and 13.1.4 demand. Ranges are not served, so `If-Range` has no effect either.

A list that cannot be parsed names no tag: a read is then answered in full, and a write is refused.
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from flask import Response, request

from service.problems import PreconditionFailed

IF_MATCH, IF_NONE_MATCH = "If-Match", "If-None-Match"

_TAG = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_ANY = "*"


def check_match(etag: str | None) -> None:
    """Raise PreconditionFailed where If-Match is sent and `etag`, the current one, is not in it; None is nothing."""
    sent = request.headers.get(IF_MATCH)
    if sent is None:
        return
    if sent.strip() == _ANY:
        holds = etag is not None
    else:
        holds = any(not weak and tag == etag for weak, tag in _parse(sent) or ())
    if not holds:
        current = "nothing is there" if etag is None else f"the ETag is now {etag}"
        raise PreconditionFailed(f"{IF_MATCH} does not hold: {current}. Nothing was done.")


def answer(response: Response) -> Response:
    """Return the response to a GET or HEAD, as 304 where the caller has it. Raise PreconditionFailed."""
    check_match(response.headers["ETag"])
    return unless_known(response)


def unless_known(response: Response) -> Response:
    """Return the response to a GET or HEAD, as 304 where If-None-Match names its ETag."""
    if is_known(response.headers["ETag"]):
        response.close()  # of a file, which is not sent then
        response.status_code = 304
        response.direct_passthrough = False
        response.set_data(b"")
    return response


@contextmanager
def upheld(current: Callable[[], str | None]) -> Iterator[None]:
    """Raise PreconditionFailed at the end of the block, within its transaction, where the request's conditions did not
    hold at its beginning; `current` reads the ETag and locks what it is of, or returns None where nothing is there.

    At the end, because a condition counts only where the request would succeed without it (13.2.1). The transaction is
    rolled back then.
    """
    if IF_MATCH not in request.headers and IF_NONE_MATCH not in request.headers:
        yield
        return
    etag = current()
    yield
    check_match(etag)
    sent = request.headers.get(IF_NONE_MATCH)
    if sent is not None and (is_known(etag) or (sent.strip() != _ANY and _parse(sent) is None)):
        raise PreconditionFailed(f"{IF_NONE_MATCH} does not hold: the ETag is now {etag}. Nothing was done.")


def is_known(etag: str | None) -> bool:
    """Whether If-None-Match is sent and names this ETag, by the weak comparison."""
    sent = request.headers.get(IF_NONE_MATCH)
    if sent is None or etag is None:
        return False
    if sent.strip() == _ANY:
        return True
    return any(tag == etag.removeprefix("W/") for _, tag in _parse(sent) or ())


def _parse(sent: str) -> list[tuple[bool, str]] | None:
    """Return the tags of a list, each with whether it is weak; None where it is no list of tags."""
    tags: list[tuple[bool, str]] = []
    at, may_begin = 0, True
    while at < len(sent):
        if sent[at] in ", \t":
            may_begin = may_begin or sent[at] == ","
            at += 1
            continue
        found = _TAG.match(sent, at) if may_begin else None
        if found is None:
            return None
        tags.append((found[1] is not None, found[2]))
        at, may_begin = found.end(), False
    return tags
