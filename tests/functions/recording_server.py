"""A server that keeps every byte that reached it, and tells them on GET /told."""

from fal_serverless import isolated


@isolated(exposed_port=8080, max_multiplexing=50, max_concurrency=1, keep_alive=60)
def recording_server():
    import json
    import socket
    import threading

    reached, parts = [], {}

    def whole(data):
        """How long the first request in it is; 0: not all of it is there."""
        head, end, body = data.partition(b"\r\n\r\n")
        if not end:
            return 0
        fields = dict(
            line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line
        )
        if fields.get(b"transfer-encoding") == b"chunked":
            at = body.find(b"0\r\n\r\n")
            return 0 if at < 0 else len(head) + 4 + at + 5
        length = int(fields.get(b"content-length", 0))
        return len(head) + 4 + length if len(body) >= length else 0

    def answer(connection):
        data = b""
        while came := connection.recv(65536):
            data += came
            while size := whole(data):
                request, data = data[:size], data[size:]
                said = b"ok"
                if request.startswith(b"GET /told"):
                    told = [one.decode("latin-1") for one in (*reached, *parts.values()) if one]
                    said = json.dumps(told).encode()
                    reached.clear()
                    parts.clear()
                else:
                    reached.append(request)
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(said), said)
                )
            parts[connection] = data

    listener = socket.create_server(("0.0.0.0", 8080), backlog=50)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection,), daemon=True).start()
