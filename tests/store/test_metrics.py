import math
import shutil
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sqlalchemy import func, select

from store import chunks, metrics, tenants
from store.chunks import Chunk, Place
from store.database import Database
from store.errors import BadCursor
from store.members import MemberReport
from store.thinning import extremes, stretch
from store.tiers import open_tier, sealed_tier
from tests.store.conftest import House

RUN = "run_" + "0" * 26
any_float = st.floats(width=32)


def walk(house, run_id, limit=1000, **filters):
    """All rows, page by page."""
    rows, after = [], None
    while True:
        with house.database.read() as tx:
            page = metrics.page(tx, house.tenant, run_id, limit=limit, after=after, **filters)
        rows += page.data
        assert len(page.data) == limit or not page.has_more
        if not page.has_more:
            return rows
        after = page.next


def places(rows):
    return [(row["epoch"], row["member"], row["split"], row["name"]) for row in rows]


def test_rows_go_by_epoch_member_split_and_name(house, chunk):
    claim = house.start(members=[{}, {}])
    house.record(
        claim,
        2,
        chunks=[
            chunk("validation", "loss", 1, [[1, 2], [3, 4]], steps=[5, 10]),
            chunk("train", "loss", 1, [[5, 6], [7, 8]], steps=[5, 10]),
            chunk("validation", "accuracy", 1, [[0.25, 0.5], [0.75, 1]], steps=[5, 10]),
        ],
    )
    rows = walk(house, claim.run_id)
    assert places(rows) == sorted(places(rows))
    assert len(rows) == 12
    assert rows[0] == {"member": 0, "epoch": 1, "step": 5, "split": "train", "name": "loss", "value": 5.0}
    assert rows[-2] == {"member": 1, "epoch": 2, "step": 10, "split": "validation", "name": "accuracy", "value": 1.0}
    for limit in (1, 2, 5, 12):
        assert walk(house, claim.run_id, limit) == rows
    assert walk(house, claim.run_id, member=1) == [row for row in rows if row["member"] == 1]
    assert walk(house, claim.run_id, 2, split="validation", name="loss") == [
        row for row in rows if (row["split"], row["name"]) == ("validation", "loss")
    ]
    assert walk(house, claim.run_id, member=2) == walk(house, claim.run_id, name="\0") == []


def test_what_is_not_finite_says_so(house, chunk):
    claim = house.start()
    house.record(claim, 4, chunks=[chunk("train", "loss", 1, [[1.5], [math.nan], [math.inf], [-math.inf]])])
    rows = walk(house, claim.run_id)
    assert [row["value"] for row in rows] == [1.5, None, None, None]
    assert [row.get("finite") for row in rows] == [None, False, False, False]


def test_a_member_that_has_ended_has_no_rows_after_its_last_epoch(house, chunk):
    claim = house.start(members=[{}, {}])
    ended = MemberReport(1, "failed", 2, error="non_finite_loss")
    house.record(claim, 3, chunks=[chunk("train", "loss", 1, [[1, 2], [3, math.nan], [4, math.nan]])], members=[ended])
    assert places(walk(house, claim.run_id)) == [
        (epoch, member, "train", "loss") for epoch, member in ((1, 0), (1, 1), (2, 0), (2, 1), (3, 0))
    ]


def test_an_attempt_that_starts_again_overwrites_whatever_way_it_flushes(house, chunk):
    values = np.arange(5000, dtype=np.float32).reshape(2500, 2)
    claim = house.start(members=[{}, {}])
    for first, last in ((0, 1), (1, 700), (700, 2000)):
        house.record(claim, last, chunks=[chunk("train", "loss", first + 1, values[first:last])])
    before = walk(house, claim.run_id)
    for first, last in ((0, 3), (3, 1025), (1025, 1026), (1026, 2500)):
        house.record(claim, last, chunks=[chunk("train", "loss", first + 1, values[first:last])])
        assert walk(house, claim.run_id)[: len(before)] == before, "what could be read stays as it was"
    assert [row["value"] for row in walk(house, claim.run_id)] == values.ravel().tolist()


def test_epochs_that_nobody_wrote_have_no_rows(house, chunk):
    claim = house.start()
    house.record(claim, 9, chunks=[chunk("train", "loss", 3, [[3]]), chunk("train", "loss", 3000, [[1], [2]])])
    assert [row["epoch"] for row in walk(house, claim.run_id)] == [3, 3000, 3001]


