"""The program inside a worker: standard library only, Python 3.8 on, nothing of ours imported.

`child.py` is started by path and loads this folder under a private name, so that none of these
modules can stand in the way of a user's module with the same name.
"""
