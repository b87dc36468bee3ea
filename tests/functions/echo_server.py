"""A server of the standard library that says what reached it."""

from fal_serverless import isolated


@isolated(exposed_port=8080, max_multiplexing=20, max_concurrency=1, keep_alive=60)
def echo_server():
    import base64
    import hashlib
    import json
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def read_body(self):
            if "chunked" in self.headers.get("Transfer-Encoding", ""):
                body = b""
                while size := int(self.rfile.readline(), 16):
                    body += self.rfile.read(size)
                    self.rfile.readline()
                self.rfile.readline()
                return body
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def answer(self):
            if self.path.startswith("/ws"):
                return self.websocket()
            if self.path.startswith("/stream"):
                return self.stream()
            body = self.read_body()
            status = int(self.path.rpartition("/status/")[2]) if "/status/" in self.path else 200
            said = {
                "method": self.command,
                "path": self.path,
                "headers": [[name.lower(), value] for name, value in self.headers.items()],
                "size": len(body),
                "sha": hashlib.sha256(body).hexdigest(),
            }
            data = b"" if status in (204, 304) else json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Set-Cookie", "a=1")
            self.send_header("Set-Cookie", "b=2")
            if status != 204:
                self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def stream(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.chunk(b"data: first\n\n")
            if self.path == "/stream/until-gone":
                try:
                    while True:
                        self.chunk(b": more\n\n")
                except OSError:
                    print("the caller has gone", flush=True)
                    return
            self.chunk(b"data: last\n\n")
            self.wfile.write(b"0\r\n\r\n")

        def chunk(self, data):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
            self.wfile.flush()

        def websocket(self):
            key = self.headers["Sec-WebSocket-Key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
            accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
            self.send_response(101)
            self.send_header("Upgrade", "websocket")
            self.send_header("Connection", "Upgrade")
            self.send_header("Sec-WebSocket-Accept", accept)
            self.end_headers()
            while data := self.rfile.read1(65536):
                self.wfile.write(data[::-1])
            self.close_connection = True

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_OPTIONS = answer

        def log_message(self, *args):
            pass

    ThreadingHTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
