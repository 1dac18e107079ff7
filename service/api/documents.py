"""The way in for people: the root, the OpenAPI document, and a page to try it from."""

from collections.abc import Callable
from typing import Any

import orjson
from flask import Blueprint, Flask, Response, redirect
from flask_swagger_ui import get_swaggerui_blueprint

from service import answers

# Swagger UI starts itself by a script within its page, and draws with styles within its elements.
_PAGE_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"
)


def register(app: Flask, document: Callable[[], dict[str, Any]]) -> None:
    content = orjson.dumps(document())
    documents = Blueprint("documents", __name__)

    @documents.get("/openapi.json")
    def openapi() -> Response:
        return Response(content, content_type=answers.JSON)

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
    # Without the slash too, so that nobody is sent elsewhere for one character.
    app.add_url_rule("/docs", "swagger_ui.front", app.view_functions["swagger_ui.show"])
