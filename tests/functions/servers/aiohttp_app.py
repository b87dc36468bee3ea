from fal_serverless import isolated

TAG, HOST, PORT = "tag", "0.0.0.0", 8080


@isolated(requirements=["aiohttp"], exposed_port=PORT)
def serve():
    from aiohttp import web

    async def index(request):
        return web.Response(text=TAG)

    app = web.Application()
    app.add_routes([web.get("/", index)])
    web.run_app(app, host=HOST, port=PORT)
