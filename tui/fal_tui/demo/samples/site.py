"""A web server of its own behind an exposed port, from the standard library only."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from fal_serverless import isolated


class Page(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = f"<h1>{self.path}</h1><p>served by http.server behind fal-serverless</p>".encode()
        self.send_response(404 if self.path.startswith("/missing") else 200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@isolated(exposed_port=8080, keep_alive=60)
def site() -> None:
    """Every path is a page; /missing is not."""
    ThreadingHTTPServer(("0.0.0.0", 8080), Page).serve_forever()
