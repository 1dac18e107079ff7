import pytest
import torch

from learning.categorical import UNITS
from learning.specs import EmbeddingSpec
from learning.vocabulary import LIMIT
from tests.learning.columns import categorical, datetimes, fit, numeric


def zips(*counts, missing=0):
    """A category for each count, in so many rows."""
    codes = [code for code, count in enumerate(counts) for _ in range(count)]
    return categorical(codes + [-1] * missing, [f"{code:04}" for code in range(len(counts))])


def test_at_the_limit_categories_are_one_hot_and_above_it_embedded():
    at, above = fit({"zip": zips(*[2] * LIMIT)}), fit({"zip": zips(*[2] * (LIMIT + 1))})
    assert (at.width, at.embeddings) == (LIMIT + 1, ())
    assert (above.width, above.embeddings) == (1, (EmbeddingSpec(LIMIT + 2, UNITS),))


def test_unknown_and_missing_have_indices_of_their_own():
    preprocessing = fit({"zip": zips(*[2] * 70, missing=3)})
    assert preprocessing.embeddings[0].categories == 72
    request = {"zip": categorical([0, 1, 2, -1], ["0069", "0000", "never seen"])}
    assert preprocessing.encode(request)[:, 0].tolist() == [69.0, 0.0, 70.0, 71.0]


def test_a_missing_value_is_unknown_where_training_saw_none():
    preprocessing = fit({"zip": zips(*[2] * 70)})
    assert preprocessing.encode({"zip": categorical([-1], [])}).tolist() == [[70.0]]


def test_indices_stand_behind_all_other_inputs_in_the_order_of_the_features():
    rows = 140
    table = {
        "zip": categorical([row % 70 for row in range(rows)], [f"{place:02}" for place in range(70)]),
        "x": numeric(*range(rows)),
        "street": categorical([row % 69 for row in range(rows)], [f"s{place:02}" for place in range(69)]),
        "colour": categorical([row % 2 for row in range(rows)], ["blue", "red"]),
    }
    preprocessing = fit(table)
    assert preprocessing.width == 1 + 3 + 2
    assert [each.categories for each in preprocessing.embeddings] == [71, 70]
    encoded = preprocessing.encode(table)
    assert encoded[75, 1:].tolist() == [0.0, 1.0, 0.0, 5.0, 6.0]
    assert encoded[:, 0].double().mean().item() == pytest.approx(0.0, abs=1e-6)


def test_the_categories_of_a_single_row_share_the_unknown_and_a_warning_says_so():
    preprocessing = fit({"zip": zips(*[2] * 68, 1, 1)})
    assert preprocessing.encode({"zip": categorical([0, 1], ["0068", "0069"])})[:, 0].tolist() == [68.0, 68.0]
    (warning,) = preprocessing.warnings
    assert (warning["column"], warning["code"]) == ("zip", "rare_categories")
    assert "70 categories, of which 2" in warning["message"]


@pytest.mark.parametrize(("twice", "ignored"), [(0, True), (3, True), (5, False)])
def test_a_column_that_names_its_rows_is_ignored_with_a_warning(twice, ignored):
    preprocessing = fit({"id": zips(*[1] * 80, *[2] * twice), "x": numeric(*range(80 + 2 * twice))})
    assert preprocessing.width == (1 if ignored else 2)
    assert [each["code"] for each in preprocessing.warnings] == ["identifier_column" if ignored else "rare_categories"]


def test_numbers_may_be_categories_and_times_may_not():
    rows = 140
    column = categorical([row % 70 for row in range(rows)], range(100, 170))
    preprocessing = fit({"code": column})
    assert preprocessing.encode({"code": numeric(100.0, 169.0, 3.0)})[:, 0].tolist() == [0.0, 69.0, 70.0]
    with pytest.raises(Exception, match="holds times") as refusal:
        preprocessing.encode({"code": datetimes("2026-01-01")})
    assert refusal.value.column == "code"


def test_every_index_is_exact_in_a_float32():
    rows = 2 * 20_000
    column = categorical(torch.arange(rows) % 20_000, [f"{place:05}" for place in range(20_000)])
    preprocessing = fit({"zip": column})
    assert preprocessing.embeddings[0].categories == 16_384 + 1
    assert preprocessing.encode({"zip": column})[:20_000, 0].tolist() == [*map(float, range(16_384))] + [16_384.0] * (
        20_000 - 16_384
    )
