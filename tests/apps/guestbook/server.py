"""The guestbook's pages, and endpoints that show what passes through a proxy.

/             entries and a form          /up        200 once everything answers
/entries      POST a form, GET JSON       /info      release, host, versions
/headers      the request's headers       /events    a stream of server-sent events
/upload       counts what is sent         /ws        a WebSocket that echoes
/slow         answers after ?seconds=
"""

import hashlib
import html
import json
import os
import signal
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import store
import websocket

PORT = 8000
RELEASE = Path(__file__).with_name("release.txt").read_text().strip()
CHUNK = 64 * 1024

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Guestbook</title>
<link rel="stylesheet" href="/static/style.css">
<h1>Guestbook</h1>
<form method="post" action="/entries">
<input name="author" placeholder="Your name" maxlength="100" required>
<textarea name="text" placeholder="What you want to say" maxlength="1000" required></textarea>
<button>Sign</button>
</form>
<ul>
{entries}
</ul>
<footer>Release {release} on {host}. Visit {visits}. MySQL {mysql}, Redis {redis}.</footer>
</html>
"""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body leave in two writes; without this the second waits for
    # the first one's acknowledgement.
    disable_nagle_algorithm = True

    def setup(self):
        super().setup()
        self.server.idle.add(self.connection)

    def finish(self):
        self.server.idle.discard(self.connection)
        super().finish()

    def do_GET(self):
        self.route(
            {
                "/": self.index,
                "/entries": self.list_entries,
                "/up": self.up,
                "/info": self.info,
                "/headers": self.show_headers,
                "/events": self.events,
                "/slow": self.slow,
                "/ws": self.websocket,
            }
        )

    def do_POST(self):
        self.route({"/entries": self.add_entry, "/upload": self.upload})

    def route(self, pages):
        url = urlsplit(self.path)
        self.query = {key: values[-1] for key, values in parse_qs(url.query).items()}
        page = pages.get(url.path, self.not_found)
        self.server.idle.discard(self.connection)
        try:
            page()
        except (BrokenPipeError, ConnectionError):
            self.close_connection = True
        except Exception as error:
            self.log_error("%s", repr(error))
            self.close_connection = True
            self.answer(500, "text/plain; charset=utf-8", f"{type(error).__name__}\n")
        finally:
            self.server.idle.add(self.connection)
            if self.server.stopping:
                self.close_connection = True

    def answer(self, status, kind, text, headers=()):
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def answer_json(self, value):
        self.answer(200, "application/json", json.dumps(value) + "\n")

    def body(self):
        """The request's body in pieces, with a length or chunked."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline() not in (b"\r\n", b"\n", b""):
                pass
            return
        left = int(self.headers.get("Content-Length", 0))
        while left > 0:
            piece = self.rfile.read(min(left, CHUNK))
            if not piece:
                raise ConnectionError("the body ended early")
            left -= len(piece)
            yield piece

    def not_found(self):
        self.close_connection = True
        self.answer(404, "text/plain; charset=utf-8", "There is no such page.\n", [("Connection", "close")])

    def index(self):
        entries = "\n".join(
            f"<li><b>{html.escape(author)}</b>: {html.escape(text)} <small>{made}</small></li>"
            for author, text, made in store.entries()
        )
        page = PAGE.format(
            entries=entries,
            release=html.escape(RELEASE),
            host=socket.gethostname(),
            visits=store.visit(),
            **store.versions(),
        )
        self.answer(200, "text/html; charset=utf-8", page)

    def list_entries(self):
        self.answer_json([{"author": author, "text": text} for author, text, _ in store.entries()])

    def add_entry(self):
        form = parse_qs(b"".join(self.body()).decode())
        store.add(form["author"][-1], form["text"][-1])
        self.answer(303, "text/plain; charset=utf-8", "Thank you.\n", [("Location", "/")])

    def up(self):
        store.check()
        self.answer(200, "text/plain; charset=utf-8", "ok\n")

    def info(self):
        self.answer_json({"release": RELEASE, "host": socket.gethostname(), **store.versions()})

    def show_headers(self):
        self.answer_json({"client": self.client_address[0], "headers": list(self.headers.items())})

    def events(self):
        """?count= events, ?pause= seconds apart, each sent when it happens."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        self.end_headers()
        for number in range(int(self.query.get("count", 3))):
            if number:
                time.sleep(float(self.query.get("pause", 0.2)))
            self.wfile.write(f"data: {number}\n\n".encode())
            self.wfile.flush()
        self.close_connection = True

    def slow(self):
        time.sleep(float(self.query.get("seconds", 1)))
        self.answer(200, "text/plain; charset=utf-8", f"{RELEASE}\n")

    def upload(self):
        size, digest = 0, hashlib.sha256()
        for piece in self.body():
            size += len(piece)
            digest.update(piece)
        self.answer_json({"bytes": size, "sha256": digest.hexdigest()})

    def websocket(self):
        key = self.headers.get("Sec-WebSocket-Key")
        if not key:
            self.answer(400, "text/plain; charset=utf-8", "This is a WebSocket.\n")
            return
        self.send_response(101)
        self.send_header("Upgrade", "websocket")
        self.send_header("Connection", "Upgrade")
        self.send_header("Sec-WebSocket-Accept", websocket.accept(key))
        self.end_headers()
        self.wfile.flush()
        self.close_connection = True
        websocket.echo(self.rfile, self.wfile)


class Server(ThreadingHTTPServer):
    # What has begun is finished before the process ends.
    daemon_threads = False
    request_queue_size = 128

    def __init__(self, address, handler):
        super().__init__(address, handler)
        self.stopping = False
        # Connections between two requests.
        self.idle = set()

    def stop(self):
        self.stopping = True
        self.shutdown()
        for connection in list(self.idle):
            connection.shutdown(socket.SHUT_RD)


def main():
    print(f"guestbook, release {RELEASE}", flush=True)
    store.prepare(seconds=60)
    server = Server(("", PORT), Handler)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.stop).start())
    print(f"listening on {PORT} as {os.getpid()}", flush=True)
    server.serve_forever()
    server.server_close()


if __name__ == "__main__":
    main()
