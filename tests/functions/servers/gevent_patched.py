from fal_serverless import isolated

TAG, HOST, PORT = "tag", "0.0.0.0", 8080


@isolated(requirements=["gevent", "flask"], exposed_port=PORT)
def serve():
    from gevent import monkey

    monkey.patch_all()
    from flask import Flask
    from gevent.pywsgi import WSGIServer

    app = Flask(__name__)

    @app.route("/")
    def index():
        return TAG

    print("patched")
    WSGIServer((HOST, PORT), app).serve_forever()
