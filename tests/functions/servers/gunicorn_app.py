from fal_serverless import isolated

TAG, HOST, PORT = "tag", "0.0.0.0", 8080


def app(environ, start_response):
    start_response("200 OK", [("content-type", "text/plain")])
    return [TAG.encode()]


@isolated(requirements=["gunicorn"], exposed_port=PORT)
def serve():
    from gunicorn.app.base import BaseApplication

    class Server(BaseApplication):
        def load_config(self):
            self.cfg.set("bind", f"[{HOST}]:{PORT}" if ":" in HOST else f"{HOST}:{PORT}")
            self.cfg.set("workers", 2)

        def load(self):
            return app

    Server().run()
