"""What the system says of this process, under the names that Prometheus' own clients use."""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

from fal_serverless.backend.metrics.exposition import Page


def write_process(page: Page, started_at: float) -> None:
    """`started_at`: seconds since 1970. What this system does not tell is left out."""
    page.family("process_cpu_seconds_total", "counter", "Seconds of processors, of the backend.")
    page.sample(time.process_time())
    page.family("process_start_time_seconds", "gauge", "When it began, in seconds since 1970.")
    page.sample(started_at)
    page.family("process_max_fds", "gauge", "Files it may have open.")
    page.sample(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    try:
        virtual, resident = Path("/proc/self/statm").read_text().split()[:2]
        opened = len(os.listdir("/proc/self/fd")) - 1  # noqa: PTH208 - one of them is the list's
    except OSError:
        return
    size = resource.getpagesize()
    page.family("process_resident_memory_bytes", "gauge", "Memory of the backend itself.")
    page.sample(int(resident) * size)
    page.family("process_virtual_memory_bytes", "gauge", "Addresses it has taken.")
    page.sample(int(virtual) * size)
    page.family("process_open_fds", "gauge", "Files it has open.")
    page.sample(opened)
