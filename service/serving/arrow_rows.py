"""Rows as an Arrow stream, read and written. Imported when the first one comes: pyarrow takes 0.15 s to load.

Nothing is decompressed, and no dictionary is unfolded: a stream takes no more memory here than its own bytes.
"""

import struct
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import torch
from pyarrow import ipc

from learning.columns import CategoricalColumn, Column, DatetimeColumn, NumericColumn, Table
from service.problems import Invalid, Malformed
from service.serving.tables import Input, check_names, table_of

_ALLOWED = "numbers, booleans, dates, timestamps, or text, plain or in a dictionary"


def table(body: bytes, inputs: Sequence[Input], most: int) -> Table:
    """Raises Malformed for what is no Arrow stream, and Invalid for columns and values that do not fit the features."""
    try:
        found = _read(body, inputs, most)
        columns = {field.name: found[field.name] for field in found.schema if not pa.types.is_null(field.type)}
        return table_of({name: _column(name, each) for name, each in columns.items()}, inputs, found.num_rows)
    except (pa.ArrowException, OSError, struct.error, UnicodeDecodeError) as error:
        raise Malformed(f"The body is no Arrow stream that can be read: {_first_line(error)}") from None


def _read(body: bytes, inputs: Sequence[Input], most: int) -> pa.Table:
    for message in ipc.MessageReader.open_stream(pa.py_buffer(body)):
        if _is_compressed(message):
            raise Invalid({"instances": "record batches without compression"})
    with ipc.open_stream(pa.py_buffer(body)) as stream:
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
            batches.append(batch)
        if not 1 <= rows <= most:
            raise Invalid({"instances": f"1 to {most} rows"})
        return pa.Table.from_batches(batches, stream.schema).unify_dictionaries().combine_chunks()


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


def _doubles(array: pa.Array) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """NaN where null; a copy, since what Arrow lends may not be written to."""
    return np.array(array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False))


def _coded(indices: pa.Array, values: pa.Array) -> CategoricalColumn:
    """A null that stands in the dictionary itself is an empty text, which means the same."""
    codes = np.nan_to_num(_doubles(indices), nan=-1.0).astype(np.int64)
    return CategoricalColumn(
        torch.from_numpy(codes), tuple("" if each is None else each for each in values.to_pylist())
    )


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
