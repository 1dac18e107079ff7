"""LitServe as a rival: run in its own environment by `serving_rivals`, with the network's file, a port and how many
workers and API servers there are to be.
"""

import sys
from pathlib import Path

import litserve
import torch
from plain import Plain


class Api(litserve.LitAPI):
    def setup(self, device):  # noqa: ARG002 - LitServe's name
        torch.set_num_threads(1)
        self.network = Plain(Path(sys.argv[1]))

    def decode_request(self, request):
        return torch.tensor(request["instances"], dtype=torch.float64)

    def predict(self, rows):
        with torch.inference_mode():
            return self.network(rows)

    def encode_response(self, answers):
        return {"predictions": answers.tolist()}


if __name__ == "__main__":
    port, processes = map(int, sys.argv[2:4])
    server = litserve.LitServer(Api(), accelerator="cpu", workers_per_device=processes)
    server.run(host="127.0.0.1", port=port, num_api_servers=processes, generate_client_file=False, log_level="error")
