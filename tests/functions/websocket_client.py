"""A WebSocket client of the real library; runs in the environment of `passing_app`.

Arguments: URL and what to try; prints what it saw as JSON.
"""

import json
import os
import sys

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

url, what = sys.argv[1:]
seen = {}
try:
    with connect(url, subprotocols=["a.v1", "b.v2"], max_size=2**24, open_timeout=30) as socket:
        seen["subprotocol"] = socket.subprotocol
        seen["request_id"] = socket.response.headers.get("x-fal-request-id")
        if what == "echo":
            socket.send("text ä")
            seen["text"] = socket.recv()
            data = os.urandom(5_000_000)
            socket.send(data)
            seen["binary"] = socket.recv() == data
            seen["pong"] = socket.ping().wait(20)
            socket.close(4001, "enough")
        elif what == "closed":
            socket.send("close me")
            socket.recv()
        elif what == "vanish":
            socket.send("going")
            socket.recv()
            os._exit(0)
except ConnectionClosed as closed:
    seen["code"], seen["reason"] = closed.rcvd.code, closed.rcvd.reason
except InvalidStatus as refused:
    seen["status"] = refused.response.status_code
print(json.dumps(seen))