@pytest.mark.parametrize("cursor", ["", "x", "WzFd", "WyJhIl0"])
def test_a_malformed_cursor_is_refused(house, cursor):
    run = house.add_run()
    with house.database.read() as tx, pytest.raises(BadCursor):
        metrics.page(tx, house.tenant, run.id, after=cursor)


def test_a_wide_population_is_paged_through_its_epochs(house, chunk):
    claim = house.start(members=[{}] * 3000)
    values = np.arange(21_000, dtype=np.float32).reshape(7, 3000)
    house.record(claim, 7, chunks=[chunk("train", "loss", 1, values)])
    assert [row["value"] for row in walk(house, claim.run_id)] == values.ravel().tolist()


def test_thinned_curves_keep_their_ends_and_every_extreme(house, chunk):
    claim = house.start(members=[{}, {}])
    values = np.random.default_rng(0).normal(size=(3000, 2)).astype(np.float32)
    house.record(claim, 3000, chunks=[chunk("train", "loss", 1, values), chunk("validation", "loss", 1, values * 2)])
    rows = walk(house, claim.run_id, points=50)
    assert places(rows) == sorted(places(rows))
    whole = walk(house, claim.run_id)
    assert [row for row in whole if row in rows] == rows
    for member in (0, 1):
        curve = [row for row in rows if row["member"] == member and row["split"] == "train"]
        assert len(curve) <= 50
        assert {1, 3000, *(values[:, member].argmin() + 1, values[:, member].argmax() + 1)} <= {
            r["epoch"] for r in curve
        }
    assert walk(house, claim.run_id, 7, points=50, member=1) == [row for row in rows if row["member"] == 1]
    assert walk(house, claim.run_id, points=3000) == whole


@given(
    arrays.arrays(np.float32, st.tuples(st.integers(1, 60), st.integers(1, 3)), elements=any_float),
    st.integers(1, 70),
    st.data(),
)
def test_thinning_keeps_two_of_a_stretch_and_the_extremes_of_what_is_shown_of_it(values, each, data):
    ends = data.draw(st.lists(st.integers(0, len(values)), min_size=values.shape[1], max_size=values.shape[1]))
    shown = np.arange(len(values))[:, None] < np.array(ends)
    keep = extremes(values, shown, each)
    assert not (keep & ~shown).any()
    for start in range(0, len(values), each):
        for curve in range(values.shape[1]):
            here = slice(start, start + each), curve
            kept, all_of_it = values[here][keep[here]], values[here][shown[here]]
            assert len(kept) <= 2
            assert (len(kept) > 0) == (len(all_of_it) > 0)
            if not np.isnan(all_of_it).all():
                assert np.nanmin(kept) == np.nanmin(all_of_it)
                assert np.nanmax(kept) == np.nanmax(all_of_it)


def test_thinned_or_not_a_page_that_begins_in_the_middle_goes_on_as_the_whole_does(house, chunk):
    """Over members that ended, several series, and epochs both sealed and open."""
    claim = house.start(members=[{}] * 300)
    values = np.random.default_rng(1).normal(size=(1100, 300)).astype(np.float32)
    values[500:, 7] = np.nan
    ended = MemberReport(7, "failed", 500, error="non_finite_loss")
    both = [chunk("train", "loss", 1, values), chunk("validation", "loss", 1, -values)]
    house.record(claim, 1100, chunks=both, members=[ended])
    for member, points in ((7, None), (7, 90), (299, 90), (0, 4), (3, 1100)):
        whole = walk(house, claim.run_id, member=member, points=points)
        assert walk(house, claim.run_id, 101, member=member, points=points) == whole
        last = 500 if member == 7 else 1100
        assert (whole[0]["epoch"], whole[-1]["epoch"]) == (1, last)
        curve = [row["value"] for row in whole if row["split"] == "train"]
        assert len(curve) <= (points or 1100)
        assert min(curve) == values[:last, member].min()
        assert max(curve) == values[:last, member].max()


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_pages_of_thinned_curves_show_what_thinning_the_whole_curve_keeps(thinned, data):
    house, run_id, values, ends = thinned
    member = data.draw(st.integers(0, values.shape[1] - 1))
    points, limit = data.draw(st.integers(4, 950)), data.draw(st.integers(20, 1000))
    shown = np.arange(1, len(values) + 1)[:, None] <= ends[member]
    keep = shown.copy()
    if points < len(values):
        keep = extremes(values[:, [member]], shown, stretch(len(values), points))
        keep[[0, ends[member] - 1]] = True
    rows = walk(house, run_id, limit, member=member, points=points, name="loss")
    assert [row["epoch"] for row in rows] == (np.flatnonzero(keep[:, 0]) + 1).tolist()
    assert len(rows) <= points
    told = np.array([row["value"] for row in rows], dtype=np.float32)  # null is NaN
    assert np.array_equal(told, np.where(np.isfinite(values), values, np.nan)[keep[:, 0], member], equal_nan=True)


