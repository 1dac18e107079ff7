import re
import threading
from datetime import UTC, datetime

from store.ids import is_id, new_id


def test_an_id_is_its_prefix_and_26_letters_that_cannot_be_misread():
    assert re.fullmatch(r"run_[0-9a-hjkmnp-tv-z]{26}", new_id("run"))


def test_ids_of_one_process_only_rise_whatever_the_clock_does(monkeypatch):
    early = new_id("run")
    monkeypatch.setattr("store.ids.now", lambda: datetime(1970, 1, 1, tzinfo=UTC))
    later = [new_id("run") for _ in range(1000)]
    assert [early, *later] == sorted({early, *later})


def test_ids_begin_with_their_microsecond_so_those_of_other_processes_sort_among_them(monkeypatch):
    year_2100 = 4_102_444_800_000_000_000
    monkeypatch.setattr("store.ids._latest", 0)
    monkeypatch.setattr("store.ids.now", lambda: datetime(2100, 1, 1, tzinfo=UTC))
    one = new_id("ds")
    number = 0
    for letter in one.removeprefix("ds_"):
        number = number << 5 | "0123456789abcdefghjkmnpqrstvwxyz".index(letter)
    assert number >> 74 == year_2100 // 1000


def test_threads_never_get_the_same_id():
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.extend(new_id("run") for _ in range(500))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({each[:16] for each in found}) == len(found) == 4000, "even their times differ"


def test_only_the_shape_of_an_id_is_an_id():
    assert is_id(new_id("net"))
    for tail in ("", "a" * 25, "a" * 27, "u" * 26, "A" * 26, "\0" + "a" * 25, "a" * 26 + "\n"):
        assert not is_id("run_" + tail)
    assert not is_id("RUN_" + "a" * 26)
