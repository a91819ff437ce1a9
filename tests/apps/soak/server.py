"""A main that shows whether what passes through proxies arrives whole.

GET  /up      ok                            POST /echo    the body, once all of it is there
GET  /        the release                   GET  /events  a number every 100 ms, then "end"
                                            GET  /ws      a WebSocket that echoes

On SIGTERM it takes no more connections, answers what it has, ends streams with their
last event and WebSockets with a closing handshake, and goes. A release named "ill"
says at /up that it is not well.
"""

import asyncio
import base64
import hashlib
import signal
import struct
from pathlib import Path

PORT = 8000
RELEASE = Path(__file__).with_name("release.txt").read_text().strip()
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
GOING_AWAY = struct.pack("!H", 1001)

stopping = asyncio.Event()
# Connections between two requests.
idle = set()
at_work = set()


async def read_head(reader):
    """The request's method, path and fields; None at the end of the connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    line, *fields = head.decode("latin-1").split("\r\n")[:-2]
    method, path, _ = line.split(" ")
    names = (field.split(":", 1) for field in fields)
    return method, path, {name.lower(): value.strip() for name, value in names}


async def read_body(reader, fields):
    if fields.get("transfer-encoding", "").lower() != "chunked":
        return await reader.readexactly(int(fields.get("content-length", 0)))
    pieces = []
    while size := int((await reader.readline()).split(b";")[0], 16):
        pieces.append(await reader.readexactly(size))
        await reader.readline()
    while await reader.readline() not in (b"\r\n", b""):
        pass
    return b"".join(pieces)


def answer(writer, status, body, keep):
    kept = "keep-alive" if keep else "close"
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: {kept}\r\n\r\n"
    writer.write(head.encode() + body)


async def stream_events(writer):
    writer.write(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
        b"Cache-Control: no-store\r\nTransfer-Encoding: chunked\r\n\r\n"
    )

    def event(data):
        text = f"data: {data}\n\n".encode()
        writer.write(b"%x\r\n%s\r\n" % (len(text), text))

    number = 0
    while not stopping.is_set():
        event(number)
        await writer.drain()
        number += 1
        try:
            await asyncio.wait_for(stopping.wait(), 0.1)
        except asyncio.TimeoutError:
            pass
    event("end")
    writer.write(b"0\r\n\r\n")


async def read_frame(reader):
    first, second = await reader.readexactly(2)
    length = second & 0x7F
    if length == 126:
        (length,) = struct.unpack("!H", await reader.readexactly(2))
    mask = await reader.readexactly(4)
    payload = await reader.readexactly(length)
    return first & 0x0F, bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


def write_frame(writer, kind, payload):
    """A frame of at most 125 bytes."""
    writer.write(bytes([0x80 | kind, len(payload)]) + payload)


async def say_goodbye(writer):
    await stopping.wait()
    write_frame(writer, CLOSE, GOING_AWAY)


async def websocket(reader, writer, fields):
    accept = base64.b64encode(hashlib.sha1(fields["sec-websocket-key"].encode() + GUID).digest())
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )
    goodbye = asyncio.create_task(say_goodbye(writer))
    try:
        while True:
            kind, payload = await read_frame(reader)
            if kind == CLOSE:
                if not goodbye.done():
                    write_frame(writer, CLOSE, payload)
                return
            if kind == PING:
                write_frame(writer, PONG, payload)
            elif kind in (TEXT, BINARY) and not goodbye.done():
                write_frame(writer, kind, payload)
            await writer.drain()
    finally:
        goodbye.cancel()


async def serve_requests(reader, writer):
    while not stopping.is_set():
        idle.add(writer)
        head = await read_head(reader)
        idle.discard(writer)
        if head is None:
            return
        method, path, fields = head
        if path == "/ws":
            return await websocket(reader, writer, fields)
        body = await read_body(reader, fields)
        if path == "/events":
            await stream_events(writer)
        else:
            pages = {
                ("GET", "/"): f"release {RELEASE}\n".encode(),
                ("GET", "/up"): b"ok\n",
                ("POST", "/echo"): body,
            }
            found = pages.get((method, path))
            status = "404 Not Found" if found is None else "200 OK"
            if path == "/up" and RELEASE == "ill":
                status = "503 Service Unavailable"
            keep = fields.get("connection", "").lower() != "close" and not stopping.is_set()
            answer(writer, status, found or b"", keep)
            if not keep:
                return
        await writer.drain()


async def serve_connection(reader, writer):
    at_work.add(asyncio.current_task())
    try:
        await serve_requests(reader, writer)
        await writer.drain()
    except (ConnectionError, asyncio.IncompleteReadError) as error:
        print(f"a client went away: {error!r}", flush=True)
    finally:
        at_work.discard(asyncio.current_task())
        idle.discard(writer)
        writer.close()


async def main():
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    server = await asyncio.start_server(serve_connection, "", PORT, backlog=128)
    print(f"release {RELEASE} listens on {PORT}", flush=True)
    await stopping.wait()
    server.close()
    for writer in idle:
        writer.close()
    if at_work:
        await asyncio.wait(at_work)
    print("nothing is left to do", flush=True)


asyncio.run(main())
