"""A server that answers in ways which frameworks would not: byte by byte as written here."""

from fal_serverless import isolated


@isolated(exposed_port=8080, max_multiplexing=50, max_concurrency=1, keep_alive=60)
def scripted_server():
    import socket
    import struct
    import threading

    ANSWERS = {
        "304": b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: x\r\n\r\n",
        "204": b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
        "until-close": b"HTTP/1.0 200 OK\r\nX-A: 1\r\n\r\nall there is",
        "hints": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n"
        b"Content-Length: 4\r\n\r\nbody",
        "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Late\r\n\r\n"
        b"3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\nX-Late: 1\r\n\r\n",
        "two": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1HTTP/1.1 500 No\r\n"
        b"Content-Length: 1\r\n\r\n2",
        "odd": b"HTTP/1.1 299 Odd\r\nContent-Length: 0\r\n\r\n",
        "cut": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this",
        "cut-chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "nothing": b"",
        "nonsense": b"220 mail.example ESMTP\r\n",
        "early": b"HTTP/1.1 413 Too Much\r\nContent-Length: 8\r\n\r\ntoo much",
        "expect-refuse": b"HTTP/1.1 417 No\r\nContent-Length: 2\r\n\r\nno",
        "upgrade-refuse": b"HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno",
    }

    def answer(connection):
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(65536)
        head, _, body = head.partition(b"\r\n\r\n")
        name = head.split()[1].partition(b"?")[0].rpartition(b"/")[2].decode("latin-1")
        if name == "expect-accept":
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            while len(body) < 4:
                body += connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n" + body)
        elif name == "never":
            connection.recv(1)
        elif name == "reset":
            connection.sendall(ANSWERS["cut"])
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif name == "upgrade-refuse":
            connection.sendall(ANSWERS[name])
            print("after the refusal:", connection.recv(65536), flush=True)
        elif name in ANSWERS:
            connection.sendall(ANSWERS[name])
        else:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(head) + head)
        connection.close()

    listener = socket.create_server(("0.0.0.0", 8080), backlog=50)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection,), daemon=True).start()
