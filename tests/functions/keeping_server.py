"""A server that keeps connections, in ways of its own: the path says which."""

from fal_serverless import isolated


@isolated(exposed_port=8080, max_multiplexing=50, max_concurrency=1, keep_alive=60)
def keeping_server():
    import itertools
    import socket
    import threading

    numbers = itertools.count(1)
    poison = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"

    def answer(connection):
        number, rest = next(numbers), b""
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            while b"\r\n\r\n" not in rest:
                more = connection.recv(65536)
                if not more:
                    return
                rest += more
            head, _, rest = rest.partition(b"\r\n\r\n")
            lines = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
            length = int(lines.get(b"content-length", 0))
            while len(rest) < length:
                rest += connection.recv(65536)
            rest = rest[length:]
            way = head.split()[1].rpartition(b"/")[2].decode()
            body = b"connection %d" % number
            start = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
            if way == "in-pieces":
                for byte in start + body:
                    connection.sendall(bytes([byte]))
            elif way == "more-than-said":
                connection.sendall(start + body + poison)
            elif way == "more-later":
                connection.sendall(start + body)
                threading.Timer(0.05, connection.sendall, (poison,)).start()
            else:
                connection.sendall(start)
                connection.sendall(body)
            if way == "silent-end":
                connection.shutdown(socket.SHUT_RDWR)
                return

    listener = socket.create_server(("0.0.0.0", 8080), backlog=50)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection,), daemon=True).start()
