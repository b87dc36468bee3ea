"""Functions among which some behave badly, each in its own way."""

import itertools
import os
import signal
import time

from fal_serverless import isolated


@isolated(serve=True, keep_alive=60, max_concurrency=2, min_concurrency=1)
def steady(number: int) -> int:
    return number


@isolated(serve=True, keep_alive=10)
def changing(number: int) -> int:
    return number


@isolated(serve=True, keep_alive=0)
def cold(number: int) -> int:
    return number


@isolated(serve=True, keep_alive=60, requirements=["itsdangerous==2.2.0"])
def built(number: int) -> int:
    return number


@isolated(serve=True, keep_alive=60)
def talks(first: int, count: int) -> int:
    for number in range(first, first + count):
        print("line", number)
    return count


@isolated(serve=True, keep_alive=60, max_concurrency=1, machine_type="XS")
def eats(bad: bool) -> str:
    kept = []
    while bad:
        kept.append(b"x" * (16 << 20))
    return "fine"


@isolated(serve=True, keep_alive=60, max_concurrency=1, request_timeout=1)
def spins(bad: bool) -> str:
    if bad:
        sum(itertools.repeat(1, 10**15))  # one step for Python: no signal, no other thread
    return "fine"


@isolated(serve=True, keep_alive=60, max_concurrency=1, request_timeout=1)
def ignores(bad: bool) -> str:
    if bad:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        while True:
            try:
                time.sleep(60)
            except BaseException:
                continue
    return "fine"


@isolated(serve=True, keep_alive=60, max_concurrency=1)
def closes(bad: bool) -> str:
    if bad:
        os.closerange(0, 4096)
        time.sleep(60)
    return "fine"


@isolated(serve=True, keep_alive=60, max_concurrency=1)
def forks(bad: bool) -> str:
    """For ever, as far as the machine is concerned: whoever tries this wants it to go on."""
    for _ in range(20_000 if bad else 0):
        if os.fork() == 0:
            time.sleep(600)
            os._exit(0)
    return "fine"


@isolated(exposed_port=8080, keep_alive=60)
def listens():
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    class Answers(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(200)
            self.send_header("Content-Length", "4")
            self.end_headers()
            self.wfile.write(b"fine")

        def log_message(self, *_):
            pass

    ThreadingHTTPServer(("", 8080), Answers).serve_forever()
