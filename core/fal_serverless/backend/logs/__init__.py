"""The log store: every line of every function, build and request, kept beyond its worker's life.

Two sides. `store.LogStore` is the backend's: it takes entries and asks questions. `process` is a
program of its own that writes the file, so that a write never delays a call. `rows` and `wire` are
what goes between them. Nothing is imported here: the program must stay small.
"""
