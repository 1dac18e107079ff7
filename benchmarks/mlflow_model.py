"""MLflow as a rival: run in its own environment by `serving_rivals`, it saves the network as a model of MLflow's, which
`mlflow models serve` then serves.
"""

import sys
from pathlib import Path

import mlflow.pyfunc
import numpy as np
import torch


class Network(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        from plain import Plain  # noqa: PLC0415 - where it is loaded, the folder of its code is on the path

        torch.set_num_threads(1)
        self.network = Plain(Path(context.artifacts["network"]))

    def predict(self, context, model_input, params=None):  # noqa: ARG002 - MLflow's names
        with torch.inference_mode():
            return self.network(torch.from_numpy(np.asarray(model_input, dtype=np.float64))).numpy()


if __name__ == "__main__":
    network, folder = sys.argv[1:3]
    mlflow.pyfunc.save_model(
        folder,
        python_model=Network(),
        artifacts={"network": network},
        code_paths=[str(Path(__file__).with_name("plain.py"))],
        pip_requirements=[],
    )
