"""`make bench`: Renkei and the PostgreSQL floor in turns on one machine, written to docs/reference/benchmarks.md.

Both sides do each workload one after the other, several times; medians are reported, so that a change in the
machine's mood meets both. Neither side gets work while the other is measured. Builds nothing: it wants
target/release/renkei (or --renkei). `--quick` is for trying it out, not for figures to be quoted.
"""

import argparse
import http.client
import json
import os
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

# No cache folder beside the sources.
sys.dont_write_bytecode = True

from floor import Floor, READINGS_IN_BATCH, warm_up_s

ROOT = Path(__file__).resolve().parent.parent
WORKLOADS = Floor.WORKLOADS
MILLION = 1_000_000
# The table of targets of the first issue: at this many connections, at least this.
TARGET_CONNECTIONS = 256
TARGETS = {
    "create": ("1.2x the floor", lambda rate, ratio: ratio is not None and ratio >= 1.2),
    "update-attribute": ("1.5x the floor", lambda rate, ratio: ratio is not None and ratio >= 1.5),
    "retrieve": ("15,000 requests/s", lambda rate, ratio: rate >= 15_000),
    "readings": ("16,100 readings/s", lambda rate, ratio: rate * READINGS_IN_BATCH >= 16_100),
}


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def fsync_p50_ms(directory):
    """What one durable append of 4 KiB costs on this disk: the price of a lone write for everybody."""
    path = os.path.join(directory, "fsync-probe")
    took = []
    with open(path, "wb", buffering=0) as file:
        for _ in range(300):
            file.write(b"\x5a" * 4096)
            begin = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append((time.perf_counter() - begin) * 1000)
    os.unlink(path)
    return statistics.median(took)


def first(path, prefix):
    for line in Path(path).read_text().splitlines():
        if line.startswith(prefix):
            return line.split(":", 1)[1].strip()
    return "unknown"


def output(*command):
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True).stdout.strip()
    except OSError:
        return ""


def hardware(directory):
    return {
        "processor": first("/proc/cpuinfo", "model name"),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(int(first("/proc/meminfo", "MemTotal").split()[0]) / 2**20, 1),
        "kernel": platform.release(),
        "file_system": output("findmnt", "-no", "FSTYPE", "-T", str(directory)) or "unknown",
        "fsync_p50_ms": round(fsync_p50_ms(directory), 3),
    }


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def resident_bytes(pid):
    return int(first(f"/proc/{pid}/status", "VmRSS").split()[0]) * 1024


class Renkei:
    """A running server on a data folder of its own."""

    READY_S_MAX = 600

    def __init__(self, binary, data):
        self.binary, self.data = binary, data
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = open(f"{data}.log", "a", encoding="utf-8")
        begin = time.monotonic()
        self.process = subprocess.Popen(
            [binary, "serve", "--data", data, "--listen", f"127.0.0.1:{self.port}", "--auth", "off"],
            stdout=subprocess.PIPE, stderr=self.log, text=True,
        )
        # A server that never gets ready must not hold the run for ever.
        watchdog = threading.Timer(self.READY_S_MAX, self.process.kill)
        watchdog.start()
        for line in self.process.stdout:
            if line.startswith("ready "):
                break
        else:
            raise SystemExit(f"bench: renkei serve ended without getting ready, see {self.log.name}")
        watchdog.cancel()
        self.ready_s = time.monotonic() - begin
        # What it prints later must not fill the pipe.
        threading.Thread(target=lambda: [None for _ in self.process.stdout], daemon=True).start()

    def load(self, workload, connections, seconds, entities, *more, warm_up=2):
        command = [
            self.binary, "bench", "--url", self.url, "--workload", workload, "--connections", str(connections),
            "--seconds", str(seconds), "--warm-up", str(warm_up), "--entities", str(entities),
            "--batch", str(READINGS_IN_BATCH), "--pid", str(self.process.pid), *more,
        ]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            result = json.loads(done.stdout)
        except ValueError:
            raise SystemExit(f"bench: {' '.join(command)} failed: {done.stderr.strip()[-800:]}") from None
        result["failed"] = done.returncode != 0
        if result["failed"]:
            say(f"  WRONG ANSWERS in {workload}: {result.get('first_failure')}")
        return result

    def resident_bytes(self):
        return resident_bytes(self.process.pid)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                say("renkei did not stop within 60 s of SIGTERM and is killed")
                self.process.kill()
                self.process.wait()
        self.log.close()


