"""Thrift's compact protocol, written: footers of Parquet that no library would write."""

from typing import Any

I32, I64, BINARY, LIST, STRUCT = 5, 6, 8, 9, 12
Struct = list[tuple[int, int, Any]]  # number, type and value of each field


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def zigzag(number: int) -> bytes:
    return varint(2 * number if number >= 0 else -2 * number - 1)


def struct(fields: Struct) -> bytes:
    pieces: list[bytes] = []
    open_ones = [iter(fields)]  # not by recursion, since some are to be deep
    while open_ones:
        field = next(open_ones[-1], None)
        if field is None:
            pieces.append(b"\0")
            open_ones.pop()
            continue
        number, type, value = field
        pieces.append(bytes([type]) + zigzag(number))
        if type == STRUCT:
            open_ones.append(iter(value))
        elif type == LIST:
            pieces.append(b"\xfc" + varint(len(value)) + b"".join(map(struct, value)))
        else:
            pieces.append(varint(len(value)) + value if type == BINARY else zigzag(value))
    return b"".join(pieces)
