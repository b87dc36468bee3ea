from fal_serverless import isolated

TAG, HOST, PORT = "tag", "0.0.0.0", 8080


@isolated(requirements=["fastapi", "uvicorn", "uvloop", "httptools", "aiohttp"], exposed_port=PORT)
def serve():
    import aiohttp
    import uvicorn
    from fastapi import FastAPI
    from fastapi.responses import PlainTextResponse

    app = FastAPI()

    @app.get("/", response_class=PlainTextResponse)
    async def index():
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{PORT}/inner") as answer:
                return await answer.text()

    @app.get("/inner", response_class=PlainTextResponse)
    async def inner():
        return TAG

    uvicorn.run(app, host=HOST, port=PORT, loop="uvloop")
