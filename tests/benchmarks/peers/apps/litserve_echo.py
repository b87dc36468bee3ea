"""The echo with LitServe's defaults."""

import sys
from typing import Any

import litserve


class Echo(litserve.LitAPI):
    def setup(self, device: str) -> None:
        pass

    def decode_request(self, request: dict[str, str]) -> str:
        return request["text"]

    def predict(self, text: str) -> str:
        return text

    def encode_response(self, output: str) -> dict[str, Any]:
        return {"text": output}


if __name__ == "__main__":
    server = litserve.LitServer(Echo(api_path="/"), accelerator="cpu")
    server.run(
        host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning"
    )
