from itertools import chain

import pytest

from store import finishing, members
from store.errors import BadCursor
from store.members import MemberReport


@pytest.fixture
def claim(house):
    return house.start(members=[{"overrides": {"seed": index}, "fold": index % 2} for index in range(7)])


def value(index, number):
    return MemberReport(index, "running", 3, {"epoch": 2, "metric": "validation.loss", "value": number}, {"x": number})


def test_members_are_what_their_run_is_until_they_end_themselves(house, claim):
    def statuses():
        with house.database.read() as tx:
            return [member.status for member in members.first(tx, house.tenant, claim.run_id, 3)]

    assert statuses() == ["running"] * 3
    house.record(claim, 1, members=[value(0, 1.0), MemberReport(1, "failed", 1, error="non_finite_loss")])
    assert statuses() == ["running", "failed", "running"]
    house.request(claim, "cancel")
    with house.database.write() as tx:
        finishing.acknowledge(tx, claim.run_id, claim.attempt)
    assert statuses() == ["cancelled", "failed", "cancelled"]


def test_a_report_overwrites_what_was_known_of_its_members_and_of_no_other(house, claim):
    house.record(claim, 1, members=[value(0, 1.0), value(2, 2.0)])
    house.record(claim, 2, members=[value(2, 1.5)])
    house.record(claim, 3, members=[])
    with house.database.read() as tx:
        found = members.first(tx, house.tenant, claim.run_id)
    assert [member.best and member.best["value"] for member in found] == [1.0, None, 1.5, None, None, None, None]
    assert [member.last for member in found[:3]] == [{"x": 1.0}, None, {"x": 1.5}]
    assert [(member.index, member.overrides, member.fold) for member in found] == [
        (index, {"seed": index}, index % 2) for index in range(7)
    ]


def test_pages_by_index(house, claim):
    assert _walk(house, claim, "index", 3) == [[0, 1, 2], [3, 4, 5], [6]]


def test_pages_by_value_go_from_the_best_on_ties_by_index_and_those_without_one_last(house, claim):
    house.record(claim, 1, members=[value(6, -1.0), value(1, 5.0), value(3, 0.5), value(4, 5.0)])
    for limit in (1, 2, 3, 100):
        assert list(chain.from_iterable(_walk(house, claim, "value", limit))) == [6, 3, 1, 4, 0, 2, 5]


@pytest.mark.parametrize("sort", ["index", "value"])
@pytest.mark.parametrize("cursor", ["", "x", "WyJhIl0", "\0"])
def test_a_malformed_cursor_is_refused(house, claim, sort, cursor):
    with house.database.read() as tx, pytest.raises(BadCursor):
        members.page(tx, house.tenant, claim.run_id, sort=sort, after=cursor)


def test_a_sort_that_there_is_not_is_refused(house, claim):
    with house.database.read() as tx, pytest.raises(ValueError, match="index or value"):
        members.page(tx, house.tenant, claim.run_id, sort="seed")


def test_a_population_of_thousands_is_made_and_counted(house):
    claim = house.start(members=[{}] * 4096)
    with house.database.read() as tx:
        assert members.count(tx, house.tenant, claim.run_id) == 4096
        assert len(members.first(tx, house.tenant, claim.run_id)) == 100


def _walk(house, claim, sort, limit):
    found, after = [], None
    while True:
        with house.database.read() as tx:
            page = members.page(tx, house.tenant, claim.run_id, limit=limit, after=after, sort=sort)
        found.append([member.index for member in page.data])
        if not page.has_more:
            return found
        after = page.next
