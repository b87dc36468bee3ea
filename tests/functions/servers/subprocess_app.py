from fal_serverless import isolated

TAG, HOST, PORT = "tag", "0.0.0.0", 8080


@isolated(requirements=[], exposed_port=PORT)
def serve():
    import pathlib
    import subprocess
    import sys

    pathlib.Path("index.html").write_text(TAG)
    subprocess.run([sys.executable, "-m", "http.server", str(PORT), "--bind", HOST])