def median_of(results):
    """The median of each figure; a failure of one is a failure of all."""
    results = [result for result in results if result]
    if not results:
        return None
    merged = dict(results[0])
    for name in ("requests_per_s", "readings_per_s", "server_cpu_us_per_request"):
        if name in merged:
            merged[name] = statistics.median(result[name] for result in results)
    merged["latency_ms"] = {
        name: statistics.median(result["latency_ms"][name] for result in results)
        for name in ("p50", "p95", "p99")
        if all(result["latency_ms"].get(name) is not None for result in results)
    }
    merged["failed"] = any(result.get("failed") for result in results)
    merged["all_requests_per_s"] = [result["requests_per_s"] for result in results]
    return merged


def compare(options, directory):
    """All workloads in turns; returns (our rows, the floor's rows), by workload and connections."""
    floor = None
    if not options.no_floor:
        say(f"starting PostgreSQL and loading {options.entities:,} entities into the floor")
        floor = Floor(directory, options.entities)
    ours, theirs = {}, {}
    renkei = Renkei(options.renkei, fresh(directory, "renkei"))
    try:
        facts = {"ready_empty_s": round(renkei.ready_s, 3)}
        time.sleep(2)
        facts["resident_idle_bytes"] = renkei.resident_bytes()
        say(f"loading {options.entities:,} entities into Renkei")
        renkei.load("retrieve", 8, 0.5, options.entities, "--preload", warm_up=0)
        facts["resident_loaded_bytes"] = renkei.resident_bytes()
        for repetition in range(options.repetitions):
            for connections in options.connections:
                for workload in options.workloads:
                    key = (workload, connections)
                    if floor:
                        variants = [workload] + [name for name in Floor.SERVING if name == f"{workload}-serving"]
                        for variant in variants:
                            row = floor.measure(variant, connections, options.seconds, warm_up_s(connections))
                            theirs.setdefault((variant, connections), []).append(row)
                    more = ["--preload"] if workload == "readings" and key not in ours else []
                    row = renkei.load(workload, connections, options.seconds, options.entities, *more, warm_up=warm_up_s(connections))
                    ours.setdefault(key, []).append(row)
                    other = theirs.get(key, [None])[-1]
                    say(
                        f"{repetition + 1}/{options.repetitions} {workload} at {connections}: {row['requests_per_s']:,.0f}/s"
                        + (f", floor {other['requests_per_s']:,.0f}/s" if other else "")
                    )
        facts["resident_after_bytes"] = renkei.resident_bytes()
        if options.minutes:
            facts["sustained"] = sustained(renkei, options)
        if floor:
            facts["floor"] = {
                "version": floor.version, "postgis": floor.postgis, "entity_bytes": floor.entity_bytes(),
            }
    finally:
        renkei.stop()
        if floor:
            floor.stop()
    return {key: median_of(rows) for key, rows in ours.items()}, {k: median_of(rows) for k, rows in theirs.items()}, facts


def sustained(renkei, options):
    """Readings without a pause, minute by minute: memory must stay flat and the rate must hold."""
    minutes = []
    for minute in range(options.minutes):
        row = renkei.load("readings", TARGET_CONNECTIONS, 60, options.entities, warm_up=0)
        row["resident_bytes"] = renkei.resident_bytes()
        minutes.append(row)
        say(f"minute {minute + 1}/{options.minutes}: {row['readings_per_s']:,.0f} readings/s, {mib(row['resident_bytes'])} MiB")
    return [
        {
            "readings_per_s": row["readings_per_s"], "p99_ms": row["latency_ms"]["p99"],
            "resident_bytes": row["resident_bytes"], "failed": row["failed"],
        }
        for row in minutes
    ]


