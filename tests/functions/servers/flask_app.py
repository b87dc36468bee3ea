from fal_serverless import isolated

TAG, HOST, PORT = "tag", "0.0.0.0", 8080


@isolated(requirements=["flask"], exposed_port=PORT)
def serve():
    from flask import Flask

    app = Flask(__name__)

    @app.route("/")
    def index():
        return TAG

    app.run(host=HOST, port=PORT)
