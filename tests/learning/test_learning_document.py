"""What docs/learning.md says of the code is there: every file, and every name that stands beside one."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "learning.md").read_text()
FILES = sorted(set(re.findall(r"`(\w+\.py)`", DOCUMENT)))


def test_the_path_names_most_of_the_engine():
    assert len(FILES) > 15


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
