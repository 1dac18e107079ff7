"""How long a client may take, and how much of this process it may use."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Seconds and bytes; `docs/operations.md` lists them."""

    connections: int = 4_096  # of one process; past it the longest silent one of the busiest address makes room
    head_bytes: int = 128 << 10  # request line and headers
    headers: int = 100
    pipelined: int = 64  # requests that one connection may send ahead of their answers

    head_seconds: float = 10.0  # from a connection's or a head's first moment to the head's end
    idle_seconds: float = 75.0  # between two requests
    body_seconds: float = 20.0  # in each such time a body must bring `body_bytes`, or end
    body_bytes: int = 4 << 10
    write_seconds: float = 30.0  # in which a client must take something of its answer
    grace_seconds: float = 4.0  # for the answers that are under way at a stop
    linger_seconds: float = 2.0  # that a refused client has to read its answer before the connection ends

    body_memory: int = 256 << 10  # of a body; more of it waits in a file
    bodies_memory: int = 32 << 20  # of all bodies of the process; past it all of them wait in files
    answers_memory: int = 64 << 20  # of all answers that are not yet taken; past it the slowest readers are cut off
    drained_bytes: int = 8 << 20  # of a refused body that is read and dropped, so that the connection can go on
