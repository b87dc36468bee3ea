from fal_serverless import isolated

TAG, HOST, PORT = "tag", "0.0.0.0", 8080


async def app(scope, receive, send):
    if scope["type"] == "http":
        head = [(b"content-type", b"text/plain")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": TAG.encode()})


@isolated(requirements=["granian"], exposed_port=PORT)
def serve():
    from granian import Granian

    Granian("granian_app:app", address=HOST, port=PORT, interface="asgi").serve()
