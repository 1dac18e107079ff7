"""Requests that wait at the same time are answered together, each with what is said of it alone."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

from learning.cells import Cells, Row
from learning.model import Prediction
from learning.network import FEW_ROWS
from service.serving.company import LARGE_BYTES, LARGE_MODEL, Asked, Company, Question
from service.serving.prediction import Options
from tests.workers.running import wait_for

WAITING = 2 * FEW_ROWS + 3
OPTIONS = Options(probabilities=False, interval=None, member=None)


@dataclass(eq=False)
class Watched:
    """A model that does not answer before it may, and tells of how many rows it was asked together."""

    may_answer: threading.Event = field(default_factory=threading.Event)
    asked: list[int] = field(default_factory=list)
    fails: bool = False
    size: int = 0

    def predict_together(self, rows: list[Row]) -> Prediction:
        self.asked.append(len(rows))
        assert self.may_answer.wait(10)
        if self.fails:
            raise ArithmeticError
        return Prediction(None, torch.tensor([row.numbers for row in rows]))

    def predict(self, rows: Cells) -> Prediction:
        return Prediction(None, rows.numbers)


def read(asked: Asked) -> Question | None:
    """Numbers between blanks: one is a row, several are a table."""
    if asked.body == b"left to others":
        return None
    numbers = [float(word) for word in asked.body.split()]
    if len(numbers) == 1:
        return Question(asked, OPTIONS, Row(numbers, []))
    return Question(asked, OPTIONS, Cells(torch.tensor([numbers]).T, torch.zeros(len(numbers), 0, dtype=torch.int64)))


def tell(question: Question, prediction: Prediction) -> bytes:
    if question.asked.body == b"666":
        raise ValueError
    return " ".join(f"{number:.0f}" for number in prediction.outputs.flatten()).encode()


@pytest.fixture
def company() -> Company:
    return Company(read, tell)


@pytest.fixture
def threads():
    with ThreadPoolExecutor(WAITING + 1) as pool:
        yield pool


def ask_behind_one(
    company: Company, threads: ThreadPoolExecutor, *asked: tuple[Watched, Any]
) -> list[Future[bytes | None]]:
    """The first is being answered, and behind it wait the others."""
    futures = []
    for waiting, (model, body) in enumerate(asked):
        futures.append(threads.submit(company.answer, Asked(model, str(body).encode(), {})))
        wait_for(lambda: len(company._waiting) == waiting and asked[0][0].asked)  # noqa: B023 - it is called here
    return futures


def test_who_waits_behind_one_is_answered_in_blocks_with_its_own_answer(company, threads):
    model = Watched()
    found = ask_behind_one(company, threads, *((model, number) for number in range(WAITING)))
    model.may_answer.set()
    assert [each.result() for each in found] == [b"%d" % number for number in range(WAITING)]
    assert model.asked == [1, FEW_ROWS, FEW_ROWS, 2]


def test_rows_of_different_models_and_tables_are_not_mixed(company, threads):
    model, other = Watched(), Watched()
    bodies = [(model, 0), (other, 1), (model, 2), (other, "3 4 5"), (model, 6), (other, 7), (model, "8 9")]
    found = ask_behind_one(company, threads, *bodies)
    for each in (model, other):
        each.may_answer.set()
    assert [each.result() for each in found] == [str(body).encode() for _, body in bodies]
    assert (model.asked, other.asked) == ([1, 2], [2])


def test_what_is_left_to_others_or_cannot_be_told_is_nothing_to_the_rest(company, threads):
    model = Watched()
    found = ask_behind_one(company, threads, *((model, each) for each in (1, "left to others", "no number", 666, 4)))
    model.may_answer.set()
    assert [each.result() for each in found] == [b"1", None, None, None, b"4"]


def test_a_failure_of_the_model_is_raised_by_one_and_left_to_others_by_the_rest(company, threads):
    model = Watched(fails=True)
    found = ask_behind_one(company, threads, *((model, number) for number in range(4)))
    model.may_answer.set()
    with pytest.raises(ArithmeticError):
        found[0].result()
    raised = [each.exception() for each in found[1:]]
    assert sorted(str(type(each).__name__) for each in raised) == ["ArithmeticError", "NoneType", "NoneType"]
    assert all(each.result() is None for each, error in zip(found[1:], raised, strict=True) if error is None)
    model.fails = False
    assert company.answer(Asked(model, b"5", {})) == b"5", "the turn was given back"


def test_a_large_body_and_a_large_model_wait_for_nobody(company, threads):
    model, large = Watched(), Watched(size=LARGE_MODEL + 1)
    ask_behind_one(company, threads, (model, 0))
    for asked in (Asked(model, b"1 2" + b" " * LARGE_BYTES, {}), Asked(large, b"1 2", {})):
        assert threads.submit(company.answer, asked).result(5) == b"1 2"
    model.may_answer.set()
