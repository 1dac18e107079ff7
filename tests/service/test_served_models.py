"""Models in memory: each loaded once however many ask, within their bounds, the least used forgotten first."""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from learning.columns import CategoricalColumn, NumericColumn
from learning.experiment import prepare
from learning.fitting import fit
from learning.keeping import Kept, keep
from service.problems import Clash, Invalid
from service.serving.served import ServedModels
from service.serving.sizes import TENSOR_BYTES, bytes_held
from store import weights
from store.blobs import Blobs
from store.errors import BlobMissing
from tests.learning.test_keeping import SPEC
from tests.service.random_access import FEATURES, REQUESTS, THREADS, Watched, answer_of

ROOT = Path(__file__).parents[2]
PLENTY = 1 << 30
Mould = tuple[dict[str, Tensor], dict[str, Any]]


def mould_of(members: int = 1, units: int = 128) -> Mould:
    """The tensors and the header of a run's file, of a network or several that answer together."""
    random = torch.Generator().manual_seed(0)
    table: dict[str, Any] = {
        f"x{place}": NumericColumn(torch.randn(60, generator=random, dtype=torch.float64)) for place in range(FEATURES)
    }
    table["y"] = CategoricalColumn((table["x0"].values > 0).long(), ("no", "yes"))
    layer = {"units": units, "activation": "relu", "dropout": 0.0, "normalization": None}
    own = {"features": list(table)[:-1], "validation": {"fraction": 0.2}, "sweep": {"seed": list(range(members))}}
    experiment = prepare({**SPEC, **own, "network": {"layers": [layer, layer]}}, table)
    *_, last = fit(experiment.members, experiment.data)
    return keep(experiment, last.trained(), range(members))


def other(mould: Mould, seed: int) -> Kept:
    """The same with other weights."""
    random = torch.Generator().manual_seed(seed)
    tensors, header = mould
    return Kept({name: 0.2 * torch.randn(each.shape, generator=random) for name, each in tensors.items()}, header)


def put(blobs: Blobs, kept: Kept) -> str:
    return blobs.put(weights.pack({name: each.numpy() for name, each in kept.tensors.items()}, kept.header))


@pytest.fixture(scope="module")
def mould() -> Mould:
    return mould_of(units=16)


@pytest.fixture
def blobs(tmp_path: Path) -> Watched:
    return Watched(f"file://{tmp_path}/blobs", tmp_path / "cache")


@pytest.fixture
def keys(blobs: Watched, mould: Mould) -> list[str]:
    return [put(blobs, other(mould, seed)) for seed in range(6)]


def here(models: ServedModels, keys: list[str]) -> list[int]:
    """Which of the keys are in memory, in the order in which they are asked whether they may go."""
    return [keys.index(key) for key, _ in models._ready]


def test_a_model_is_what_was_kept_and_is_loaded_once(blobs: Watched, mould: Mould) -> None:
    kept = other(mould, 1)
    models = ServedModels(blobs, 4, PLENTY)
    key = put(blobs, kept)
    first = models.get(key, None)
    assert answer_of(first) == answer_of(kept.model())
    assert models.get(key, None) is first
    assert models.predicts(key) == (0,)
    assert blobs.reads[key] == 1


@pytest.mark.parametrize("gone", [False, True])
def test_of_many_who_ask_for_a_model_one_loads_it(
    blobs: Watched, keys: list[str], monkeypatch: pytest.MonkeyPatch, gone: bool
) -> None:
    models = ServedModels(blobs, 4, PLENTY)
    waiting = threading.Semaphore(0)
    real = blobs.get

    def when_all_have_asked(key: str) -> bytes:
        for _ in range(THREADS):
            assert waiting.acquire(timeout=30)
        return real(key)

    def ask() -> Any:
        waiting.release()
        return models.get(keys[0], None)

    monkeypatch.setattr(blobs, "get", when_all_have_asked)
    if gone:
        blobs.delete(keys[0])
    with ThreadPoolExecutor(THREADS) as pool:
        asked = [pool.submit(ask) for _ in range(THREADS)]
        if gone:
            assert {type(each.exception()) for each in asked} == {BlobMissing}
        else:
            assert len({id(each.result()) for each in asked}) == 1
            assert blobs.reads[keys[0]] == 1
    assert models._loading == {}


def test_a_load_that_failed_is_tried_again(blobs: Watched, mould: Mould) -> None:
    models = ServedModels(blobs, 4, PLENTY)
    kept = other(mould, 1)
    key = put(blobs, kept)
    blobs.delete(key)
    with pytest.raises(BlobMissing):
        models.get(key, None)
    assert put(blobs, kept) == key
    assert answer_of(models.get(key, None)) == answer_of(kept.model())


