"""The peers' own applications, behind a port that we expose; started as the peers are."""

from pathlib import Path

from fal_serverless import isolated

PINS = Path(__file__).with_name("requirements.txt").read_text().split()


@isolated(exposed_port=8080, requirements=PINS)
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


@isolated(exposed_port=8080, requirements=PINS)
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
