"""A real ASGI server that sends and takes much, slowly, or by WebSocket."""

from fal_serverless import isolated


@isolated(
    requirements=["uvicorn", "websockets"],
    exposed_port=8080,
    max_multiplexing=50,
    max_concurrency=1,
    keep_alive=60,
)
def passing_app():
    import asyncio
    import hashlib
    import json
    from urllib.parse import parse_qs

    import uvicorn

    PIECE = b"x" * 65536
    released = asyncio.Event()

    async def app(scope, receive, send):
        if scope["type"] == "websocket":
            await websocket(scope, receive, send)
        elif scope["type"] == "http":
            name = scope["path"].rstrip("/").rpartition("/")[2]
            asked = {k: v[0] for k, v in parse_qs(scope["query_string"].decode()).items()}
            await {"events": events, "down": down, "up": up, "redirect": redirect}.get(name, told)(
                scope, receive, send, asked
            )

    async def begin(send, *headers, status=200):
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})

    async def write(send, body, more=False):
        await send({"type": "http.response.body", "body": body, "more_body": more})

    async def told(scope, receive, send, asked):
        if scope["path"].endswith("/release"):
            released.set()
        await begin(send)
        head = [[name.decode(), value.decode("latin-1")] for name, value in scope["headers"]]
        await write(send, json.dumps(head).encode())

    async def events(scope, receive, send, asked):
        await begin(send, (b"content-type", b"text/event-stream"))
        await write(send, b"data: first\n\n", True)
        await released.wait()
        await write(send, b"data: second\n\n")

    async def down(scope, receive, send, asked):
        size = int(asked["size"])
        headers = [(b"content-length", b"%d" % size)] if "length" in asked else []
        await begin(send, *headers)
        sent = 0
        while sent < size:
            await write(send, PIECE[: size - sent], True)
            sent += min(len(PIECE), size - sent)
            if sent % (len(PIECE) * 64) == 0:
                print("sent", sent, flush=True)
        await write(send, b"")

    async def up(scope, receive, send, asked):
        size, digest, more = 0, hashlib.sha256(), True
        while more:
            message = await receive()
            size += len(message.get("body", b""))
            digest.update(message.get("body", b""))
            more = message.get("more_body", False)
        await begin(send)
        await write(send, json.dumps({"size": size, "sha": digest.hexdigest()}).encode())

    async def redirect(scope, receive, send, asked):
        cookies = [(b"set-cookie", b"a=1; Path=/"), (b"set-cookie", b"b=2; HttpOnly")]
        await begin(send, (b"location", b"/else where?x=%20"), *cookies, status=307)
        await write(send, b"")

    async def websocket(scope, receive, send):
        await receive()
        if scope["path"].endswith("/refuse"):
            await send({"type": "websocket.close"})
            return
        offered = scope["subprotocols"]
        await send({"type": "websocket.accept", "subprotocol": offered[-1] if offered else None})
        while True:
            message = await receive()
            if message["type"] == "websocket.disconnect":
                print("closed with", message.get("code"), message.get("reason"), flush=True)
                return
            if message.get("text") == "close me":
                await send({"type": "websocket.close", "code": 4321, "reason": "as you wish"})
                return
            kind = "text" if message.get("text") is not None else "bytes"
            await send({"type": "websocket.send", kind: message[kind]})

    uvicorn.run(app, host="0.0.0.0", port=8080, log_level="warning", ws_max_size=2**24)
