"""As much of RFC 6455 as an echo needs: unfragmented frames from a client."""

import base64
import hashlib
import struct

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CLOSE, PING, PONG = 8, 9, 10


def accept(key):
    return base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()


def _read(stream, count):
    data = stream.read(count)
    if len(data) < count:
        raise ConnectionError("the client went away")
    return data


def read_frame(stream):
    first, second = _read(stream, 2)
    length = second & 0x7F
    if length == 126:
        (length,) = struct.unpack("!H", _read(stream, 2))
    elif length == 127:
        (length,) = struct.unpack("!Q", _read(stream, 8))
    mask = _read(stream, 4)
    payload = bytes(byte ^ mask[at % 4] for at, byte in enumerate(_read(stream, length)))
    return first & 0x0F, payload


def write_frame(stream, kind, payload):
    head = bytes([0x80 | kind])
    if len(payload) < 126:
        head += bytes([len(payload)])
    elif len(payload) < 65536:
        head += struct.pack("!BH", 126, len(payload))
    else:
        head += struct.pack("!BQ", 127, len(payload))
    stream.write(head + payload)
    stream.flush()


def echo(reader, writer):
    """Answers every message with itself, until the client closes."""
    while True:
        kind, payload = read_frame(reader)
        if kind == CLOSE:
            write_frame(writer, CLOSE, payload)
            return
        if kind == PING:
            write_frame(writer, PONG, payload)
        elif kind != PONG:
            write_frame(writer, kind, payload)
