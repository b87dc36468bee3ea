"""Functions that never come to answer, each in its own way."""

import time

from fal_serverless import isolated


@isolated(serve=True, requirements=["fal-no-such-package==99.99"])
def no_such_requirement():
    return 1


def load_weights():
    raise RuntimeError("no weights here")


@isolated(serve=True, setup_function=load_weights)
def fails_to_start(weights):
    return 1


@isolated(exposed_port=8123)
def returns_at_once():
    return 1


@isolated(serve=True, setup_function=lambda: time.sleep(600))
def never_ready(state):
    return 1
