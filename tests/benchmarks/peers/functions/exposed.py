"""The peers' own applications, behind a port that we expose; started as the peers are.

One process each that has as many requests at once as there are connections, as the peers have:
it is the same application, and what differs is the way to it.
"""

from pathlib import Path

from fal_serverless import isolated

PINS = Path(__file__).with_name("requirements.txt").read_text().split()


@isolated(exposed_port=8080, requirements=PINS, max_concurrency=1, max_multiplexing=32)
def raw():
    import uvicorn
    from raw_asgi import app

    uvicorn.run(
        app,
        port=8080,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="warning",
    )


@isolated(exposed_port=8080, requirements=PINS, max_concurrency=1, max_multiplexing=32)
def fastapi():
    import uvicorn
    from fastapi_def import app

    uvicorn.run(
        app,
        port=8080,
        loop="uvloop",
        http="httptools",
        lifespan="off",
        access_log=False,
        log_level="warning",
    )
