"""What docs/learning.md says of the code is there: every file, every name beside one, and every line that it quotes."""

import re
from pathlib import Path
from textwrap import indent

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "learning.md").read_text()
FILES = sorted(set(re.findall(r"`(\w+\.py)`", DOCUMENT)))
QUOTED = re.findall(r"```python\n# (learning/\w+\.py)\n(.*?)```", DOCUMENT, re.DOTALL)


def test_the_path_names_most_of_the_engine():
    assert len(FILES) > 15
    assert len(QUOTED) == DOCUMENT.count("```python") > 10


@pytest.mark.parametrize("file", FILES)
def test_what_is_named_beside_a_file_stands_in_it(file):
    source = (ROOT / "learning" / file).read_text()
    for line in DOCUMENT.splitlines():
        after = line.split(f"`{file}`")[1:]
        for text in after:
            names = re.findall(r"`([A-Za-z_]\w*(?:\.\w+)?)`", re.split(r"`\w+\.py`", text)[0])
            for name in names:
                for part in name.split("."):
                    assert re.search(rf"\b{part}\b", source), f"{name} is not in {file}"


@pytest.mark.parametrize(("file", "quoted"), QUOTED)
def test_lines_that_are_quoted_stand_there_word_for_word(file, quoted):
    source = (ROOT / file).read_text()
    for lines in quoted.split("…\n"):  # what lies between is left out
        indented = (indent(lines, " " * depth) for depth in range(0, 24, 4))
        found = next((source.find(each) for each in indented if f"\n{each}" in source), -1)
        assert found >= 0, f"{file} has not, or not in this order:\n{lines}"
        source = source[found + len(lines) :]
