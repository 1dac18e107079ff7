"""The lines of docs/predicting.md, pasted into a shell as they stand."""

import json
import os
import re
import subprocess
from pathlib import Path

from tests.functional.running import Service

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"```sh\n(.*?)```", (ROOT / "docs" / "predicting.md").read_text(), re.DOTALL)


def test_every_line_answers_and_all_of_them_agree(service: Service) -> None:
    shell = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\necho; echo ----\n".join(BLOCKS)],
        check=False,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "LEARND": str(service.client.base_url).rstrip("/")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert shell.returncode == 0, shell.stderr
    _, records, table, in_csv, mlflow, tensors = shell.stdout.split("----")
    whole = json.loads(records)
    assert json.loads(table)["probabilities"] == whole["probabilities"]
    labels = in_csv.split()[1:]
    assert labels == json.loads(mlflow)["predictions"] == json.loads(tensors)["outputs"][0]["data"]
    assert len(labels) == 2
