"""Reading server-sent events as the standard tells browsers to."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Message:
    """`id` is the last that was sent, with this message or before it."""

    id: str
    event: str
    data: Any


def messages(pieces: Iterable[bytes]) -> Iterator[Message]:
    """What was sent whole; what the end of the stream cuts in two is nothing."""
    id, event, data = "", "message", []
    for line in _lines(pieces):
        if line == "":
            if data:
                yield Message(id, event, json.loads("\n".join(data)))
            event, data = "message", []
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "id":
            id = value
        elif name == "event":
            event = value
        elif name == "data":
            data.append(value)


def _lines(pieces: Iterable[bytes]) -> Iterator[str]:
    rest = b""
    for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        yield from (line.decode() for line in whole)
