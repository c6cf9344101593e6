"""Connects to a place every so often and tells, a JSON line each, how it went. It runs by itself, in a pod's network.

    probe.py ADDRESS PORT EVERY WITHIN      seconds between attempts, and until one is given up

A line is [started, ended, answer, error]: moments of the machine's monotonic clock, and either the answer to GET /hostname or what went
wrong. It ends with its standard input, that is with whoever started it, however that ends.
"""

import asyncio
import json
import sys


async def main(address: str, port: int, every: float, within: float) -> None:
    """Start an attempt at each tick, whatever became of the earlier ones."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(sys.stdin, ended.set)
    attempts, tick = set(), loop.time()
    while not ended.is_set():
        attempt = asyncio.create_task(tell(address, port, within))
        attempts.add(attempt)
        attempt.add_done_callback(attempts.discard)
        # A tick that the machine was too busy for is left out: attempts in a bunch would make it no better.
        tick = max(tick + every, loop.time())
        await asyncio.sleep(tick - loop.time())
    await asyncio.gather(*attempts)


async def tell(address: str, port: int, within: float) -> None:
    """One attempt."""
    loop = asyncio.get_running_loop()
    started, answer, error = loop.time(), None, None
    try:
        async with asyncio.timeout(within):
            answer = await ask(address, port)
    except OSError as problem:
        # A timeout is one, too.
        error = type(problem).__name__
    sys.stdout.write(json.dumps([started, loop.time(), answer, error]) + "\n")
    sys.stdout.flush()


async def ask(address: str, port: int) -> str:
    """A connection of its own, and the name of the pod that answers."""
    reader, writer = await asyncio.open_connection(address, port)
    try:
        writer.write(f"GET /hostname HTTP/1.0\r\nHost: {address}\r\n\r\n".encode())
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    finally:
        writer.close()
    if not body:
        raise ConnectionError(f"no answer but {head!r}")
    return body.decode().strip()


if __name__ == "__main__":
    words = sys.argv[1:]
    asyncio.run(main(words[0], int(words[1]), float(words[2]), float(words[3])))
