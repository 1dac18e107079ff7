import pytest

from store import events
from store.errors import BadCursor


def test_events_are_read_oldest_first_counting_up_by_one(house):
    claim = house.start()
    for epoch in range(1, 4):
        house.record(claim, epoch)
    house.succeed(claim)
    seen, after = [], None
    while True:
        with house.database.read() as tx:
            page = events.page(tx, house.tenant, claim.run_id, limit=2, after=after)
        seen += page.data
        if not page.has_more:
            break
        after = page.next
        assert after == str(seen[-1].seq), "what an event stream has as its id goes on from there"
    assert [event.seq for event in seen] == [1, 2, 3, 4, 5, 6]
    assert [event.type.removeprefix("run.") for event in seen] == [
        "queued",
        "started",
        "progress",
        "progress",
        "progress",
        "succeeded",
    ]
    assert [event.created_at for event in seen] == sorted(event.created_at for event in seen)


def test_after_the_last_event_the_page_is_empty_until_there_is_another(house):
    claim = house.start()
    with house.database.read() as tx:
        assert events.page(tx, house.tenant, claim.run_id, after="2").data == []
    house.record(claim, 1)
    with house.database.read() as tx:
        assert [event.seq for event in events.page(tx, house.tenant, claim.run_id, after="2").data] == [3]
        assert events.told_epoch(tx, claim.run_id) == 1


@pytest.mark.parametrize("after", ["", "-1", "1.5", "x", "²", "1" * 10, " 1", "\0"])
def test_a_malformed_cursor_is_refused(house, after):
    run = house.add_run()
    with house.database.read() as tx, pytest.raises(BadCursor):
        events.page(tx, house.tenant, run.id, after=after)


def test_each_run_counts_for_itself(house):
    first, second = house.add_run(), house.add_run()
    with house.database.write() as tx:
        for run in (first, second, first):
            events.append(tx, run.id, "run.checkpointed", {"epoch": 1})
        for run, count in ((first, 3), (second, 2)):
            assert [event.seq for event in events.page(tx, house.tenant, run.id).data] == list(range(1, count + 1))
