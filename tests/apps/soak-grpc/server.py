"""A main that speaks gRPC and shows whether what passes through proxies arrives whole.
Messages are plain bytes.

/soak.Soak/Release  the release     /soak.Soak/Echo    the message
/soak.Soak/Events   a number every 100 ms, then "end"

On SIGTERM it takes no more calls, answers what it has, ends streams with their last
message, and goes. A release named "ill" ends at once.
"""

import asyncio
import signal
import sys
from pathlib import Path

import grpc

PORT = 8000
GRACE_SECONDS = 8
RELEASE = Path(__file__).with_name("release.txt").read_text().strip()

stopping = asyncio.Event()


async def release(request, context):
    return f"release {RELEASE}\n".encode()


async def echo(request, context):
    return request


async def events(request, context):
    number = 0
    while not stopping.is_set():
        yield str(number).encode()
        number += 1
        try:
            await asyncio.wait_for(stopping.wait(), 0.1)
        except asyncio.TimeoutError:
            pass
    yield b"end"


async def main():
    if RELEASE == "ill":
        sys.exit("I cannot go on")
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
    server = grpc.aio.server()
    methods = {
        "Release": grpc.unary_unary_rpc_method_handler(release),
        "Echo": grpc.unary_unary_rpc_method_handler(echo),
        "Events": grpc.unary_stream_rpc_method_handler(events),
    }
    handler = grpc.method_handlers_generic_handler("soak.Soak", methods)
    server.add_generic_rpc_handlers((handler,))
    server.add_insecure_port(f"0.0.0.0:{PORT}")
    await server.start()
    print(f"release {RELEASE} listens on {PORT}", flush=True)
    await stopping.wait()
    await server.stop(GRACE_SECONDS)
    print("nothing is left to do", flush=True)


asyncio.run(main())
