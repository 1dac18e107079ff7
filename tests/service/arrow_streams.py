"""Tables as the bytes of an Arrow stream."""

import io
from typing import Any

import pyarrow as pa
from pyarrow import ipc


def stream_of(table: pa.Table, **options: Any) -> bytes:
    out = io.BytesIO()
    with ipc.new_stream(out, table.schema, options=ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return out.getvalue()
