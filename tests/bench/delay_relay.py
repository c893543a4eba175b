"""A long way between a client and a server on one machine: `delay_relay.py PORT SERVER_PORT RTT_MILLISECONDS`.
Every byte arrives half a round trip later, the first ones one round trip more, for the handshake. It limits no
rate and emulates no slow start. (netem would do this in the kernel, which often is built without.)"""

import asyncio
import sys

AT_ONCE = 256 * 1024
UNDER_WAY = 256  # reads: more than any bandwidth here times the delay


async def main(port, server_port, round_trip):
    async def serve(reader, writer):
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", server_port)
        except OSError:
            writer.transport.abort()
            return
        await asyncio.gather(carry(reader, server_writer, round_trip / 2, round_trip),
                             carry(server_reader, writer, round_trip / 2, 0))

    server = await asyncio.start_server(serve, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


async def carry(reader, writer, delay, handshake):
    """One direction, to its end."""
    under_way = asyncio.Queue(UNDER_WAY)
    sender = asyncio.create_task(send(under_way, writer))
    clock = asyncio.get_running_loop().time
    established = clock() + handshake
    try:
        while data := await reader.read(AT_ONCE):
            await under_way.put((max(clock(), established) + delay, data))
    except OSError:
        writer.transport.abort()
    await under_way.put((clock() + delay, b""))
    await sender


async def send(under_way, writer):
    clock = asyncio.get_running_loop().time
    try:
        while True:
            due, data = await under_way.get()
            await asyncio.sleep(due - clock())
            if not data:
                break
            writer.write(data)
            await writer.drain()
        writer.close()
    except OSError:  # the peer has gone: what is still under way is lost, as on any network
        while (await under_way.get())[1]:
            pass


asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]) / 1000))
