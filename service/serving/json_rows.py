"""Rows in JSON, few or many, some at a time as the cells that a model encodes."""

from collections.abc import Callable, Iterator
from typing import Any

from learning.cells import Cells, Row
from learning.model import Inputs
from service.json_pieces import Pieces, batches
from service.problems import Invalid
from service.serving import number_rows
from service.serving.instances import reader_of
from service.serving.slices import check_cells, moved, sliced

Arranged = Callable[[list[Any], int], list[Any]]  # some rows, and the first's index


def slices(
    instances: "list[Any] | Pieces",
    inputs: Inputs,
    size: int,
    place: str = "instances",
    arrange: Arranged | None = None,
) -> Iterator[Cells | Row]:
    """At most `size` rows at a time; each batch is first as `arrange` makes it.

    Raises Malformed, and Invalid with the index that a row has among all, below `place`.
    """
    check_cells(len(instances), len(inputs), place)
    if arrange is None and isinstance(instances, Pieces) and inputs.are_numbers:
        yield from _of_pieces(instances, inputs, size, place)
        return
    kind: type | None = None
    for first, batch in batches(instances, size):
        rows = batch if arrange is None else arrange(batch, first)
        kind = kind or _kind(rows)
        yield _read(rows, inputs, first, place, kind)


def _of_pieces(instances: Pieces, inputs: Inputs, size: int, place: str) -> Iterator[Cells | Row]:
    kind: type | None = None
    for (_, text), span in zip(instances.texts(), instances.spans, strict=True):
        found = number_rows.read(b'{"instances":[%b]}' % text, inputs, frozenset(("instances",)))
        if found is not None and kind is not dict:
            kind = list
            for rows in sliced(found[1], size):
                assert isinstance(rows, Cells | Row), "cells stay cells"
                yield rows
            continue
        piece = Pieces(instances.body, instances.path, [span], 0)
        for start, batch in batches(piece, size):
            kind = kind or _kind(batch)
            yield _read(batch, inputs, start, place, kind)


def _kind(rows: list[Any]) -> type:
    return dict if isinstance(rows[0], dict) else list


def _read(rows: list[Any], inputs: Inputs, first: int, place: str, kind: type) -> Cells | Row:
    try:
        return reader_of(inputs).read(rows, kind)
    except Invalid as error:
        raise moved(error, first, place) from None