@pytest.fixture(scope="module")
def thinned(sqlite_template, tmp_path_factory):
    """Curves with ties, infinities and holes, of members of which some ended, in sealed blocks and in open ones."""
    path = tmp_path_factory.mktemp("thinned") / "learnd.db"
    shutil.copy(sqlite_template, path)
    database = Database(f"sqlite:///{path}")
    house = House(database, tenants.LOCAL)
    numbers = np.random.default_rng(5)
    values = numbers.integers(0, 50, (900, 40)).astype(np.float32)
    values[numbers.random(values.shape) < 0.1] = np.nan
    values[numbers.random(values.shape) < 0.02] = np.inf
    ends = [900 if member % 3 else 20 * member + 1 for member in range(40)]
    claim = house.start(members=[{}] * 40)
    ended = [MemberReport(member, "failed", end) for member, end in enumerate(ends) if end < 900]
    steps = np.arange(900, dtype=np.int64)[:, None]
    for first, last in pairwise((0, 300, 850, 900)):
        part = slice(first, last)
        chunk = Chunk("train", "loss", first + 1, steps[part], values[part])
        house.record(claim, last, chunks=[chunk, replace(chunk, name="r2")], members=ended)
    yield house, claim.run_id, values, ends
    database.close()


def test_the_extremes_that_are_kept_are_the_same_for_one_member_and_for_all(house, chunk, monkeypatch):
    monkeypatch.setattr(metrics, "_AT_ONCE", 1000)
    claim = house.start(members=[{}] * 40)
    values = np.random.default_rng(2).integers(0, 9, (200, 40)).astype(np.float32)  # with ties
    house.record(claim, 200, chunks=[chunk("train", "loss", 1, values), chunk("train", "r2", 1, values)])
    every = walk(house, claim.run_id, points=10)
    assert places(every) == sorted(places(every))
    for member in (0, 17, 39):
        assert walk(house, claim.run_id, 7, points=10, member=member) == [r for r in every if r["member"] == member]


@pytest.mark.parametrize("count", [1, 16, 33, 100, 300, 4096, 20_000])
def test_a_member_is_read_from_little_however_many_there_are(count):
    sealed, wide = sealed_tier(count), open_tier(count)
    assert wide.stretch * count <= max(16_384, count), "little to rewrite when an epoch is added"
    if sealed is None:
        assert wide.stretch > 512
        return
    assert sealed.stretch % wide.stretch == 0, "whole open blocks are moved"
    assert sealed.stretch * sealed.width <= 2048
    assert sealed.stretch * count <= 2**17 or count > 16_384, "little to move at once"


@st.composite
def flushes(draw):
    """A curve [E, K] and ways to cut it into chunks, as several attempts would that go on from where one before was."""
    members = draw(st.sampled_from([1, 2, 40, 300, 5000]))
    epochs = draw(st.integers(1, {5000: 60, 300: 900}.get(members, 2200)))
    attempts = []
    for start in [0, *draw(st.lists(st.integers(0, epochs - 1), max_size=2))]:
        stop = draw(st.integers(start + 1, epochs))
        cuts = draw(st.lists(st.integers(start, stop), max_size=6))
        attempts.append(sorted({start, *cuts, stop}))
    attempts.append(sorted({0, *draw(st.lists(st.integers(0, epochs), max_size=6)), epochs}))
    return draw(st.integers(0, 2**32 - 1)), epochs, members, draw(st.permutations(attempts))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(flushes())
