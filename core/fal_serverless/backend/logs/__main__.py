"""`python -m fal_serverless.backend.logs`: the store's program; see `process`."""

import sys

from fal_serverless.backend.logs.process import main

if __name__ == "__main__":
    main(sys.argv[1:])
