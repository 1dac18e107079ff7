"""Rows as an Arrow stream, read and written. Imported when the first one comes: pyarrow takes 0.15 s to load.

Nothing is decompressed, and no dictionary is unfolded: a stream takes no more memory here than its own bytes.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from numpy.typing import NDArray
from pyarrow import ipc

from learning.columns import CategoricalColumn, Column, DatetimeColumn, NumericColumn, Table
from service.problems import Invalid, Malformed
from service.serving.slices import check_cells, moved
from service.serving.tables import Input, check_names, table_of

_MOST_COLUMNS = 20_000  # twice as many as a model may have
_LONGEST_TEXT = 1 << 20
_MOST_TEXT_BYTES = 256 << 20  # several texts may be the same bytes
_TEXTS_AT_ONCE = 32  # made Python's: nobody else has its lock meanwhile
_ALLOWED = "numbers, booleans, dates, timestamps, or text, plain or in a dictionary"


def slices(body: bytes, inputs: Sequence[Input], size: int, most: int) -> Iterator[Table]:
    """At most `size` rows at a time.

    Raises Malformed for what is no Arrow stream, and Invalid for columns and values that do not fit the features.
    """
    try:
        found = _read(body, inputs, most)
        columns = {field.name: found[field.name] for field in found.schema if not pa.types.is_null(field.type)}
        for first in range(0, found.num_rows, size):
            part = {name: each.slice(first, size) for name, each in columns.items()}
            rows = min(size, found.num_rows - first)
            try:
                table = table_of({name: _column(name, each) for name, each in part.items()}, inputs, rows)
            except Invalid as error:
                raise moved(error, first) from None
            yield table
    except (pa.ArrowException, OSError, struct.error, UnicodeDecodeError) as error:
        raise Malformed(f"The body is no Arrow stream that can be read: {_first_line(error)}") from None


def _read(body: bytes, inputs: Sequence[Input], most: int) -> pa.Table:
    for message in ipc.MessageReader.open_stream(pa.py_buffer(body)):
        if _is_compressed(message):
            raise Invalid({"instances": "record batches without compression"})
    with ipc.open_stream(pa.py_buffer(body)) as stream:
        if len(stream.schema) > _MOST_COLUMNS:
            raise Invalid({"columns": f"at most the {len(inputs)} features"})
        check_names([field.name for field in stream.schema], inputs, "columns")
        wrong = [field.name for field in stream.schema if not _is_readable(field.type)]
        if wrong:
            raise Invalid({f"columns.{name}": _ALLOWED for name in wrong})
        batches, rows = [], 0
        for batch in stream:
            rows += batch.num_rows
            if rows > most:
                break
            batch.validate(full=True)
            if batch.num_rows:
                batches.append(batch)
        if not 1 <= rows <= most:
            raise Invalid({"instances": f"1 to {most} rows"})
        check_cells(rows, max(len(stream.schema), len(inputs)))  # columns may share their bytes
        _check_texts(batches)
        return pa.Table.from_batches(batches, stream.schema).unify_dictionaries().combine_chunks()


def _check_texts(batches: Sequence[pa.RecordBatch]) -> None:
    """Raises Invalid for one that is too long, or too many that are the same bytes said again and again."""
    bytes_left = _MOST_TEXT_BYTES
    for batch in batches:
        for name, array in zip(batch.schema.names, batch.columns, strict=True):
            texts = array.dictionary if pa.types.is_dictionary(array.type) else array
            if not _is_text(texts.type) or not len(texts):
                continue
            lengths = _lengths(texts)
            if lengths.max() > _LONGEST_TEXT:
                raise Invalid({f"columns.{name}": f"texts of at most {_LONGEST_TEXT} bytes"})
            bytes_left -= int(lengths.sum())
            if bytes_left < 0:
                raise Invalid({"columns": f"texts of {_MOST_TEXT_BYTES} bytes in all"})


def _lengths(texts: pa.Array) -> NDArray[np.int64]:
    """Return how many bytes each text has, 0 for a missing one."""
    if not pa.types.is_string_view(texts.type):
        return np.asarray(pc.fill_null(pc.binary_length(texts), 0).to_numpy(zero_copy_only=False), dtype=np.int64)
    views = np.frombuffer(texts.buffers()[1], "<i4").reshape(-1, 4)  # of which the first is the length
    there = texts.is_valid().to_numpy(zero_copy_only=False)
    return np.where(there, views[texts.offset : texts.offset + len(texts), 0], 0).astype(np.int64)


def _is_compressed(message: ipc.Message) -> bool:
    """Whether the header of a record batch, or the batch in a dictionary's, has its fourth field: how it is compressed.

    The message is a flatbuffer, already verified: a table begins with the distance back to its list of fields.
    """
    metadata = message.metadata.to_pybytes()

    def field(table: int, number: int) -> int | None:
        """Where a table's field stands, if it is there."""
        fields = table - struct.unpack_from("<i", metadata, table)[0]
        place = 4 + 2 * number
        if place >= struct.unpack_from("<H", metadata, fields)[0]:
            return None
        offset = struct.unpack_from("<H", metadata, fields + place)[0]
        return table + offset if offset else None

    def below(place: int) -> int:
        return int(place + struct.unpack_from("<I", metadata, place)[0])

    header = field(below(0), 2)
    if header is None or message.type not in ("record batch", "dictionary"):
        return False
    batch: int | None = below(header)
    if message.type == "dictionary":
        inner = field(below(header), 1)
        batch = None if inner is None else below(inner)
    return batch is not None and field(batch, 3) is not None


