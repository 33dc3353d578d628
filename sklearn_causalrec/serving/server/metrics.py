"""What a server counts, for Prometheus."""

import os

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 1024)


class Metrics:
    """The counters of a process; with several workers, their sums.

    The environment variable ``PROMETHEUS_MULTIPROC_DIR``, set before this module is
    imported, names the folder by which the workers share them.

    Attributes
    ----------
    requests : Counter
        Requests by route and status.
    seconds : Histogram
        From the first byte of a request to the last of its answer, by route.
    scoring : Histogram
        Time in the thread that scores, a call.
    batch : Histogram
        Users, or rows, that one call of the model was about.
    users : Counter
        Users that lists were made for, by whether the log knows them.
    decisions : Counter
        Decisions logged.
    swaps : Counter
        Replacements of the model, by result.
    waiting : Gauge
        Requests that wait for the thread.
    loaded : Gauge
        When the model was loaded.
    """

    def __init__(self):
        self.registry = registry = CollectorRegistry()

        def make(kind, name, text, labels=(), **options):
            name = f"causalrec_{name}"
            return kind(name, text, labels, registry=registry, **options)

        self.requests = make(
            Counter, "requests", "Requests answered.", ("route", "status")
        )
        self.seconds = make(
            Histogram,
            "request_seconds",
            "Time from request to answer.",
            ("route",),
            buckets=SECONDS,
        )
        self.scoring = make(
            Histogram, "scoring_seconds", "Time of a call.", buckets=SECONDS
        )
        self.batch = make(
            Histogram, "batch_size", "Users or rows of a call.", buckets=SIZES
        )
        self.users = make(
            Counter, "users", "Users that lists were made for.", ("cold_start",)
        )
        self.decisions = make(Counter, "decisions", "Decisions logged.")
        self.swaps = make(Counter, "model_swaps", "Models replaced.", ("result",))
        self.waiting = make(
            Gauge, "waiting", "Requests that wait.", multiprocess_mode="livesum"
        )
        self.loaded = make(
            Gauge,
            "model_loaded_timestamp_seconds",
            "When the model was loaded; of several workers, the oldest.",
            multiprocess_mode="livemin",
        )

    def text(self):
        """All metrics in the text format of Prometheus.

        Returns
        -------
        bytes
        """
        registry = self.registry
        if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            registry = CollectorRegistry()
            MultiProcessCollector(registry)
        return generate_latest(registry)
