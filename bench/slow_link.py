"""A link on loopback that holds back what comes from the other end: `python slow_link.py PORT BACKEND_PORT SECONDS`."""

from __future__ import annotations

import asyncio
import sys


async def main(port: int, backend: int, seconds: float) -> None:
    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, wait: float) -> None:
        loop = asyncio.get_running_loop()
        try:
            while data := await reader.read(1 << 16):
                if wait:
                    loop.call_later(wait, writer.write, data)
                else:
                    writer.write(data)
        except OSError:
            pass
        finally:
            loop.call_later(wait, writer.close)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", backend)
        await asyncio.gather(carry(reader, far_writer, 0.0), carry(far_reader, writer, seconds))

    server = await asyncio.start_server(connected, "127.0.0.1", port)
    print("ready", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
