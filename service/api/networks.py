"""Networks over HTTP."""

from typing import Any

from flask import Response
from flask.views import MethodView
from sqlalchemy import Connection

from service import answers, idempotency, preconditions
from service.blueprint import Resource
from service.openapi import IDEMPOTENT
from service.parts import parts, tenant
from service.schemas.networks import NetworkIn, NetworkOut, NetworkPage
from service.schemas.pages import PageQuery
from store import networks

resource = Resource("networks", __name__, url_prefix="/v1/networks", description="Hidden layers under a name")


_NETWORK = NetworkOut()


@resource.route("")
class Networks(MethodView):
    @idempotency.once
    @resource.arguments(NetworkIn, example={"name": "small", "layers": [{"units": 32, "activation": "relu"}]})
    @resource.response(201, NetworkOut)
    @resource.header(IDEMPOTENT)
    def post(self, asked: dict[str, Any]) -> Response:
        """Say a network once, to use it in many runs"""
        with parts().database.write() as tx:
            network = networks.insert(tx, tenant(), name=asked.get("name"), layers=asked["layers"])
            location = {"Location": f"/v1/networks/{network.id}"}
            return idempotency.answer(tx, _NETWORK.dump(network), 201, location)

    @resource.arguments(PageQuery, location="query")
    @resource.response(200, NetworkPage)
    def get(self, query: dict[str, Any]) -> Any:
        """List networks, newest first"""
        with parts().database.read() as tx:
            return networks.page(tx, tenant(), **query)


@resource.route("/<id('net'):id>")
class Network(MethodView):
    @resource.response(200, NetworkOut)
    @resource.conditional
    def get(self, id: str) -> Response:
        """A network"""
        with parts().database.read() as tx:
            return preconditions.answer(answers.tagged(_NETWORK.dump(networks.get(tx, tenant(), id))))

    @resource.response(204)
    @resource.conditional
    def delete(self, id: str) -> Response:
        """Delete a network; runs keep the layers they copied"""
        with parts().database.write() as tx, preconditions.upheld(lambda: _tag(tx, id)):
            networks.delete(tx, tenant(), id)
        return Response(status=204)


def _tag(tx: Connection, id: str) -> str:
    return answers.etag(_NETWORK.dump(networks.get(tx, tenant(), id)))  # it never changes, so it needs no lock
