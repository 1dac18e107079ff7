"""A patient client: it sends a request again until it is answered for good, and writes down every answer it got."""

import time
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx2

PATIENCE_SECONDS = 60.0
_UNREACHABLE_PAUSE_SECONDS = 0.05
_HASTE = 10  # all times in these tests are at a tenth, and so is what Retry-After asks for


@dataclass(frozen=True)
class Answer:
    """One answer, or none where `status` is None: the connection broke, and nobody knows what came of the request."""

    method: str
    path: str
    key: str | None
    status: int | None
    id: str | None = None  # of what the answer shows
    run_status: str | None = None
    retry_after: str | None = None
    replayed: bool = False
    detail: str | None = None
    at: float = 0.0  # when it was sent, on the monotonic clock
    seconds: float = 0.0


class Client:
    """Any number of threads may ask at once. `log` has what came of every request, each try by itself."""

    def __init__(self, address: str) -> None:
        self.log: list[Answer] = []
        self._http = httpx2.Client(base_url=address, timeout=30, limits=httpx2.Limits(max_connections=256))

    def ask(
        self, method: str, path: str, *, key: str | None = None, patience: float = PATIENCE_SECONDS, **sent: Any
    ) -> httpx2.Response:
        """The first answer that does not ask to be tried again (5xx, 429, or 409 with `Retry-After`)."""
        until = time.monotonic() + patience
        while True:
            response = self.once(method, path, key=key, **sent)
            if response is not None and not _asks_again(response):
                return response
            pause = _UNREACHABLE_PAUSE_SECONDS
            if response is not None:
                pause = float(response.headers.get("Retry-After", 1)) / _HASTE
            assert time.monotonic() + pause < until, (
                f"{method} {path} was not answered for {patience} s: {self.log[-1]}"
            )
            time.sleep(pause)

    def once(self, method: str, path: str, *, key: str | None = None, **sent: Any) -> httpx2.Response | None:
        """One try; None if it was not answered."""
        at = time.monotonic()
        headers = {**sent.pop("headers", {}), **({"Idempotency-Key": key} if key else {})}
        try:
            response = self._http.request(method, path, headers=headers, **sent)
        except httpx2.TransportError as error:
            self.log.append(Answer(method, path, key, None, detail=repr(error), at=at, seconds=time.monotonic() - at))
            return None
        self.log.append(_logged(response, method, path, key, at))
        return response

    def get(self, path: str, **sent: Any) -> Any:
        """What stands there, which must be."""
        response = self.ask("GET", path, **sent)
        assert response.status_code == 200, response.text
        return response.json()

    def create(self, path: str, *, key: str | None = None, **sent: Any) -> dict[str, Any]:
        """What was created, once however often it had to be asked for."""
        response = self.ask("POST", path, key=key or uuid4().hex, **sent)
        assert response.is_success, response.text
        return response.json()

    def close(self) -> None:
        self._http.close()


def _asks_again(response: httpx2.Response) -> bool:
    status = response.status_code
    return status >= 500 or status == 429 or (status == 409 and "Retry-After" in response.headers)


def _logged(response: httpx2.Response, method: str, path: str, key: str | None, at: float) -> Answer:
    shown: dict[str, Any] = {}
    if "json" in response.headers.get("Content-Type", "") and isinstance(body := response.json(), dict):
        shown = body
    status = shown.get("status")
    return Answer(
        method,
        path,
        key,
        response.status_code,
        id=shown.get("id"),
        run_status=status if isinstance(status, str) else None,
        retry_after=response.headers.get("Retry-After"),
        replayed="Idempotency-Replayed" in response.headers,
        detail=None if response.is_success else response.text,
        at=at,
        seconds=time.monotonic() - at,
    )
