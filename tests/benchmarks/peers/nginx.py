"""nginx in front of FastAPI: what people put before a framework when they need a gateway."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

from benchmarks import processes
from benchmarks.peers.peer import Absent, Running, Shop
from benchmarks.peers.programs import FASTAPI_DEF, direct

CONFIGURATION = """\
daemon off;
worker_processes auto;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream app {{ server 127.0.0.1:{upstream}; keepalive 64; }}
    server {{
        listen 127.0.0.1:{port};
        keepalive_requests 100000000;
        client_max_body_size 100m;
        client_body_buffer_size 1m;
        location / {{
            proxy_pass http://app;
            proxy_buffers 16 64k;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
        }}
    }}
}}
"""
PLACES = "/usr/sbin:/usr/local/sbin"
"""Where it is on systems whose users have only `bin` on their path."""


class Nginx:
    """Two programs, measured as one."""

    name = "nginx"
    title = "nginx to FastAPI def"

    def __init__(self) -> None:
        self._fastapi = replace(FASTAPI_DEF, name="nginx_fastapi")
        self._command = ""
        self._folder = Path()

    def prepare(self, shop: Shop) -> None:
        found = shutil.which("nginx") or shutil.which("nginx", path=PLACES)
        if found is None:
            raise Absent("not installed; on Debian: apt-get install nginx-light")
        self._command = found
        self._folder = shop.room(self.name)
        self._fastapi.prepare(shop)

    def start(self) -> Running:
        behind = self._fastapi.start()
        port = processes.free_port()
        written = self._folder / "nginx.conf"
        written.write_text(
            CONFIGURATION.format(folder=self._folder, port=port, upstream=behind.place.port)
        )
        command = [self._command, "-c", str(written), "-e", str(self._folder / "error.log")]
        front = processes.start(command, os.environ, self._folder)

        def stop() -> None:
            processes.end(front)
            behind.stop()

        return Running((front.pid, *behind.pids), direct(port), stop)
