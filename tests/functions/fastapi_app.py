from fal_serverless import isolated


@isolated(requirements=["fastapi", "uvicorn"], exposed_port=8080)
def fastapi_app():
    import uvicorn
    from fastapi import FastAPI

    app = FastAPI()

    @app.get("/")
    def call_str(str: str):
        return {"result": str}

    uvicorn.run(app, host="0.0.0.0", port=8080)
