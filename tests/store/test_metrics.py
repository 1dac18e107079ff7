import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from store import chunks, metrics
from store.chunks import Chunk
from store.database import Database
from store.errors import BadCursor
from store.members import MemberReport
from store.thinning import extremes

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


@given(arrays.arrays(np.float32, st.tuples(st.integers(1, 60), st.integers(1, 3)), elements=any_float), st.data())
def test_thinning_keeps_at_most_so_many_and_the_extremes_of_all_that_is_shown(values, data):
    points = data.draw(st.integers(4, 70))
    ends = data.draw(st.lists(st.integers(0, len(values)), min_size=values.shape[1], max_size=values.shape[1]))
    shown = np.arange(len(values))[:, None] < np.array(ends)
    keep = extremes(values, shown, points)
    assert not (keep & ~shown).any()
    for curve in range(values.shape[1]):
        kept, all_of_it = values[keep[:, curve], curve], values[shown[:, curve], curve]
        assert len(kept) <= points
        if len(all_of_it):
            assert keep[0, curve]
            assert keep[ends[curve] - 1, curve]
            if not np.isnan(all_of_it).all():
                assert np.nanmin(kept) == np.nanmin(all_of_it)
                assert np.nanmax(kept) == np.nanmax(all_of_it)


@st.composite
def flushes(draw):
    """A curve [E, K] and ways to cut it into chunks, twice over, as two attempts would."""
    members = draw(st.sampled_from([1, 2, 7, 5000, 20_000]))
    epochs = draw(st.integers(1, 2200 if members < 10 else 8))
    cuts = st.lists(st.integers(1, epochs), max_size=6).map(lambda found: sorted({0, *found, epochs}))
    return draw(st.integers(0, 2**32 - 1)), epochs, members, draw(cuts), draw(cuts)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(flushes())
def test_chunks_come_back_bit_for_bit_however_they_were_cut(sqlite_url, drawn):
    seed, epochs, members, *attempts = drawn
    values = np.random.default_rng(seed).integers(0, 2**32, (epochs, members), dtype=np.uint32).view(np.float32)
    wide = members if seed % 2 else 1  # each member's own steps, or the same for all
    steps = np.arange(1, epochs + 1, dtype=np.int64)[:, None] * np.arange(1, wide + 1) * 2**33
    database = Database(sqlite_url)
    with database.write() as tx:
        tx.exec_driver_sql("PRAGMA defer_foreign_keys=ON")  # there is no such run; nothing of it is committed
        for cuts in attempts:
            for begin, end in pairwise(cuts):
                chunks.write(
                    tx, "tn_local", RUN, [Chunk("train", "loss", begin + 1, steps[begin:end], values[begin:end])]
                )
        query = chunks.metric_chunks.select().order_by(chunks.metric_chunks.c.first_epoch)
        blocks = [chunks.read(row) for row in tx.execute(query).mappings()]
        tx.execute(chunks.metric_chunks.delete())
    database.close()
    assert np.concatenate([block.epochs for block in blocks]).tolist() == list(range(1, epochs + 1))
    assert np.concatenate([block.steps for block in blocks]).tolist() == steps.tolist()
    assert np.concatenate([block.values for block in blocks]).tobytes() == values.tobytes()
    assert max(block.values.nbytes for block in blocks) <= max(64 * 1024, 4 * members), "small to rewrite"
