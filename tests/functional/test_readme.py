"""The README's lines, pasted into a shell as they stand."""

import json
import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def test_the_lines_with_curl_do_what_the_readme_says(service):
    lines = "\n".join(block for block in BLOCKS if "curl" in block)

    shell = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", lines],
        check=False,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "LEARND": str(service.client.base_url).rstrip("/")},
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert shell.returncode == 0, shell.stderr
    run, predictions, evaluation, version, named, moved, best = _values(shell.stdout)
    assert (run["status"], run["task"]) == ("succeeded", "multiclass")
    assert predictions["predictions"] == ["setosa", "virginica"]
    assert [len(row) for row in predictions["probabilities"]] == [3, 3]
    assert [label in each for label, each in zip(predictions["predictions"], predictions["sets"], strict=True)] == [
        True
    ] * 2
    assert evaluation["metrics"]["accuracy"] == run["metrics"]["test"]["accuracy"]
    assert (version["run"], version["aliases"]) == (run["id"], ["prod"])
    assert (named["predictions"], named["model"]) == (["setosa"], f"iris:{version['version']}")
    assert moved["aliases"] == {"prod": 1}
    assert len(best["data"]) == 3


def test_its_commands_are_those_of_the_makefile_and_the_command_line():
    text = (ROOT / "README.md").read_text()
    rules = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)

    assert set(re.findall(r"\bmake ([a-z]+)\b", text)) - {"it"} <= set(rules)
    assert {"demo", "test"} <= set(rules)


def _values(text: str) -> list[dict]:
    """JSON values that stand one behind the other, as curl prints them."""
    decoder, found, place = json.JSONDecoder(), [], 0
    while text[place:].strip():
        value, place = decoder.raw_decode(text, place + len(text[place:]) - len(text[place:].lstrip()))
        found.append(value)
    return found
