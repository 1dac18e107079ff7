"""What a caller is told about a column once it has been looked at: a code to act on, a sentence to read."""

Notices = list[dict[str, str]]


def notice(column: str, code: str, message: str) -> dict[str, str]:
    return {"column": column, "code": code, "message": f"Column {column!r} {message}."}


def constant(column: str) -> dict[str, str]:
    return notice(column, "constant_column", "is the same in every train row; ignored")
