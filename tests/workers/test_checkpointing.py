"""What is saved is found again, whole or not at all; and saving costs little."""

from types import SimpleNamespace

import pytest
import torch

from learning.fitting import State
from store import weights
from store.blobs import Blobs
from workers.checkpointing import Checkpointing, Saved
from workers.reporting import Figures

LOSS = ("validation", "loss")
FIGURES = Figures(best={LOSS: torch.tensor([0.5, float("nan")])}, last={LOSS: torch.tensor([0.7, 0.8])})


def pulse(epoch):
    tensors = {"0.weights": torch.full((2, 3), float(epoch)), "0.ended": torch.tensor([0, epoch])}
    state = State(tensors, {"epoch": epoch, "0.step": 1})
    return SimpleNamespace(epoch=epoch, step=10 * epoch + 1, state=lambda: state)


@pytest.fixture
def clock():
    return SimpleNamespace(now=100.0)


@pytest.fixture
def blobs(tmp_path):
    return Blobs(f"file://{tmp_path / 'blobs'}", tmp_path / "cache")


@pytest.fixture
def checkpointing(blobs, clock):
    return Checkpointing(blobs, 30.0, lambda: clock.now)


def claim(*checkpoints):
    return SimpleNamespace(run_id="run_1", checkpoints=checkpoints)


def test_all_that_was_saved_is_found_again(checkpointing):
    saved = Saved(figures=FIGURES, legs=2, exactness=("torch 2, x86_64 AVX2, cpu",))
    checkpoint = checkpointing.put(pulse(4), saved)
    assert (checkpoint.epoch, checkpoint.step) == (4, 41)
    found = checkpointing.newest(claim(checkpoint))
    assert found.state.counters == {"epoch": 4, "0.step": 1}
    assert found.state.tensors.keys() == {"0.weights", "0.ended"}
    assert found.state.tensors["0.ended"].tolist() == [0, 4]
    assert found.state.tensors["0.weights"].dtype == torch.float32
    assert (found.legs, found.exactness) == (2, saved.exactness)
    for name in ("best", "last"):
        (values,) = getattr(found.figures, name).values()
        assert values.numpy().tobytes() == getattr(FIGURES, name)[LOSS].numpy().tobytes()


def damaged(blobs, key):
    path = blobs.local_path(key)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def gone(blobs, key):
    blobs.delete(key)


@pytest.mark.parametrize("harm", [damaged, gone])
def test_one_that_cannot_be_read_falls_back_to_the_one_before_and_then_to_the_start(checkpointing, blobs, harm):
    older, newer = (checkpointing.put(pulse(epoch), Saved()) for epoch in (1, 2))
    assert checkpointing.newest(claim(newer, older)).state.counters["epoch"] == 2
    harm(blobs, newer.blob)
    assert checkpointing.newest(claim(newer, older)).state.counters["epoch"] == 1
    harm(blobs, older.blob)
    assert checkpointing.newest(claim(newer, older)) == Saved()


def test_one_of_another_format_is_not_used(checkpointing, blobs):
    checkpoint = checkpointing.put(pulse(1), Saved())
    other = blobs.put(weights.pack({}, {"format": "learnd.checkpoint/2"}))
    assert checkpointing.newest(claim(SimpleNamespace(epoch=2, blob=other), checkpoint)).state.counters["epoch"] == 1


def test_it_is_due_by_the_time_and_by_what_the_last_one_cost(checkpointing, clock, monkeypatch):
    assert not checkpointing.is_due()
    clock.now += 30.0
    assert checkpointing.is_due()

    def dear(*_):
        clock.now += 2.0
        return "sha256/00/" + "0" * 62

    monkeypatch.setattr(Blobs, "put", dear)
    checkpointing.put(pulse(1), Saved())
    clock.now += 39.0
    assert not checkpointing.is_due()
    clock.now += 1.0
    assert checkpointing.is_due()
