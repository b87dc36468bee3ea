from fal_serverless import isolated

TAG, HOST, PORT = "tag", "0.0.0.0", 8080


@isolated(requirements=["fastapi", "uvicorn"], exposed_port=PORT)
def serve():
    import uvicorn
    from fastapi import FastAPI
    from fastapi.responses import PlainTextResponse

    app = FastAPI()

    @app.get("/", response_class=PlainTextResponse)
    def index():
        return TAG

    uvicorn.run(app, host=HOST, port=PORT)
