from pathlib import Path

from benchmarks import results

ORDER = ["first", "second", "third"]


def test_a_part_measured_again_leaves_the_others_as_they_were(tmp_path: Path):
    path = tmp_path / "RESULTS.md"
    for part, line in (("third", "of old"), ("first", "a table"), ("third", "anew")):
        results.write(part, [line], ORDER, path)
    found = results.read(path)
    assert list(found) == ["first", "third"]
    assert found["first"].endswith("\n\na table")
    assert found["third"].endswith("\n\nanew")
    assert "of old" not in path.read_text()


def test_a_section_that_no_part_writes_any_more_goes(tmp_path: Path):
    path = tmp_path / "RESULTS.md"
    results.write("retired", ["once"], ["retired"], path)
    results.write("second", ["now"], ORDER, path)
    assert list(results.read(path)) == ["second"]


def test_what_was_written_is_read_as_it_was(tmp_path: Path):
    path = tmp_path / "RESULTS.md"
    results.write("second", ["| a | b |", "| --- | --- |"], ORDER, path)
    before = path.read_text()
    results.write("second", ["| a | b |", "| --- | --- |"], ORDER, path)
    assert path.read_text() == before
