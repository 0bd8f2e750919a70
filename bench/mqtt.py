#!/usr/bin/env python3
"""Messages against a server that runs: readings of QoS 1 from many connections, and connections that do nothing.

    renkei serve --data ./city --auth off --mqtt 127.0.0.1:1883
    python3 bench/mqtt.py 127.0.0.1:1883
    python3 bench/mqtt.py 127.0.0.1:1883 --idle 10000 --pid PID      how much memory they take

Each connection has one message under way: it sends the next when the last is acknowledged. Beside a server on the
same two cores the client takes about one of them. Against another broker: --topic plain.
"""

import argparse
import select
import socket
import sys
import time


def length(value):
    out = b""
    while True:
        byte, value = value & 127, value >> 7
        out += bytes([byte | (128 if value else 0)])
        if not value:
            return out


def connect(address, name, keep_alive):
    client = socket.create_connection(address)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    body = b"\0\4MQTT\4\2" + keep_alive.to_bytes(2, "big") + len(name).to_bytes(2, "big") + name
    client.sendall(b"\x10" + length(len(body)) + body)
    answer = client.recv(4)
    if answer[3:] != b"\0":
        sys.exit(f"CONNECT was answered with {answer.hex()}")
    return client


def reading(topic, number):
    entity = b'{"id":"urn:ngsi-ld:Meter:%d","type":"Meter","reading":{"type":"Property","value":%d}}' % (number, number)
    body = len(topic).to_bytes(2, "big") + topic + b"\0\1" + entity
    return b"\x32" + length(len(body)) + body


def load(address, topic, connections, seconds):
    poll, clients, sent, waits, done = select.epoll(), {}, {}, [], 0
    for number in range(connections):
        client = connect(address, b"bench-%d" % number, 60)
        clients[client.fileno()] = (client, reading(topic, number))
        poll.register(client.fileno(), select.EPOLLIN)
    began = time.time()
    for file, (client, message) in clients.items():
        client.sendall(message)
        sent[file] = time.time()
    while time.time() - began < seconds:
        for file, _ in poll.poll(1):
            client, message = clients[file]
            taken = client.recv(64)
            if not taken:
                sys.exit("the server ended a connection")
            now = time.time()
            waits.append(now - sent[file])
            done += len(taken) // 4
            client.sendall(message)
            sent[file] = now
    took, waits = time.time() - began, sorted(waits)
    at = lambda share: 1000 * waits[int(len(waits) * share)]
    print(f"{done / took:,.0f} messages of QoS 1 a second from {connections} connections for {took:.0f} s, ", end="")
    print(f"acknowledged after {at(0.5):.1f} ms at the median and {at(0.99):.1f} ms at p99")


def idle(address, connections, pid):
    def resident():
        with open(f"/proc/{pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024

    before = resident()
    clients = [connect(address, b"idle-%d" % number, 0) for number in range(connections)]
    time.sleep(2)
    print(f"{len(clients)} connections that do nothing: {before:.0f} MiB before, {resident():.0f} MiB with them")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address")
    parser.add_argument("--topic", default="ngsi-ld/upsert")
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--idle", type=int)
    parser.add_argument("--pid", type=int)
    given = parser.parse_args()
    host, port = given.address.rsplit(":", 1)
    if given.idle:
        idle((host, int(port)), given.idle, given.pid)
    else:
        load((host, int(port)), given.topic.encode(), given.connections, given.seconds)


main()
