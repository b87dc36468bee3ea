from fal_serverless import isolated

TAG, HOST, PORT = "tag", "0.0.0.0", 8080


def app(environ, start_response):
    start_response("200 OK", [("content-type", "text/plain")])
    return [TAG.encode()]


@isolated(requirements=["waitress"], exposed_port=PORT)
def serve():
    import waitress

    waitress.serve(app, host=HOST, port=PORT)
