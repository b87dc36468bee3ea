"""`python -m fal_serverless.backend`: the embedded backend, as the launcher starts it."""

from __future__ import annotations

import logging
import sys

from fal_serverless import config
from fal_serverless.backend.server import run
from fal_serverless.errors import FalError


def main() -> int:
    logging.basicConfig(level="INFO", format="%(asctime)s %(levelname)-7s %(message)s")
    logging.getLogger("alembic").setLevel("WARNING")
    try:
        run(config.load(), any_port=True)
    except FalError as error:
        print(f"Error: {error.message}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
