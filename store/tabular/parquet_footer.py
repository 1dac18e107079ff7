"""What a Parquet file says of itself, read by a reader of our own before a library sees it.

A footer is Thrift's compact protocol: a few bytes may claim millions of columns, or be nested so deep that a library
that reads it by recursion ends its process. Nothing here is believed that the file has no room for.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from store.errors import UnreadableTable

_MAGIC = b"PAR1"
_TAIL = 8  # the footer's length and the magic
_MOST_BYTES = 64 << 20
_MOST_CHUNKS = 200_000
_DEEPEST = 16
_REPEATED = 2
_BYTE_ARRAY = 6
_PAGE_HEAD = 64  # its size stands near its beginning
_BOOLEANS, _BYTE, _INTEGERS, _DOUBLE, _BINARY, _LISTS, _MAP, _STRUCT = (1, 2), 3, (4, 5, 6), 7, 8, (9, 10), 11, 12


class BrokenFooter(UnreadableTable):
    """Bytes that are no Parquet, or contradict themselves."""

    def __init__(self, why: str) -> None:
        super().__init__(f"the file cannot be read as Parquet: {why}")


@dataclass(frozen=True)
class Footer:
    """The columns and rows of a flat table, and how large it is.

    `size` is what its values take as numbers or as the file says, `text` the most that its texts can take when each
    row has its own, which a dictionary spares the file.
    """

    names: tuple[str, ...]
    rows: int
    size: int
    text: int


def read_footer(path: Path, *, max_rows: int, max_columns: int) -> Footer:
    """Raise UnreadableTable for what is broken, nested, or over the limits, before much of it is read."""
    with path.open("rb") as file:
        length, content = _footer(file)
        found = _metadata(_Reader(content), max_columns)
        if found.rows > max_rows:
            raise UnreadableTable(f"{found.rows} rows, more than {max_rows}")
        _check(found, length - _TAIL - len(content))
        text = sum(_text_of(file, chunk) for group in found.groups for chunk in group.chunks)
    inflated = sum(chunk.inflated for group in found.groups for chunk in group.chunks)
    # A run of one value packs 50 million cells into some bytes.
    return Footer(found.names, found.rows, max(inflated, found.rows * len(found.names) * 8), text)


@dataclass
class _Chunk:
    rows: int = -1
    inflated: int = -1
    packed: int = -1
    data_at: int = -1
    dictionary_at: int = -1
    type: int = -1

    @property
    def begins(self) -> int:
        return min(self.data_at, self.dictionary_at) if self.dictionary_at > 0 else self.data_at


@dataclass(frozen=True)
class _Group:
    rows: int
    chunks: list[_Chunk]


@dataclass(frozen=True)
class _Metadata:
    names: tuple[str, ...]
    rows: int
    groups: list[_Group]


def _footer(file: BinaryIO) -> tuple[int, bytes]:
    """Return the file's length, and its footer."""
    begin = file.read(len(_MAGIC))
    length = file.seek(0, 2)
    if length < len(_MAGIC) + _TAIL:
        raise BrokenFooter("it is too short")
    file.seek(-_TAIL, 2)
    tail = file.read(_TAIL)
    if begin != _MAGIC or tail[4:] != _MAGIC:
        raise BrokenFooter("it does not begin and end as Parquet does, or is encrypted, or cut short")
    size = int.from_bytes(tail[:4], "little")
    if not 0 < size <= length - len(_MAGIC) - _TAIL:
        raise BrokenFooter("its footer has no place in it")
    if size > _MOST_BYTES:
        raise BrokenFooter(f"its footer takes more than {_MOST_BYTES} bytes")
    file.seek(-_TAIL - size, 2)
    return length, file.read(size)


def _metadata(reader: "_Reader", max_columns: int) -> _Metadata:
    names: tuple[str, ...] = ()
    rows = -1
    groups: list[_Group] = []
    for field, type in reader.fields(2, 3, 4):
        match field:
            case 2:
                names = _schema(reader, type, max_columns)
            case 3:
                rows = reader.integer(type)
            case 4:
                groups = _groups(reader, type, len(names))
    return _Metadata(names, rows, groups)


