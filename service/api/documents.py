"""The way in for people: the root, the OpenAPI document, and a page to try it from."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import orjson
from flask import Blueprint, Flask, Response, make_response, redirect, request
from flask_swagger_ui import get_swaggerui_blueprint

from service import answers, preconditions
from service.problems import PreconditionFailed

# Swagger UI starts itself by a script within its page, and draws with styles within its elements.
_PAGE_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"
)


_CONDITIONS = (
    *("HTTP_IF_MATCH", "HTTP_IF_NONE_MATCH", "HTTP_IF_MODIFIED_SINCE", "HTTP_IF_UNMODIFIED_SINCE"),
    *("HTTP_IF_RANGE", "HTTP_RANGE"),
)


def register(app: Flask, document: Callable[[], dict[str, Any]]) -> None:
    content = orjson.dumps(document())
    etag = answers.etag(content)
    documents = Blueprint("documents", __name__)

    @documents.get("/openapi.json")
    def openapi() -> Response:
        return preconditions.answer(Response(content, headers={"ETag": etag}, content_type=answers.JSON))

    @documents.get("/")
    def root() -> Any:
        return redirect("/docs")

    app.register_blueprint(documents)
    pages = get_swaggerui_blueprint("/docs", "/openapi.json", config={"app_name": "learnd", "validatorUrl": None})

    def restrict(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = _PAGE_POLICY
        return response

    pages.after_request(restrict)
    app.register_blueprint(pages)
    app.view_functions["swagger_ui.show"] = _conditional(app.view_functions["swagger_ui.show"])
    # Without the slash too, so that nobody is sent elsewhere for one character.
    app.add_url_rule("/docs", "swagger_ui.front", app.view_functions["swagger_ui.show"])


def _conditional(view: Callable[..., Any]) -> Callable[..., Response]:
    """Return the view of the library's files, with conditions as everywhere else: whole files, by ETag alone."""

    @wraps(view)
    def show(**arguments: Any) -> Response:
        environ = request.environ
        hidden = {name: environ.pop(name) for name in _CONDITIONS if name in environ}
        try:
            response = make_response(view(**arguments))
        finally:
            environ.update(hidden)
        for name in ("Last-Modified", "Accept-Ranges"):
            response.headers.pop(name, None)
        if "ETag" not in response.headers:
            return response
        try:
            return preconditions.answer(response)
        except PreconditionFailed:
            response.close()
            raise

    return show
