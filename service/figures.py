"""The service's figures in Prometheus' words, taken from the database when they are scraped."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector

from store.figures import Figures
from store.moments import now

_OPENMETRICS = "application/openmetrics-text"
# The first for who asks for none of them. Our names and labels are the same text in both versions of a format.
MEDIA_TYPES = tuple(
    f"{media}; version={version}; charset=utf-8"
    for media, version in (
        *(("text/plain", "0.0.4"), ("text/plain", "1.0.0")),
        *((_OPENMETRICS, "1.0.0"), (_OPENMETRICS, "0.0.1")),
    )
)


class _Scrape(Collector):
    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        found, at = self._figures, now()
        waited = {queue: (at - since).total_seconds() for queue, since in found.waiting_since.items()}
        yield _by("learnd_runs", "Runs that there are, by status", "status", found.runs)
        yield _by(
            "learnd_batch_predictions", "Batch predictions that there are, by status", "status", found.batch_predictions
        )
        yield _by("learnd_queue_length", "Runs that wait for a worker, by queue", "queue", found.queued)
        yield _by("learnd_queue_oldest_seconds", "How long the oldest waiting run has waited", "queue", waited)
        yield GaugeMetricFamily("learnd_datasets", "Datasets that there are", value=found.datasets)
        yield GaugeMetricFamily("learnd_workers", "Workers that are there", value=found.workers)
        yield GaugeMetricFamily("learnd_worker_slots", "Runs that the workers can train at once", value=found.slots)


def exposition(figures: Figures, media: str) -> bytes:
    """Return the figures in one of MEDIA_TYPES."""
    registry = CollectorRegistry()
    registry.register(_Scrape(figures))
    if media.startswith(_OPENMETRICS):
        return generate_openmetrics(registry)  # type: ignore[no-untyped-call,no-any-return]
    return generate_latest(registry)


def _by(name: str, description: str, label: str, values: dict[str, int] | dict[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, description, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