def million(options, directory):
    """Memory and start with a million entities of five attributes."""
    data = fresh(directory, "renkei-million")
    renkei = Renkei(options.renkei, data)
    say("loading 1,000,000 entities of five attributes")
    begin = time.monotonic()
    failures, next_batch, lock = [], iter(range(0, MILLION, 500)), threading.Lock()

    def work():
        connection = http.client.HTTPConnection("127.0.0.1", renkei.port, timeout=60)
        while not failures:
            with lock:
                start = next(next_batch, None)
            if start is None:
                return
            body = json.dumps([five_attributes(number) for number in range(start, start + 500)])
            connection.request(
                "POST", "/ngsi-ld/v1/entityOperations/upsert", body, {"Content-Type": "application/json"}
            )
            answer = connection.getresponse()
            text = answer.read()
            if answer.status not in (201, 204):
                failures.append(f"{answer.status}: {text[:300]!r}")

    def guarded():
        try:
            work()
        except OSError as error:
            failures.append(str(error))

    workers = [threading.Thread(target=guarded) for _ in range(4)]
    try:
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        if failures:
            raise SystemExit(f"bench: loading a million entities failed: {failures[0]}")
        took_s = time.monotonic() - begin
        facts = {"load_s": round(took_s, 1), "resident_bytes": renkei.resident_bytes()}
        renkei.stop()
        renkei = Renkei(options.renkei, data)
        facts["ready_s"] = round(renkei.ready_s, 3)
        time.sleep(2)
        facts["resident_after_restart_bytes"] = renkei.resident_bytes()
        folder = output("du", "-sb", data).split()
        facts["disk_bytes"] = int(folder[0]) if folder else None
        return facts
    finally:
        renkei.stop()
        shutil.rmtree(data, ignore_errors=True)


