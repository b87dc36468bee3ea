from fal_serverless import isolated

TAG, HOST, PORT = "tag", "0.0.0.0", 8080


@isolated(requirements=["tornado"], exposed_port=PORT)
def serve():
    import asyncio

    from tornado.web import Application, RequestHandler

    class Index(RequestHandler):
        def get(self):
            self.write(TAG)

    async def main():
        # Without an address it binds 0.0.0.0 and ::, each by a socket of its own.
        Application([("/", Index)]).listen(PORT, "" if HOST == "0.0.0.0" else HOST)
        await asyncio.Event().wait()

    asyncio.run(main())
