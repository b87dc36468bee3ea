"""More gateways than one: processes that take calls on the backend's port, beside the backend.

`owner` is the backend's side, `further` the program of such a process, `wire` what goes between
them. A further gateway knows every endpoint and key, reads requests and writes answers; who runs a
call is decided in the backend, and whatever is no plain call of a served function is given to it
with its connection. Nothing is imported here: the program must stay small.
"""
