"""What Prometheus is told to scrape."""

from __future__ import annotations

from pydantic import BaseModel, Field

from services.gateway.http.models.example import with_example


class ScrapeLabels(BaseModel):
    """Where a target's metrics are, and the `instance` it is called; its address if left out."""

    model_config = with_example({"__metrics_path__": "/metrics/hosts/h1", "instance": "h1"})

    metrics_path: str = Field(alias="__metrics_path__")
    instance: str | None = None


class ScrapeTarget(BaseModel):
    """A group of targets as Prometheus' `http_sd_configs` reads it."""

    model_config = with_example(
        {
            "targets": ["gateway:8000"],
            "labels": {"__metrics_path__": "/metrics/hosts/h1", "instance": "h1"},
        }
    )

    targets: list[str]
    labels: ScrapeLabels
