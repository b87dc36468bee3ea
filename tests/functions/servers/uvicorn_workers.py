from fal_serverless import isolated

TAG, HOST, PORT = "tag", "0.0.0.0", 8080


async def app(scope, receive, send):
    if scope["type"] == "http":
        head = [(b"content-type", b"text/plain")]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        await send({"type": "http.response.body", "body": TAG.encode()})


@isolated(requirements=["uvicorn"], exposed_port=PORT)
def serve():
    import uvicorn

    uvicorn.run("uvicorn_workers:app", host=HOST, port=PORT, workers=2)
