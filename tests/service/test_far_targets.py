"""A target in whatever unit has its errors in that unit, wherever they are told."""

import pytest

from tests.service.callers import Caller


@pytest.mark.parametrize("exponent", [0, 38, 39, 200, 300, 307, -38, -44, -200, -300, -307])
@pytest.mark.parametrize("validation", [{"fraction": 0.2}, {"folds": 3}], ids=["fraction", "folds"])
def test_errors_are_told_in_the_unit_of_the_target(caller: Caller, exponent: int, validation: dict) -> None:
    def told(exponent: int) -> dict:
        table = "x,y\n" + "".join(f"{row},{row * 7 % 13}e{exponent}\n" for row in range(60))
        run = caller.trained(
            caller.dataset(table), "y", task="regression", epochs=5, seed=1, validation=validation, features=["x"]
        )
        path = f"/v1/runs/{run['id']}"
        caller.client.get(f"{path}/evaluation?split=validation")
        caller.analyse()
        evaluation = caller.get(f"{path}/evaluation?split=validation")
        rows = caller.get(f"{path}/metrics?limit=100")["data"]
        return {
            "run": run["metrics"]["validation"],
            "metrics": evaluation["metrics"],
            "baseline": evaluation["baseline"],
            "linear": evaluation["linear"],
            "epochs": {name: [row["value"] for row in rows if row["name"] == name] for name in ("rmse", "mae")},
            "quantiles": evaluation["residual_quantiles"][0]["values"],
        }

    plain, far = told(0), told(exponent)
    unit = float(f"1e{exponent}")
    for part in ("run", "metrics", "baseline", "linear"):
        for name in ("rmse", "mae"):
            assert far[part][name] / unit == pytest.approx(plain[part][name], rel=1e-5), (part, name)
        assert far[part]["r2"] == pytest.approx(plain[part]["r2"], abs=1e-5)
    for name in ("rmse", "mae"):
        assert [value / unit for value in far["epochs"][name]] == pytest.approx(plain["epochs"][name], rel=1e-5)
    assert [value / unit for value in far["quantiles"]] == pytest.approx(plain["quantiles"], rel=1e-4)
