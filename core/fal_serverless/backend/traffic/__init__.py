"""How much is called, how fast and how often in vain: since the start, and step by step.

All of it is in memory and bounded. `meter` counts calls, `starts` starts of workers; `line` keeps
what happened of one function, `durations` makes medians of counts.
"""

from fal_serverless.backend.traffic.durations import Histogram
from fal_serverless.backend.traffic.line import Point
from fal_serverless.backend.traffic.meter import Endpoint, Load, Meter
from fal_serverless.backend.traffic.starts import Started, Starts

__all__ = ["Endpoint", "Histogram", "Load", "Meter", "Point", "Started", "Starts"]