def _is_readable(type: pa.DataType) -> bool:
    kinds = pa.types
    if kinds.is_dictionary(type):
        type = type.value_type
    return bool(
        kinds.is_integer(type)
        or kinds.is_floating(type)
        or kinds.is_decimal(type)
        or kinds.is_boolean(type)
        or kinds.is_date(type)
        or kinds.is_timestamp(type)
        or kinds.is_null(type)
        or _is_text(type)
    )


def _is_text(type: pa.DataType) -> bool:
    return bool(pa.types.is_string(type) or pa.types.is_large_string(type) or pa.types.is_string_view(type))


def _column(name: str, chunks: pa.ChunkedArray) -> Column:
    try:
        return _converted(chunks)
    except pa.ArrowInvalid as error:
        allowed = f"values that a float64, or microseconds since 1970, can hold: {_first_line(error)}"
        raise Invalid({f"columns.{name}": allowed}) from None


def _converted(chunks: pa.ChunkedArray) -> Column:
    array = chunks.combine_chunks() if chunks.num_chunks != 1 else chunks.chunk(0)
    type = array.type
    if pa.types.is_dictionary(type):
        if _is_text(type.value_type):
            return _coded(array.indices, array.dictionary)
        array, type = array.dictionary_decode(), type.value_type
    if _is_text(type):
        encoded = array.cast(pa.large_string()).dictionary_encode()
        return _coded(encoded.indices, encoded.dictionary)
    if pa.types.is_boolean(type):
        codes = np.nan_to_num(_doubles(array.cast(pa.int8())), nan=-1.0).astype(np.int64)
        return CategoricalColumn(torch.from_numpy(codes), (False, True))
    if pa.types.is_timestamp(type) or pa.types.is_date(type):
        finer = pa.types.is_timestamp(type) and type.unit == "ns"
        return DatetimeColumn(torch.from_numpy(_doubles(array.cast(pa.timestamp("us"), safe=not finer).cast("int64"))))
    return NumericColumn(torch.from_numpy(_doubles(array)))


def _doubles(array: pa.Array) -> NDArray[np.float64]:
    """NaN where null; a copy, since what Arrow lends may not be written to."""
    return np.array(array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))


def _coded(indices: pa.Array, values: pa.Array) -> CategoricalColumn:
    """Return those of the values that are used.

    A null that stands in the dictionary itself is an empty text, which means the same.
    """
    there = indices.is_valid().to_numpy(zero_copy_only=False)
    used, places = np.unique(_doubles(indices)[there].astype(np.int64), return_inverse=True)
    codes = np.full(len(there), -1, dtype=np.int64)
    codes[there] = places
    chosen = values.take(pa.array(used))
    texts = chain.from_iterable(
        chosen.slice(start, _TEXTS_AT_ONCE).to_pylist() for start in range(0, len(chosen), _TEXTS_AT_ONCE)
    )
    return CategoricalColumn(torch.from_numpy(codes), tuple("" if each is None else each for each in texts))


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]


def written(columns: Mapping[str, Column], told: Mapping[str, str]) -> bytes:
    """Answers as a stream of one batch, null where a number is missing; `told` goes into the schema's metadata."""
    batch = pa.record_batch({name: _array(column) for name, column in columns.items()})
    schema = batch.schema.with_metadata(dict(told))
    out = pa.BufferOutputStream()
    with ipc.new_stream(out, schema) as stream:
        stream.write_batch(batch.replace_schema_metadata(schema.metadata))
    return bytes(out.getvalue().to_pybytes())


def _array(column: Column) -> pa.Array:
    if isinstance(column, CategoricalColumn):
        return pa.array(column.values).take(pa.array(column.codes.numpy()))
    values = column.values.numpy()
    return pa.array(values, mask=np.isnan(values))
