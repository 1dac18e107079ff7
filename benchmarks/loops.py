"""What one writes oneself: loops over torch, and scikit-learn's network; an epoch at a call, on a number of threads."""

import torch
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.work import Work


class TorchLoop:
    """The best of the plain ones: rows permuted once an epoch, batches sliced, Adam fused."""

    networks = 1
    learns_by = "Adam"

    def __init__(self, work: Work, threads: int) -> None:
        self.work, self.threads = work, threads
        self.net = torch.nn.Sequential()
        for index, (below, units) in enumerate(zip(work.widths, work.widths[1:], strict=False)):
            if index:
                self.net.append(torch.nn.ReLU())
            self.net.append(torch.nn.Linear(below, units))
            torch.nn.init.xavier_uniform_(self.net[-1].weight)
            torch.nn.init.zeros_(self.net[-1].bias)
        self.error = torch.nn.CrossEntropyLoss()
        self.optimizer = torch.optim.Adam(self.net.parameters(), fused=True)

    def __str__(self) -> str:
        return f"the plain torch loop, {_threads(self.threads)}"

    def epoch(self) -> None:
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        self.steps()
        torch.set_num_threads(before)

    def steps(self) -> None:
        examples = self.work.examples
        order = torch.randperm(examples.rows)
        x, y = examples.inputs[order], examples.targets[order]
        for start in range(0, examples.rows, self.work.batch):
            self.step(x[start : start + self.work.batch], y[start : start + self.work.batch])

    def step(self, x: torch.Tensor, y: torch.Tensor) -> None:
        error = self.error(self.net(x), y)
        self.optimizer.zero_grad()
        error.backward()
        self.optimizer.step()

    def loss(self) -> float:
        with torch.no_grad():
            return self.error(self.net(self.work.examples.inputs), self.work.examples.targets).item()


class TorchLoops:
    """Some of them, one after another."""

    learns_by = "Adam"

    def __init__(self, work: Work, threads: int, networks: int) -> None:
        self.networks = networks
        self.loops = [TorchLoop(work, threads) for _ in range(networks)]

    def __str__(self) -> str:
        return f"plain torch loops one after another, {_threads(self.loops[0].threads)}"

    def epoch(self) -> None:
        for loop in self.loops:
            loop.epoch()

    def loss(self) -> float:
        return sum(loop.loss() for loop in self.loops) / self.networks


class LoaderLoop(TorchLoop):
    """The textbook's: a DataLoader that shuffles, in this process or with `workers` of its own."""

    def __init__(self, work: Work, threads: int, workers: int) -> None:
        super().__init__(work, threads)
        dataset = TensorDataset(work.examples.inputs, work.examples.targets)
        self.workers = workers
        self.loader = DataLoader(dataset, work.batch, shuffle=True, num_workers=workers, persistent_workers=workers > 0)

    def __str__(self) -> str:
        return f"a DataLoader loop, {self.workers} workers"

    def steps(self) -> None:
        for x, y in self.loader:
            self.step(x, y)


class ScikitLearn:
    """MLPClassifier as it is, but for the batch and the penalty that the others do not have."""

    networks = 1
    learns_by = "Adam"

    def __init__(self, work: Work, threads: int) -> None:
        self.threads = threads
        self.inputs, self.targets = work.examples.inputs.numpy(), work.examples.targets.numpy()
        self.classes = list(range(work.classes))
        self.net = MLPClassifier(work.layers, batch_size=work.batch, alpha=0.0, shuffle=True, random_state=0)

    def __str__(self) -> str:
        return f"scikit-learn's MLPClassifier, {_threads(self.threads)}"

    def epoch(self) -> None:
        """`partial_fit` is one epoch, shuffled, and keeps Adam's moments; `fit` with max_iter=1 would drop them."""
        with threadpool_limits(self.threads):
            self.net.partial_fit(self.inputs, self.targets, classes=self.classes)

    def loss(self) -> float:
        """Of the train rows under the weights as they are."""
        chosen = self.net.predict_proba(self.inputs)[range(len(self.targets)), self.targets]
        return torch.from_numpy(chosen).clamp(min=1e-38).log().neg().mean().item()


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"