def test_those_that_were_used_stay_and_the_others_go(blobs: Watched, keys: list[str]) -> None:
    models = ServedModels(blobs, 3, PLENTY)
    for key in keys[:4]:
        models.get(key, None)
    assert here(models, keys) == [1, 2, 3]
    models.get(keys[1], None)
    models.get(keys[4], None)
    assert here(models, keys) == [3, 1, 4]
    for _ in range(5):
        for key in keys[2:]:
            models.get(keys[1], None)
            models.get(key, None)
    assert blobs.reads[keys[1]] == 1, "what is asked for between all others is never loaded again"
    assert blobs.reads[keys[5]] == 5


def test_bytes_bound_as_well_and_the_last_one_stays_however_large(blobs: Watched, keys: list[str]) -> None:
    one = bytes_held(ServedModels(blobs, 1, PLENTY).get(keys[0], None))
    models = ServedModels(blobs, 100, 3 * one + one // 2)
    for key in keys:
        models.get(key, None)
        assert models._bytes == sum(ready.bytes for ready in models._ready.values()) <= 3 * one + one // 2
    assert len(models._ready) == 3
    tiny = ServedModels(blobs, 100, 1)
    for key in keys:
        assert tiny.get(key, None) is tiny.get(key, None)
        assert here(tiny, keys) == [keys.index(key)]


def test_of_a_population_a_model_holds_its_own_weights_alone(blobs: Watched) -> None:
    kept = other(mould_of(members=8), 1)
    key = put(blobs, kept)
    own = sum(tensor.nbytes for tensor in kept.model(3).tensors.values())
    member, mean = (ServedModels(blobs, 1, PLENTY).get(key, each) for each in (3, None))
    assert 2 * own < bytes_held(member) < 6 * own, "as they are kept and as they are computed with, and rooms for rows"
    assert bytes_held(mean) > 8 * 2 * own


def test_a_member_that_the_weights_have_not_is_refused_by_name(blobs: Watched) -> None:
    kept = other(mould_of(members=3, units=16), 1)
    key = put(blobs, Kept(*kept.only((0, 2))))
    models = ServedModels(blobs, 4, PLENTY)
    assert models.predicts(key) == (0, 2)
    assert answer_of(models.get(key, 2)) == answer_of(kept.model(2))
    for member in (1, 3):
        with pytest.raises(Invalid) as refused:
            models.get(key, member)
        assert refused.value.errors == {"member": ["one of those that this model has: 0, 2"]}
    assert len(models._ready) == 2


def test_weights_that_are_not_finite_are_nobodys(blobs: Watched, mould: Mould) -> None:
    kept = other(mould, 1)
    kept.tensors["0.layers.1.bias"][0, 0] = torch.nan
    models = ServedModels(blobs, 4, PLENTY)
    with pytest.raises(Clash, match="failed before"):
        models.get(put(blobs, kept), 0)
    assert (len(models._ready), models._bytes) == (0, 0)


def test_what_is_held_is_counted_once_and_with_what_a_view_keeps_alive() -> None:
    whole = torch.zeros(1000, 1000)
    numbers = whole.nbytes + TENSOR_BYTES
    view = sys.getsizeof(whole)
    assert numbers < bytes_held(whole) <= numbers + 2 * view
    assert numbers < bytes_held([whole[0], whole[1], whole]) < numbers + 10 * view
    array = torch.zeros(1000, 1000).numpy()
    assert bytes_held([array[0], array[1]]) >= array.nbytes
    assert bytes_held({"a" * 10_000: ("b" * 10_000,)}) > 20_000
    assert bytes_held([bytes_held, torch, ServedModels]) < 1_000, "what is everybody's is nobody's"


@pytest.fixture
def quick_folder() -> Iterator[Path]:
    # In memory where that can be had: five hundred blobs wait for the disk, and these need not survive.
    place = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="learnd-", dir=place) as folder:
        yield Path(folder)


def test_eight_threads_at_random_over_ten_times_as_many_models_as_may_stay(quick_folder: Path) -> None:
    blobs = Blobs(f"file://{quick_folder}/blobs", quick_folder / "cache")
    mould = mould_of()
    every = [other(mould, seed) for seed in range(500)]
    answers = {put(blobs, kept): answer_of(kept.model()) for kept in every}
    one = bytes_held(ServedModels(blobs, 1, PLENTY).get(next(iter(answers)), None))
    asked = {"blobs": f"file://{quick_folder}/blobs", "most_models": 50, "answers": answers}
    done = subprocess.run(
        [sys.executable, "-m", "tests.service.random_access"],
        check=False,
        cwd=ROOT,
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert (len(answers), seen["wrong"], seen["most_at_once"], seen["kept"]) == (500, 0, 1, 50)
    assert 0.3 * THREADS * REQUESTS < seen["loads"] < 0.9 * THREADS * REQUESTS
    assert seen["counted"] == pytest.approx(50 * one, rel=0.01)
    assert seen["peak"] < 1.3 * seen["counted"] + (12 << 20) < 0.25 * 500 * one, (
        "of all 500 it would be four times that"
    )
