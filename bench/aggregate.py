"""Aggregates over one series of 100,000 readings: how many a second, beside how fast they came in.

Starts a server of its own on a folder that it removes again; wants target/release/renkei (or --renkei).
Client and server share the machine's cores.
"""

import argparse
import datetime
import http.client
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.dont_write_bytecode = True

READINGS = 100_000
BATCH = 10_000
CLIENTS = 4
SENSOR = "urn:ngsi-ld:Sensor:1"
PATH = "/ngsi-ld/v1/temporal/entities"


def ask(connection, method, path, body=None):
    connection.request(method, path, body, {"Content-Type": "application/json"} if body else {})
    answer = connection.getresponse()
    text = answer.read()
    if answer.status not in (200, 201, 204):
        raise SystemExit(f"{method} {path}: {answer.status} {text[:300]!r}")
    return text


def load(port):
    begin = datetime.datetime(2024, 1, 1)
    bodies = []
    for first in range(0, READINGS, BATCH):
        readings = [
            {
                "type": "Property", "value": round(10 + number * 37 % 211 / 10, 1),
                "observedAt": (begin + datetime.timedelta(minutes=number)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
            for number in range(first, first + BATCH)
        ]
        bodies.append(json.dumps({"id": SENSOR, "type": "Sensor", "temperature": readings}))
    connection = http.client.HTTPConnection("127.0.0.1", port)
    started = time.monotonic()
    for body in bodies:
        ask(connection, "POST", PATH, body)
    return READINGS / (time.monotonic() - started)


def rate(port, period, seconds):
    path = f"{PATH}/{SENSOR}?options=aggregatedValues&aggrMethods=avg,max&aggrPeriodDuration={period}"
    first = json.loads(ask(http.client.HTTPConnection("127.0.0.1", port), "GET", path))
    counts, stop = [0] * CLIENTS, time.monotonic() + seconds

    def work(own):
        connection = http.client.HTTPConnection("127.0.0.1", port)
        while time.monotonic() < stop:
            ask(connection, "GET", path)
            counts[own] += 1

    threads = [threading.Thread(target=work, args=(own,)) for own in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(first["temperature"]["avg"]), sum(counts) / seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--renkei", default=str(Path(__file__).resolve().parent.parent / "target/release/renkei"))
    parser.add_argument("--seconds", type=float, default=5, help="each period (5)")
    options = parser.parse_args()
    folder = tempfile.mkdtemp()
    command = [options.renkei, "serve", "--data", f"{folder}/city", "--listen", "127.0.0.1:0", "--log", "warn", "--auth", "off"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        port = int(server.stdout.readline().rsplit(":", 1)[1])
        print(f"readings in: {load(port):,.0f}/s")
        for period in ("PT1H", "P1D", "P1M"):
            periods, per_second = rate(port, period, options.seconds)
            print(f"aggregates over {READINGS:,} readings, {period} ({periods} periods): {per_second:,.0f}/s")
    finally:
        server.terminate()
        server.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
