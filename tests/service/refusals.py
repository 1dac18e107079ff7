"""How a request is refused: with its status, the path of the field and what is allowed, and nothing left behind."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from werkzeug.test import TestResponse

from store.tables import metadata
from tests.service.callers import Caller

JSON = "application/json"
NO_ID = "0" * 26  # well-formed, and nobody's
Refusal = tuple[int, str | None, str]  # status, path of the field, words of what is allowed


@dataclass(frozen=True)
class House:
    """An application with something of everything in it, to which nothing may be added by a refused request."""

    caller: Caller
    ids: dict[str, str]

    def refuses(self, refusal: Refusal, method: str, address: str, **options: Any) -> TestResponse:
        before = self._what_is_there()
        answer = self.caller.client.open(address, method=method, **options)
        _check(answer, *refusal)
        assert self._what_is_there() == before
        return answer

    def _what_is_there(self) -> tuple[dict[str, int], list[str]]:
        tables = metadata.tables.items()
        with self.caller.parts.database.read() as tx:
            rows = {name: tx.execute(select(func.count()).select_from(table)).scalar_one() for name, table in tables}
        folder = self.caller.parts.settings.data_dir / "blobs"
        return rows, sorted(str(path) for path in folder.rglob("*") if path.is_file())


def _check(answer: TestResponse, status: int, path: str | None, words: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.content_type == "application/problem+json"
    problem = answer.json
    assert problem["status"] == status
    assert {"type", "title", "status", "detail", "request_id"} <= problem.keys()
    assert problem["request_id"] == answer.headers["X-Request-Id"]
    assert "Traceback" not in answer.text
    if status == 422:
        assert path in problem["errors"], problem["errors"]
        assert words in " ".join(problem["errors"][path]), problem["errors"]
    else:
        assert "errors" not in problem
        assert words in problem["detail"], problem["detail"]