def _schema(reader: "_Reader", type: int, max_columns: int) -> tuple[str, ...]:
    count = reader.structs(type)
    if count > max_columns + 1:
        raise UnreadableTable(f"{count - 1} columns, more than {max_columns}")
    names: list[str] = []
    expected = 0
    for place in range(count):
        name, children, repetition = "", 0, 0
        for field, type_of_it in reader.fields(3, 4, 5):
            match field:
                case 3:
                    repetition = reader.integer(type_of_it)
                case 4:
                    name = reader.text(type_of_it)
                case 5:
                    children = reader.integer(type_of_it)
        if place and (children or repetition == _REPEATED):
            raise UnreadableTable(f"the column {name!r} is nested; only flat columns can be read", column=name)
        if not place:
            expected = children
        names.append(name)
    if expected != count - 1:
        raise BrokenFooter("its schema does not have the columns that it says")
    if len(names) < 2:
        raise UnreadableTable("there is no column in the file")
    return tuple(names[1:])  # the first is the root


def _groups(reader: "_Reader", type: int, columns: int) -> list[_Group]:
    count = reader.structs(type)
    if count * columns > _MOST_CHUNKS:
        raise UnreadableTable(
            f"{count} row groups of {columns} columns; row groups times columns may be {_MOST_CHUNKS} at most"
        )
    groups = []
    for _ in range(count):
        rows = -1
        chunks: list[_Chunk] = []
        for field, type_of_it in reader.fields(1, 3):
            if field == 3:
                rows = reader.integer(type_of_it)
            else:
                found = reader.structs(type_of_it)
                if found != columns:
                    raise BrokenFooter("a row group does not have the columns of the schema")
                chunks = [_chunk(reader) for _ in range(found)]
        groups.append(_Group(rows, chunks))
    return groups


def _chunk(reader: "_Reader") -> _Chunk:
    chunk = _Chunk()
    for field, type in reader.fields(1, 3):
        if field == 1:
            raise BrokenFooter("a column is said to be in another file")
        if type != _STRUCT:
            raise BrokenFooter("its footer is not of the kind")
        for inner, type_of_it in reader.fields(1, 5, 6, 7, 9, 11):
            value = reader.integer(type_of_it)
            match inner:
                case 1:
                    chunk.type = value
                case 5:
                    chunk.rows = value
                case 6:
                    chunk.inflated = value
                case 7:
                    chunk.packed = value
                case 9:
                    chunk.data_at = value
                case 11:
                    chunk.dictionary_at = value
    return chunk


def _check(found: _Metadata, end: int) -> None:
    """Raise BrokenFooter for what does not add up, or has no place before the footer."""
    if found.rows < 0 or sum(group.rows for group in found.groups) != found.rows:
        raise BrokenFooter("its row groups do not have the rows that it says")
    packed = 0
    for group in found.groups:
        if group.rows < 0 or not group.chunks:
            raise BrokenFooter("a row group is not complete")
        for chunk in group.chunks:
            if chunk.rows != group.rows or chunk.inflated < 0 or chunk.packed < 0:
                raise BrokenFooter("a column does not have as many values as there are rows")
            if group.rows and not len(_MAGIC) <= chunk.begins <= chunk.begins + chunk.packed <= end:
                raise BrokenFooter("a column has no place in it")
            packed += chunk.packed
    if packed > end:
        raise BrokenFooter("its columns share bytes")


def _text_of(file: BinaryIO, chunk: _Chunk) -> int:
    """Return the most that the texts of a column chunk can take unfolded, by the size of its dictionary."""
    if chunk.type != _BYTE_ARRAY or chunk.dictionary_at <= 0:
        return max(0, chunk.inflated)
    file.seek(chunk.dictionary_at)
    reader = _Reader(file.read(_PAGE_HEAD))
    for field, type in reader.fields(2):
        if field == 2:
            size = reader.integer(type)
            return max(0, size, chunk.inflated, size * chunk.rows)
    return 0


