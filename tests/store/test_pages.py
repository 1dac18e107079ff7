import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store import pages
from store.errors import BadCursor

integers = st.integers(-(2**31), 2**31 - 1)
numbers = st.floats(allow_nan=False, allow_infinity=False)
words = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)


@given(st.lists(integers | numbers | words, min_size=1, max_size=4))
def test_a_cursor_is_the_place_it_was_made_of(place):
    assert pages.decode(pages.encode(*place), *(type(field) for field in place)) == tuple(place)


@given(st.text(max_size=60))
def test_any_other_text_is_a_bad_cursor(text):
    with pytest.raises(BadCursor):
        pages.decode(text, int, str, str, str)


@given(st.lists(integers | words, min_size=1, max_size=3), st.integers(0, 200))
def test_a_cursor_that_was_cut_short_or_spelt_otherwise_is_bad(place, at):
    cursor = pages.encode(*place)
    for other in (cursor[: at % len(cursor)], cursor + "=", cursor + "A", cursor + "\n"):
        with pytest.raises(BadCursor):
            pages.decode(other, *(type(field) for field in place))


@pytest.mark.parametrize("forged", ["[true]", "[1.5]", '["1"]', "[9999999999]", "{}", "1", "[[1]]", "[1,2]", "[NaN]"])
def test_a_cursor_of_another_kind_is_bad(forged):
    assert pages.decode(_packed("[1]"), int) == (1,)
    with pytest.raises(BadCursor):
        pages.decode(_packed(forged), int)


def test_a_page_says_whether_more_follows():
    full = pages.of([1, 2, 3], 2, lambda number: (number,))
    assert (full.data, full.has_more) == ([1, 2], True)
    assert full.next is not None
    assert pages.decode(full.next, int) == (2,)
    assert pages.of([1, 2], 2, lambda number: (number,)) == pages.Page([1, 2], False, None)
    assert pages.of([], 2, lambda number: (number,)) == pages.Page([], False, None)


def _packed(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()
