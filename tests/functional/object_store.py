"""An S3 server of a test's own, behind a proxy that can be told to hang: it accepts, and never answers."""

import socket
import threading
import time
from contextlib import suppress

from moto.server import ThreadedMotoServer

BUCKET = "learnd"


class ObjectStore:
    """`hangs` is whether what is asked from now on is left without an answer."""

    def __init__(self) -> None:
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        self._behind = self._server.get_host_and_port()
        self.hangs = threading.Event()
        self._closed = False
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        threading.Thread(target=self._accept, daemon=True).start()
        self._make_bucket()

    @property
    def environment(self) -> dict[str, str]:
        port = self._listener.getsockname()[1]
        return {
            "LEARND_BLOB_URL": f"s3://{BUCKET}/of-a-test",
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
        }

    def close(self) -> None:
        self._closed = True
        self._listener.close()
        self._server.stop()

    def _make_bucket(self) -> None:
        with socket.create_connection(self._behind) as asked:
            asked.sendall(f"PUT /{BUCKET} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode())
            assert b" 200 " in asked.recv(4096)

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._between, args=(client,), daemon=True).start()

    def _between(self, client: socket.socket) -> None:
        self._wait()
        with suppress(OSError), client, socket.create_connection(self._behind) as server:
            threading.Thread(target=self._pass_on, args=(client, server), daemon=True).start()
            self._pass_on(server, client)

    def _wait(self) -> None:
        while self.hangs.is_set() and not self._closed:
            time.sleep(0.02)

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(1 << 16):
                self._wait()
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)