class _Reader:
    """Thrift's compact protocol, from one end to the other."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0
        self._depth = 0

    def fields(self, *wanted: int) -> Iterator[tuple[int, int]]:
        """Go through a struct: yield number and type of each wanted field, whose value is then to be read."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise BrokenFooter("its footer is nested too deep")
        number, seen = 0, 0
        while head := self._byte():
            type, step = head & 15, head >> 4
            number = number + step if step else self._zigzag()
            if number in wanted:
                if seen >> number & 1:
                    raise BrokenFooter("its footer says a thing twice")
                seen |= 1 << number
                yield number, type
            else:
                self._skip(type)
        self._depth -= 1

    def integer(self, type: int) -> int:
        if type not in _INTEGERS:
            raise BrokenFooter("its footer is not of the kind")
        return self._zigzag()

    def text(self, type: int) -> str:
        if type != _BINARY:
            raise BrokenFooter("its footer is not of the kind")
        try:
            return self._bytes(self._varint()).decode()
        except UnicodeDecodeError:
            raise BrokenFooter("a column's name is not UTF-8") from None

    def structs(self, type: int) -> int:
        """Return how many structs follow."""
        inner, count = self._list(type)
        if inner != _STRUCT and count:
            raise BrokenFooter("its footer is not of the kind")
        return count

    def _list(self, type: int) -> tuple[int, int]:
        if type not in _LISTS:
            raise BrokenFooter("its footer is not of the kind")
        head = self._byte()
        count = head >> 4
        return head & 15, self._fitting(self._varint() if count == 15 else count)

    def _skip(self, type: int) -> None:
        if type in _INTEGERS:
            self._varint()
        elif type == _BINARY:
            self._bytes(self._varint())
        elif type == _STRUCT:
            for _ in self.fields():
                pass
        elif type in _LISTS:
            self._skip_list(type)
        elif type == _MAP:
            self._skip_map()
        elif type in (_BYTE, _DOUBLE):
            self._bytes(1 if type == _BYTE else 8)
        elif type not in _BOOLEANS:  # which a struct's head already tells
            raise BrokenFooter("its footer is not Thrift")

    def _skip_list(self, type: int) -> None:
        inner, count = self._list(type)
        if inner in (*_BOOLEANS, _BYTE):
            self._bytes(count)
        else:
            self._skip_many(inner, count)

    def _skip_map(self) -> None:
        if count := self._fitting(self._varint()):
            types = self._byte()
            for _ in range(count):
                self._skip_many(types >> 4, 1)
                self._skip_many(types & 15, 1)

    def _skip_many(self, type: int, count: int) -> None:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise BrokenFooter("its footer is nested too deep")
        for _ in range(count):
            if type in _BOOLEANS:  # which take a byte within lists and maps
                self._byte()
            else:
                self._skip(type)
        self._depth -= 1

    def _fitting(self, count: int) -> int:
        """Return a number of things of a byte or more, if there is room for them."""
        if count > len(self._content) - self._at:
            raise BrokenFooter("its footer is cut short")
        return count

    def _byte(self) -> int:
        try:
            byte = self._content[self._at]
        except IndexError:
            raise BrokenFooter("its footer is cut short") from None
        self._at += 1
        return byte

    def _bytes(self, count: int) -> bytes:
        begin = self._at
        self._at += self._fitting(count)
        return self._content[begin : self._at]

    def _varint(self) -> int:
        content, at = self._content, self._at
        value = shift = 0
        try:
            while (byte := content[at]) > 127:
                value |= (byte & 127) << shift
                at, shift = at + 1, shift + 7
                if shift > 63:
                    raise BrokenFooter("its footer is not Thrift")
        except IndexError:
            raise BrokenFooter("its footer is cut short") from None
        self._at = at + 1
        return value | byte << shift

    def _zigzag(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)
