"""A log entry as OpenTelemetry has it: one OTLP/JSON `LogsData` a line.

Form: https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/ (JSON lines; what the
collector's `otlpjsonfile` receiver reads), with the JSON encoding of OTLP: names in lowerCamelCase,
64-bit numbers as strings. Meaning of the fields: https://opentelemetry.io/docs/specs/otel/logs/data-model/
Names of the attributes: semantic conventions `service`, `faas`, `log`; what those lack is `fal.*`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from fal_serverless import __version__
from fal_serverless.models import Level, LogEntry

SEVERITY: dict[Level, tuple[int, str]] = {
    "TRACE": (1, "TRACE"),
    "DEBUG": (5, "DEBUG"),
    "INFO": (9, "INFO"),
    "STDOUT": (9, "INFO"),
    "STDERR": (9, "INFO"),
    "WARNING": (13, "WARN"),
    "ERROR": (17, "ERROR"),
}
"""Severity number and text. Plain output has no level of its own, and counts as INFO."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def logs_data(entry: LogEntry) -> dict[str, Any]:
    """The entry with the resource it is of: a worker, or what is known of it."""
    resource = {
        "service.name": entry.function,
        "service.version": entry.revision,
        "service.instance.id": entry.worker,
        "faas.name": entry.function,
        "faas.version": entry.revision,
        "faas.instance": entry.worker,
    }
    scope = {"name": "fal-serverless", "version": __version__}
    logs = {"scope": scope, "logRecords": [record(entry)]}
    return {"resourceLogs": [{"resource": {"attributes": _pairs(resource)}, "scopeLogs": [logs]}]}


def record(entry: LogEntry) -> dict[str, Any]:
    number, text = SEVERITY[entry.level]
    time = str((entry.time - _EPOCH) // timedelta(microseconds=1) * 1000)
    attributes = {
        "log.record.uid": str(entry.id),
        "log.iostream": entry.level.lower() if entry.level in ("STDOUT", "STDERR") else "",
        "faas.invocation_id": entry.request_id,
        "fal.source": entry.source,
        "fal.alias": entry.alias,
        "fal.user": entry.user,
    }
    return {
        "timeUnixNano": time,
        "observedTimeUnixNano": time,
        "severityNumber": number,
        "severityText": text,
        "body": {"stringValue": entry.message},
        "attributes": _pairs(attributes),
    }


def _pairs(values: dict[str, str]) -> list[dict[str, Any]]:
    """What is not known is left out."""
    return [{"key": key, "value": {"stringValue": text}} for key, text in values.items() if text]
