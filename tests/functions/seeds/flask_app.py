@isolated(requirements=["flask"], exposed_port=8080)
def flask_app():
    from flask import Flask, jsonify, request

    app = Flask(__name__)

    @app.route("/")
    def call_str(str):
        return jsonify({"result": str})

    app.run(host="0.0.0.0", port=8080)
