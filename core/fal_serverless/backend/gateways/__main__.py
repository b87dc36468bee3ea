"""`python -m fal_serverless.backend.gateways`: a further gateway; see `further`."""

import sys

from fal_serverless.backend.gateways.further import main

if __name__ == "__main__":
    main(sys.argv[1:])