def five_attributes(number):
    measure = lambda value, unit: {"type": "Property", "value": value, "unitCode": unit, "observedAt": "2026-01-01T00:00:00Z"}
    return {
        "id": f"urn:ngsi-ld:ParkingSpot:bench:{number:08}",
        "type": "ParkingSpot",
        "status": {"type": "Property", "value": "free" if number % 3 else "occupied"},
        "temperature": measure(number % 400 / 10, "CEL"),
        "batteryLevel": measure(number % 101, "P1"),
        "refParkingSite": {"type": "Relationship", "object": f"urn:ngsi-ld:OffStreetParking:bench:{number // 200:06}"},
        "location": {
            "type": "GeoProperty",
            "value": {"type": "Point", "coordinates": [139 + number % 997 / 1000, 35 + number // 997 % 997 / 1000]},
        },
    }


def fresh(directory, name):
    data = os.path.join(directory, name)
    shutil.rmtree(data, ignore_errors=True)
    return data


def mib(count):
    return f"{count / 2**20:,.0f}"


def number(value):
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:,.2f}"


def row(cells):
    return "| " + " | ".join(cells) + " |"


def document(options, machine, ours, theirs, facts, commit):
    """benchmarks.md; figures as they were measured."""
    lines = ["# Benchmarks", ""]
    lines += [
        "Written by `make bench` (`bench/run.py`); figures as measured, good or bad. Client, server and floor share the "
        "machine's cores, so every rate includes the cost of the load generator beside it.",
        "",
    ]
    if options.quick:
        lines += ["**A quick run: too short and too few repetitions to be quoted.**", ""]
    lines += [
        row(["machine", ""]), row(["---", "---"]),
        row(["processor", f"{machine['processor']}, {machine['cores']} cores"]),
        row(["memory", f"{machine['memory_gib']} GiB"]),
        row(["kernel, file system", f"{machine['kernel']}, {machine['file_system']}"]),
        row(["fdatasync of a 4 KiB append, p50", f"{machine['fsync_p50_ms']} ms"]),
        row(["Renkei", commit]),
    ]
    if facts.get("floor"):
        with_postgis = "with PostGIS" if facts["floor"]["postgis"] else "without PostGIS (no near)"
        lines.append(row(["floor", f"PostgreSQL {facts['floor']['version']} {with_postgis}, entity of {facts['floor']['entity_bytes']:,} bytes"]))
    lines += [
        row(["method", f"{options.entities:,} entities, {options.repetitions} x {options.seconds:g} s each in turns (after a warm-up of 3 s, above 64 connections 6 s), medians"]),
        "",
        "## Renkei and the PostgreSQL floor",
        "",
        "The *floor* is the least that a broker on PostgreSQL must do (`bench/floor.py`): no HTTP, no JSON-LD, no "
        "notifications, prepared statements over a Unix socket. *bare* has no index but the primary key, and none on history: no "
        "broker could answer a query from it. *serving* has the GIN, GiST and history indexes that queries need. The "
        "ratio is to the bare floor, the harder one. An entity has about 1.5 kB; a request of *readings* carries "
        f"{READINGS_IN_BATCH} readings, each stored as state and history. All writes are durable (synced) before the answer.",
        "",
    ]
    head = ["workload", "connections", "Renkei /s", "p50 ms", "p95 ms", "p99 ms", "server CPU µs", "floor /s", "floor p50 / p95 / p99 ms", "floor CPU µs", "floor serving /s", "ratio"]
    lines += [row(head), row(["---"] + ["--:"] * (len(head) - 1))]
    for (workload, connections), own in sorted(ours.items(), key=lambda item: (item[0][1], WORKLOADS.index(item[0][0]))):
        other = theirs.get((workload, connections))
        serving = theirs.get((f"{workload}-serving", connections))
        # query and near need the indexes on either side.
        latency = own["latency_ms"]
        other_latency = other["latency_ms"] if other else {}
        ratio = own["requests_per_s"] / other["requests_per_s"] if other else None
        lines.append(row([
            workload + (" **(wrong answers)**" if own["failed"] else ""), str(connections), number(own["requests_per_s"]),
            number(latency.get("p50")), number(latency.get("p95")), number(latency.get("p99")),
            number(own.get("server_cpu_us_per_request")), number(other["requests_per_s"] if other else None),
            " / ".join(number(other_latency.get(name)) for name in ("p50", "p95", "p99")) if other else "–",
            number(other["server_cpu_us_per_request"] if other else None),
            number(serving["requests_per_s"] if serving else None),
            f"{ratio:.2f}" if ratio else "–",
        ]))
    lines += ["", "A request of *readings* counts once; times 50 gives readings per second.", "", "## Targets", ""]
    lines += [row(["target", "wanted", "measured", ""]), row(["---", "---", "---", "---"])]
    for workload, (wanted, reached) in TARGETS.items():
        own, other = ours.get((workload, TARGET_CONNECTIONS)), theirs.get((workload, TARGET_CONNECTIONS))
        if not own:
            continue
        ratio = own["requests_per_s"] / other["requests_per_s"] if other else None
        shown = f"{own['requests_per_s']:,.0f}/s" + (f", {ratio:.2f}x the floor" if ratio else "")
        if workload == "readings":
            shown = f"{own['readings_per_s']:,.0f} readings/s" + (f", {ratio:.2f}x the floor" if ratio else "")
        good = reached(own["requests_per_s"], ratio) and not own["failed"]
        lines.append(row([f"{workload}, {TARGET_CONNECTIONS} connections", wanted, shown, "reached" if good else "not reached"]))
    verdict = lambda good: "reached" if good else "not reached"
    idle = facts["resident_idle_bytes"]
    lines.append(row(["memory, empty and idle", "60 MiB", f"{mib(idle)} MiB", verdict(idle <= 60 * 2**20)]))
    ready = facts["ready_empty_s"]
    lines.append(row(["ready with an empty store", "2 s", f"{ready:.2f} s", verdict(ready <= 2)]))
    if "million" in facts:
        count = facts["million"]
        peak = max(count["resident_bytes"], count["resident_after_restart_bytes"])
        lines.append(row(["memory with 1 M five-attribute entities", "1.5 GiB", f"{mib(peak)} MiB", verdict(peak <= 1.5 * 2**30)]))
    if "sustained" in facts:
        slowest = min(minute["readings_per_s"] for minute in facts["sustained"])
        good = slowest >= 16_100 and len(facts["sustained"]) >= 5 and not any(m["failed"] for m in facts["sustained"])
        shown = f"slowest minute {slowest:,.0f}/s in {len(facts['sustained'])} minutes"
        lines.append(row(["readings, durable, for 5 minutes", "16,100 readings/s", shown, verdict(good)]))
    lines += ["", "## Memory", "", row(["state", "resident"]), row(["---", "--:"])]
    lines.append(row(["empty, idle", f"{mib(idle)} MiB"]))
    lines.append(row([f"{options.entities:,} entities of 1.5 kB loaded", f"{mib(facts['resident_loaded_bytes'])} MiB"]))
    lines.append(row(["after all workloads", f"{mib(facts['resident_after_bytes'])} MiB"]))
    if "million" in facts:
        count = facts["million"]
        disk = f", {mib(count['disk_bytes'])} MiB on disk" if count["disk_bytes"] else ""
        lines.append(row([f"1,000,000 five-attribute entities (loaded in {count['load_s']:.0f} s{disk})", f"{mib(count['resident_bytes'])} MiB"]))
        lines.append(row([f"the same after a restart (ready in {count['ready_s']:.1f} s)", f"{mib(count['resident_after_restart_bytes'])} MiB"]))
    if "sustained" in facts:
        lines += ["", "## Readings without a pause", "", row(["minute", "readings/s", "p99 ms", "resident"]), row(["--:"] * 4)]
        for i, minute in enumerate(facts["sustained"]):
            lines.append(row([str(i + 1), number(minute["readings_per_s"]), number(minute["p99_ms"]), f"{mib(minute['resident_bytes'])} MiB"]))
    lines += ["", "Repeat: `make bench`. One workload alone: `renkei bench --help`, `python3 bench/floor.py --help`.", ""]
    return "\n".join(lines)


def arguments():
    parser = argparse.ArgumentParser(description="Measures Renkei beside the PostgreSQL floor.")
    parser.add_argument("--renkei", default=str(ROOT / "target/release/renkei"))
    parser.add_argument("--dir", default=str(ROOT / "target/bench"), help="folder on the disk to be measured")
    parser.add_argument("--out", default=str(ROOT / "docs/reference/benchmarks.md"))
    parser.add_argument("--quick", action="store_true", help="a short run that only shows that everything works")
    parser.add_argument("--connections", type=int, action="append", help="may be given several times; 64 and 256")
    parser.add_argument("--workload", dest="workloads", action="append", choices=WORKLOADS)
    parser.add_argument("--entities", type=int, help="working set (100,000)")
    parser.add_argument("--seconds", type=float, help="each measurement (10)")
    parser.add_argument("--repetitions", type=int, help="of each measurement (3)")
    parser.add_argument("--minutes", type=int, default=0, help="readings without a pause for so long, afterwards")
    parser.add_argument("--million", action="store_true", help="memory and start with a million entities")
    parser.add_argument("--no-floor", action="store_true", help="without PostgreSQL")
    options = parser.parse_args()
    options.connections = options.connections or [64, 256]
    options.workloads = options.workloads or WORKLOADS
    # 0 is a wrong use of these, not a wish for the default.
    for name, quick, full in (("entities", 20_000, 100_000), ("seconds", 3, 10), ("repetitions", 1, 3)):
        if getattr(options, name) is None:
            setattr(options, name, quick if options.quick else full)
        if getattr(options, name) <= 0:
            parser.error(f"--{name} must be more than 0")
    if not os.access(options.renkei, os.X_OK):
        parser.error(f"{options.renkei} is not there. Build it first: cargo build --release -p renkei")
    return options


def main():
    options = arguments()
    # Servers that were started are stopped, also when the run is.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    directory = os.path.abspath(options.dir)
    os.makedirs(directory, exist_ok=True)
    measurements = options.repetitions * len(options.connections) * len(options.workloads)
    sides = 1 if options.no_floor else 2.5
    say(f"about {measurements * sides * (options.seconds + 7) / 60 + options.minutes + (4 if options.million else 0):.0f} minutes")
    machine = hardware(directory)
    say(f"{machine['processor']}, {machine['cores']} cores, fdatasync p50 {machine['fsync_p50_ms']} ms")
    commit = output(options.renkei, "--version") or "renkei"
    revision = output("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD")
    if revision:
        commit += f" ({revision})"
    ours, theirs, facts = compare(options, directory)
    if options.million:
        facts["million"] = million(options, directory)
    os.makedirs(os.path.dirname(options.out), exist_ok=True)
    Path(options.out).write_text(document(options, machine, ours, theirs, facts, commit), encoding="utf-8")
    named = lambda rows: [dict(value, workload=workload) for (workload, _), value in rows.items() if value]
    everything = {"machine": machine, "renkei": named(ours), "floor": named(theirs), "facts": facts}
    raw = os.path.join(directory, "results.json")
    Path(raw).write_text(json.dumps(everything, indent=1), encoding="utf-8")
    say(f"written: {options.out}; every figure: {raw}")
    if any(result["failed"] for result in ours.values()) or any(m["failed"] for m in facts.get("sustained", [])):
        say("Renkei gave wrong answers under load: the run has failed")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
