"""Brings every fault in."""

from faults import clients, clocks, disks, kills, states, workers

__all__ = ["clients", "clocks", "disks", "kills", "states", "workers"]