def test_chunks_come_back_bit_for_bit_however_they_were_cut_and_repeated(sqlite_url, drawn):
    seed, epochs, members, attempts = drawn
    numbers = np.random.default_rng(seed)
    values = numbers.normal(size=(epochs, members)).astype(np.float32).astype(np.float64)
    values[numbers.random(values.shape) < 0.1] = np.nan
    if seed % 3 == 0:  # past float32, in some of the blocks
        values[numbers.random(values.shape) < 0.01] *= 1e200
    wide = members if seed % 2 else 1  # each member's own steps, or the same for all
    steps = np.arange(1, epochs + 1, dtype=np.int64)[:, None] * np.arange(1, wide + 1) * 2**33
    place = Place("tn_local", RUN, members)
    database = Database(sqlite_url)
    with database.write() as tx:
        tx.exec_driver_sql("PRAGMA defer_foreign_keys=ON")  # there is no such run; nothing of it is committed
        for cuts in attempts:
            for begin, end in pairwise(cuts):
                chunk = Chunk("train", "loss", begin + 1, steps[begin:end], values[begin:end])
                chunks.write(tx, "tn_local", RUN, [chunk, replace(chunk, name="r2", values=-chunk.values)])
        found = chunks.read(tx, place, range(1, epochs + 1), range(members))
        some = range(members // 3, members - members // 3)
        part = chunks.read(tx, replace(place, name="loss"), range(1 + epochs // 3, epochs + 1), some)
        ends = chunks.last_epochs(tx, place)
        sizes = [len(row) for (row,) in tx.execute(select(chunks.metric_chunks.c["values"]))]
        tx.execute(chunks.metric_chunks.delete())
    database.close()
    assert ends == {("train", "loss"): epochs, ("train", "r2"): epochs}
    whole = found["train", "loss"]
    assert whole.steps.tobytes() == np.broadcast_to(steps, values.shape).tobytes()
    assert whole.values.tobytes() == values.tobytes()
    assert found["train", "r2"].values.tobytes() == (-values).tobytes()
    assert part["train", "loss"].values.tobytes() == values[epochs // 3 :, some.start : some.stop].tobytes()
    assert max(sizes) <= 1 + 2 * max(64 * 1024, 4 * members), "small to rewrite"
    if seed % 3:
        assert max(sizes) <= max(64 * 1024, 4 * members), "ordinary numbers take four bytes"


def test_what_is_complete_is_sealed_as_more_is_written_and_no_flush_moves_much(house, chunk):
    count, series = 1000, 4
    claim = house.start(members=[{}] * count)
    values = np.random.default_rng(3).normal(size=(600, count)).astype(np.float32)
    sealed = sealed_tier(count)
    before, moved = 0, []
    for epoch in range(1, 601, 10):
        flush = [chunk("train", f"m{number}", epoch, values[epoch - 1 : epoch + 9]) for number in range(series)]
        house.record(claim, epoch + 9, chunks=flush)
        after = _rows_of(house, sealed)
        moved.append(after - before)
        before = after
    tiles = -(-count // sealed.width)
    assert set(moved) == {0, tiles}, "one series at a time"
    assert before == 600 // sealed.stretch * series * tiles, "nothing complete is left behind"
    assert [row["value"] for row in walk(house, claim.run_id, member=999, name="m3")] == values[:, 999].tolist()


def _rows_of(house, tier):
    with house.database.read() as tx:
        query = select(func.count()).select_from(chunks.metric_chunks)
        return tx.execute(query.where(chunks.metric_chunks.c.stretch == tier.stretch)).scalar()


def test_after_a_resume_what_was_sealed_is_overwritten(house, chunk):
    count = 1000
    claim = house.start(members=[{}] * count)
    first = np.zeros((300, count), dtype=np.float32)
    house.record(claim, 300, chunks=[chunk("train", "loss", 1, first)])
    for start, stop in ((100, 130), (130, 131), (131, 299)):
        house.record(claim, stop, chunks=[chunk("train", "loss", start + 1, first[start:stop] + 1)])
        found = [row["value"] for row in walk(house, claim.run_id, member=5)]
        assert found == [0.0] * 100 + [1.0] * (stop - 100) + [0.0] * (300 - stop)
