"""The Flask example with its view's argument taken from the query, as its author meant it."""

from fal_serverless import isolated


@isolated(requirements=["flask"], exposed_port=8080)
def flask_app():
    from flask import Flask, jsonify, request

    app = Flask(__name__)

    @app.route("/")
    def call_str():
        return jsonify({"result": request.args["str"]})

    app.run(host="0.0.0.0", port=8080)
