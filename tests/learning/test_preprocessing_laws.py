"""What holds for every table, with columns of every kind."""

import json

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learning.columns import take
from learning.preprocessing import Preprocessing
from tests.learning.columns import SCALINGS, fit, tables


@settings(deadline=None)
@given(tables(), st.data(), st.sampled_from(SCALINGS))
def test_a_row_alone_has_the_bytes_it_has_among_many(table, data, scaling):
    preprocessing = fit(table, scaling=scaling)
    encoded = preprocessing.encode(table)
    row = data.draw(st.integers(0, len(encoded) - 1))
    alone = preprocessing.encode({name: take(column, slice(row, row + 1)) for name, column in table.items()})
    assert alone.numpy().tobytes() == encoded[row : row + 1].numpy().tobytes()
    assert encoded.shape[1] == preprocessing.width
    assert bool(encoded.isfinite().all())


@settings(deadline=None)
@given(tables(), st.sampled_from(SCALINGS))
def test_json_gives_back_the_same_preprocessing_in_whatever_order_its_keys_are_kept(table, scaling):
    rows = torch.arange(next(iter(table.values())).rows)
    for found in (fit(table, scaling=scaling), fit(table, rows[::2], scaling, among=rows)):
        again = Preprocessing.from_json(json.loads(json.dumps(found.to_json(), sort_keys=True)))
        assert again == found
        assert again.encode(table).equal(found.encode(table))


@settings(deadline=None)
@given(tables(), st.sampled_from(SCALINGS))
def test_the_last_columns_are_the_indices_of_the_embedded_and_every_index_has_its_place(table, scaling):
    preprocessing = fit(table, scaling=scaling)
    encoded = preprocessing.encode(table)
    dense = preprocessing.width - len(preprocessing.embeddings)
    for column, embedding in zip(encoded[:, dense:].unbind(1), preprocessing.embeddings, strict=True):
        assert column.equal(column.long().float())
        assert int(column.min()) >= 0
        assert int(column.max()) < embedding.categories


@settings(deadline=None)
@given(tables(), st.data(), st.sampled_from(SCALINGS))
def test_every_fold_has_the_inputs_of_all_of_them_and_its_own_numbers(table, data, scaling):
    among = torch.arange(next(iter(table.values())).rows)
    rows = among[data.draw(st.integers(0, 1)) :: 2]
    whole, fold = fit(table, among, scaling), fit(table, rows, scaling, among=among)
    assert fold.width == whole.width
    assert fold.embeddings == whole.embeddings
    assert fold.warnings == whole.warnings
    assert [each.width for each in fold.fitted] == [each.width for each in whole.fitted]
    assert bool(fold.encode(table).isfinite().all())


@settings(deadline=None)
@given(tables(), st.sampled_from(SCALINGS))
def test_a_fold_of_all_rows_is_the_same_as_no_fold(table, scaling):
    rows = torch.arange(next(iter(table.values())).rows)
    assert fit(table, rows, scaling, among=rows.clone()) == fit(table, rows, scaling)
