from fal_serverless import isolated

TAG, HOST, PORT = "tag", "0.0.0.0", 8080


async def app(scope, receive, send):
    if scope["type"] == "http":
        head = [(b"content-type", b"text/plain")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": TAG.encode()})


@isolated(requirements=["uvicorn", "uvloop", "httptools"], exposed_port=PORT)
def serve():
    import uvicorn

    uvicorn.run(app, host=HOST, port=PORT, loop="uvloop")
