"""schemathesis with all its checks: no 5xx, no answer that the document does not allow, nothing of another tenant.

`make fuzz CASES=20000` runs the long form.
"""

import re
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from tests.fuzz.attacked import Attacked, Tenant

OPERATIONS = 65  # about as many as there are: cases are counted for each
SHORT = ("--max-examples", "3", "--seed", "1", "--no-shrink")


def test_service_does_what_its_document_says(
    tmp_path: Path, sqlite_template: Path, request: pytest.FixtureRequest
) -> None:
    cases = request.config.getoption("--fuzz-cases")
    long = ("--max-examples", str(max(1, cases // 2 // OPERATIONS)))
    attacked = Attacked(tmp_path, sqlite_template)
    try:
        one, two = attacked.tenants
        before = [_everything(attacked, tenant) for tenant in (one, two)]
        running = [
            attacked.fuzz(*pair, *(long if cases else SHORT)) for pair in ((one, two), (two, one))[: 2 if cases else 1]
        ]
        told = [each.communicate()[0] for each in running]
        counts = [int(found[1]) for each in told if (found := re.search(r"(\d+) generated", each))]
        print(f"{sum(counts)} cases")
        for each, output in zip(running, told, strict=True):
            assert each.returncode == 0, output
        assert sum(counts) >= max(cases, 1_000)
        after = [_everything(attacked, tenant) for tenant in (one, two)]
        for tenant, other, was, now in zip((one, two), (two, one), before, after, strict=True):
            assert not any(other.name in text for text in now.values() if f"only-of-tenant-{other.name}" in text)
            assert now.keys() <= was.keys(), tenant.name
        assert attacked.process.poll() is None
        assert "Traceback" not in (tmp_path / "api.log").read_text()
    finally:
        attacked.stop()


def _everything(attacked: Attacked, tenant: Tenant) -> dict[str, str]:
    found = {}
    for noun in ("datasets", "networks", "runs", "models", "batch-predictions"):
        address, headers = f"{attacked.address}/v1/{noun}?limit=1000", {"Authorization": f"Bearer {tenant.secret}"}
        asked = Request(address, headers=headers)
        with urlopen(asked, timeout=60) as answer:
            found[noun] = answer.read().decode()
    return found
