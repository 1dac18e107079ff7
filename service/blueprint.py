"""flask-smorest, made strict: exact media types, strict JSON, and no query parameter that a route does not know."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import wraps
from typing import Any, NoReturn, TypeVar, cast
from urllib.parse import unquote_to_bytes

import flask
from flask_smorest import Blueprint  # type: ignore[import-untyped]
from marshmallow import RAISE, Schema, ValidationError
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.routing import BaseConverter, Map

from service import problems, strict_json
from service.problems import Invalid, Malformed, WrongMedia
from store.models import NAME

SPEC_BYTES = 64 * 1024

IF_MATCH, IF_NONE_MATCH = (
    {
        "in": "header",
        "name": name,
        "description": f"ETags, or `*`: {effect}",
        "schema": {"type": "string"},
    }
    for name, effect in (
        ("If-Match", "412, and nothing done, unless one of them is the current one"),
        ("If-None-Match", "304 to a read, 412 to a change, if one of them is the current one"),
    )
)

View = TypeVar("View", bound=Callable[..., Any])


class Parser(FlaskParser):
    DEFAULT_UNKNOWN_BY_LOCATION = {**FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION, "query": RAISE}  # noqa: RUF012

    def load_json(self, req: flask.Request, schema: Schema) -> dict[str, Any]:
        return read_json(req, may_be_empty=not schema.fields)

    def load_querystring(self, req: flask.Request, schema: Schema) -> dict[str, str]:  # noqa: ARG002
        return read_query(req)

    def handle_error(self, error: ValidationError, *_: Any, **__: Any) -> NoReturn:
        ((_location, messages),) = error.messages.items()  # type: ignore[union-attr]
        raise Invalid(problems.flatten(messages)) from None


def read_json(req: flask.Request, *, may_be_empty: bool = False) -> dict[str, Any]:
    """The body as an object. Raises WrongMedia, Malformed, Invalid, and 413 past the route's limit."""
    body = read_body(req)
    if not body and may_be_empty:
        return {}
    require_json(req)
    if not body:
        raise Malformed("The body is empty; it must be a JSON object.")
    return strict_json.parse(body)


def read_body(req: flask.Request) -> bytes:
    """All of it. Raises 413 past the route's limit."""
    body = req.get_data()
    refuse_rest(req)
    return body


def refuse_rest(req: flask.Request) -> None:
    """Raises 413 where something is left of a body: one of no declared length is cut at the limit without a word."""
    if req.environ["wsgi.input"].read(1):
        raise RequestEntityTooLarge


def require_json(req: flask.Request) -> None:
    require_media(req, "application/json")


def require_media(req: flask.Request, *allowed: str) -> None:
    """Raises WrongMedia for another media type, for text that is not UTF-8, and for any Content-Encoding."""
    charset = req.mimetype_params.get("charset", "utf-8").lower()
    if req.content_encoding not in (None, "", "identity"):
        raise WrongMedia("This address takes no Content-Encoding.")
    if req.mimetype not in allowed or charset not in ("utf-8", "utf8", "us-ascii"):
        sent = req.headers.get("Content-Type", "none")
        raise WrongMedia(f"This address takes {', '.join(allowed)} in UTF-8; the Content-Type sent is {sent!r}.")


def read_query(req: flask.Request) -> dict[str, str]:
    try:
        unquote_to_bytes(req.query_string).decode()
    except UnicodeDecodeError:
        raise Malformed("The query is not UTF-8.") from None
    found: dict[str, str] = {}
    for name, values in req.args.lists():
        if len(values) > 1:
            raise Invalid({name: "given once"})
        found[name] = values[0]
    return found


class Resource(Blueprint):  # type: ignore[misc]  # the library carries no types
    """A blueprint whose every route refuses what it was not told to expect."""

    ARGUMENTS_PARSER = Parser()

    # The library's decorators carry no types; these say that a view keeps its own.

    def arguments(self, schema: type[Schema], **options: Any) -> Callable[[View], View]:
        # One instance for all requests: making one costs more than reading most bodies.
        return cast("Callable[[View], View]", super().arguments(schema(), **options))

    def response(self, status: int, schema: Any = None, **options: Any) -> Callable[[View], View]:
        return cast("Callable[[View], View]", super().response(status, schema, **options))

    def alt_response(self, status: int, **options: Any) -> Callable[[View], View]:
        return cast("Callable[[View], View]", super().alt_response(status, **options))

    def header(self, parameter: Mapping[str, Any]) -> Callable[[View], View]:
        """Tells in the document of a header that the route reads."""

        def decorator(view: View) -> View:
            @wraps(view)
            def telling(*args: Any, **kwargs: Any) -> Any:
                return view(*args, **kwargs)

            told = deepcopy(getattr(view, "_apidoc", {}))
            told.setdefault("arguments", {}).setdefault("parameters", []).append(dict(parameter))
            telling._apidoc = told  # type: ignore[attr-defined]  # noqa: SLF001
            return cast("View", telling)

        return decorator

    def conditional(self, view: View) -> View:
        """Tell in the document that the route reads preconditions: its answer, or what it changes, has an ETag."""
        return self.header(IF_MATCH)(self.header(IF_NONE_MATCH)(view))

    def doc(self, **described: Any) -> Callable[[View], View]:
        return cast("Callable[[View], View]", super().doc(**described))

    def route(self, rule: str, **options: Any) -> Callable[[View], View]:
        return cast("Callable[[View], View]", super().route(rule, **options))

    def add_url_rule(
        self, rule: str, endpoint: str | None = None, view_func: Any = None, *args: Any, **options: Any
    ) -> None:
        if isinstance(view_func, type):
            for method in ("get", "post", "patch", "delete", "put"):
                if view := getattr(view_func, method, None):
                    setattr(view_func, method, _refusing_unknown_parameters(view))
        super().add_url_rule(rule, endpoint, view_func, *args, **options)


def _refusing_unknown_parameters(view: Callable[..., Any]) -> Callable[..., Any]:
    told = getattr(view, "_apidoc", {}).get("arguments", {}).get("parameters", [])
    if any(parameter["in"] == "query" for parameter in told):
        return view  # its own schema refuses them

    @wraps(view)
    def strict(*args: Any, **kwargs: Any) -> Any:
        if unknown := read_query(flask.request):
            raise Invalid(dict.fromkeys(unknown, "unknown parameter; this address takes none"))
        return view(*args, **kwargs)

    return strict


class Name(BaseConverter):
    """Of a model or an alias; what could be none is at no address."""

    regex = rf"(?!\.{{1,2}}(?:/|$)){NAME}"


class Ref(BaseConverter):
    """A model's `name`, `name@alias` or `name:version`."""

    regex = rf"{NAME}(?:@{NAME}|:[1-9][0-9]{{0,8}})?"


class Id(BaseConverter):
    """A path's id: what has not even its shape is at no address, and never reaches the database."""

    def __init__(self, map: Map, prefix: str) -> None:
        super().__init__(map)
        self.prefix = prefix
        self.regex = rf"{prefix}_[0-9a-hjkmnp-tv-z]{{26}}"
