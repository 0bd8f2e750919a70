"""The PostgreSQL floor: the least that a broker on PostgreSQL must do, measured with pgbench.

Two variants of each write. *bare*: an entity table with its primary key and a history table without any
index, which no broker could serve queries from; it is the hardest bound to beat. *serving*: with the GIN
and GiST indexes that queries need and an index on history. Entities are those of `renkei bench`
(crates/renkei/src/bench/workload.rs): change both or neither.

Alone:  python3 bench/floor.py --dir target/bench --workload create --connections 64 --seconds 10
"""

import argparse
import glob
import json
import os
import re
import statistics
import subprocess
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
READINGS_IN_BATCH = 50
# Every tenth transaction is logged for the percentiles, so that logging costs the floor nothing that counts.
SAMPLING_RATE = 0.1

DESCRIPTION = (
    "Air quality station of the load generator, on the roof of a public building beside a road with two lanes "
    "each way; measures temperature with two sensors, humidity and nitrogen dioxide once a minute. The values are "
    "drawn at random, the place is spread evenly over a square, and no person, street or building of this "
    "description exists. The text is here because entities of real cities carry such texts, and a broker that is "
    "measured without them is measured at something that no city does with it, day by day."
)

# `{id}` and `{n}` are SQL expressions; the rest is text that is parsed as JSON at each insert.
ENTITY = (
    "(concat('{{\"id\":\"', {id}, '\",\"type\":\"AirQualityObserved\",\"temperature\":['"
    ",'{{\"type\":\"Property\",\"value\":',round(random()*10000)/100,',\"unitCode\":\"CEL\",\"observedAt\":\"',{now},'\",\"datasetId\":\"urn:ngsi-ld:Dataset:sensor-a\"}},'"
    ",'{{\"type\":\"Property\",\"value\":',round(random()*10000)/100,',\"unitCode\":\"CEL\",\"observedAt\":\"',{now},'\",\"datasetId\":\"urn:ngsi-ld:Dataset:sensor-b\"}}]'"
    ",',\"relativeHumidity\":{{\"type\":\"Property\",\"value\":',round(random()*10000)/100,',\"unitCode\":\"P1\",\"observedAt\":\"',{now},'\"}}'"
    ",',\"NO2\":{{\"type\":\"Property\",\"value\":',round(random()*10000)/100,',\"unitCode\":\"GQ\",\"observedAt\":\"',{now},'\"}}'"
    ",',\"category\":{{\"type\":\"Property\",\"value\":\"c',lpad((({n})::bigint*7919%100)::text,2,'0'),'\"}}'"
    ",',\"address\":{{\"type\":\"Property\",\"value\":{{\"addressCountry\":\"JP\",\"addressRegion\":\"Simulated Prefecture\",\"addressLocality\":\"Minatomachi (simulated)\",\"streetAddress\":\"',{n},' Kaigan-dori\",\"postalCode\":\"000-0000\"}}}}'"
    ",',\"description\":{{\"type\":\"Property\",\"value\":\"" + DESCRIPTION + "\"}}'"
    ",',\"refBuilding\":{{\"type\":\"Relationship\",\"object\":\"urn:ngsi-ld:Building:bench:',lpad((({n})::bigint/10)::text,6,'0'),'\"}}'"
    ",',\"location\":{{\"type\":\"GeoProperty\",\"value\":{{\"type\":\"Point\",\"coordinates\":[139.5,35.6]}}}}}}')::jsonb)"
)
NOW = "to_char(clock_timestamp() at time zone 'UTC','YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"


def entity(id_expression, number_expression):
    return ENTITY.format(id=id_expression, n=number_expression, now=NOW)


def place(postgis):
    """A random place in the square of the load generator."""
    lon, lat = "139.0+0.8*random()", "35.2+0.8*random()"
    return f"ST_MakePoint({lon},{lat})::geography" if postgis else f"point({lon},{lat})"


def without_colons(text):
    """pgbench takes `:name` for a variable even within a literal; there it is written as an escape."""
    escape = lambda found: f"U&{found[0]}".replace(":", "\\003A") if re.search(r":\w", found[0]) else found[0]
    return re.sub(r"'[^']*'", escape, text)


def script(workload, connections, entities, postgis, run):
    """The pgbench script of a workload."""
    any_id = "concat('urn:ngsi-ld:AirQualityObserved:bench:',lpad((:n)::text,8,'0'))"
    serving = workload.endswith("-serving")
    table, history = ("entity_serving", "history_serving") if serving else ("entity", "history")
    kind = workload.removesuffix("-serving")
    if kind == "create":
        new_id = f"concat('urn:ngsi-ld:AirQualityObserved:{run}:',:client_id::text,'-',:k::text)"
        return f"""\\set k :k + 1
BEGIN;
INSERT INTO {table}(id, type, doc, location) VALUES ({new_id}, 'AirQualityObserved', {entity(new_id, ':k::bigint')}, {place(postgis)});
INSERT INTO {history}(entity, attribute, observed_at, value) VALUES ({new_id}, 'relativeHumidity', clock_timestamp(), random()*100);
COMMIT;
"""
    if kind == "update-attribute":
        value = f"jsonb_build_object('type','Property','value',round(random()*10000)/100,'unitCode','P1','observedAt',{NOW})"
        return f"""\\set n random(0, {entities - 1})
BEGIN;
UPDATE {table} SET doc = jsonb_set(doc, '{{relativeHumidity}}', {value}) WHERE id = {any_id};
INSERT INTO {history}(entity, attribute, observed_at, value) VALUES ({any_id}, 'relativeHumidity', clock_timestamp(), random()*100);
COMMIT;
"""
    if kind == "retrieve":
        return f"\\set n random(0, {entities - 1})\nSELECT doc FROM entity WHERE id = {any_id};\n"
    if kind == "readings":
        # Each connection has whole blocks of its own: no transaction waits for another's rows.
        blocks = max(1, entities // READINGS_IN_BATCH)
        own = max(1, blocks // connections)
        return f"""\\set k :k + 1
\\set first ((:client_id * {own} + :k % {own}) % {blocks}) * {READINGS_IN_BATCH}
WITH reading AS (
  SELECT concat('urn:ngsi-ld:SmartMeteringObservation:bench:', lpad((:first + g)::text, 8, '0')) AS id, round(random()*10000)/100 AS value
  FROM generate_series(0, {READINGS_IN_BATCH - 1}) g
), past AS (
  INSERT INTO {history}(entity, attribute, observed_at, value) SELECT id, 'totalConsumption', clock_timestamp(), value FROM reading
)
INSERT INTO {table}(id, type, doc)
SELECT id, 'SmartMeteringObservation', jsonb_build_object('totalConsumption', jsonb_build_object('type','Property','value',value,'unitCode','KWH','observedAt',{NOW})) FROM reading
ON CONFLICT (id) DO UPDATE SET doc = {table}.doc || excluded.doc;
"""
    if kind == "query":
        return """\\set c random(0, 99)
SELECT id, doc FROM entity_serving WHERE type = 'AirQualityObserved'
  AND doc @> jsonb_build_object('category', jsonb_build_object('value', concat('c', lpad((:c)::text, 2, '0'))))
  AND (doc->'relativeHumidity'->>'value')::float8 > 50 LIMIT 20;
"""
    if kind == "near":
        return f"""SELECT id, doc FROM entity_serving, (SELECT {place(True)} AS here OFFSET 0) AS asked
WHERE type = 'AirQualityObserved' AND ST_DWithin(location, here, 500) LIMIT 20;
"""
    raise SystemExit(f"floor: there is no workload {workload}")


def warm_up_s(connections):
    return 3 if connections <= 64 else 6


class Floor:
    """A running floor with its tables; `measure` gives the figures of one workload."""

    WORKLOADS = ["create", "update-attribute", "retrieve", "readings", "query", "near"]
    SERVING = ["create-serving", "update-attribute-serving", "readings-serving"]

    def __init__(self, directory, entities):
        self.directory, self.entities = Path(directory), entities
        started = subprocess.run([HERE / "floor.sh", "start", directory], stdout=subprocess.PIPE, text=True)
        if started.returncode:
            raise SystemExit("floor: PostgreSQL could not be started, see above")
        self.connection = started.stdout.strip()
        self.bin = Path(sorted(glob.glob("/usr/lib/postgresql/*/bin/pgbench"))[-1]).parent
        self.postmaster = int(self.sql("SELECT pg_read_file('postmaster.pid')").splitlines()[0])
        self.postgis = self.sql("SELECT count(*) FROM pg_available_extensions WHERE name = 'postgis'").strip() == "1"
        self.version = self.sql("SHOW server_version").strip()
        self.load()

    def sql(self, text):
        done = subprocess.run(
            ["psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", self.connection],
            input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        if done.returncode:
            raise SystemExit(f"floor: PostgreSQL says: {done.stderr.strip()}")
        return done.stdout

    def load(self):
        kind = "geography(Point)" if self.postgis else "point"
        wanted = f"{self.entities} {kind}"
        if self.sql("SELECT to_regclass('floor_loaded')").strip():
            if self.sql("SELECT what FROM floor_loaded").strip() == wanted:
                return
        if self.postgis:
            self.sql("CREATE EXTENSION IF NOT EXISTS postgis")
        id_expression = "concat('urn:ngsi-ld:AirQualityObserved:bench:',lpad(n::text,8,'0'))"
        self.sql(f"""
DROP TABLE IF EXISTS entity, entity_serving, history, history_serving, floor_loaded;
CREATE TABLE entity(id text PRIMARY KEY, type text NOT NULL, doc jsonb NOT NULL, location {kind});
CREATE TABLE history(entity text NOT NULL, attribute text NOT NULL, observed_at timestamptz NOT NULL, value float8);
INSERT INTO entity SELECT {id_expression}, 'AirQualityObserved', {entity(id_expression, 'n')}, {place(self.postgis)}
  FROM generate_series(0, {self.entities - 1}) n;
CREATE TABLE entity_serving (LIKE entity INCLUDING ALL);
CREATE TABLE history_serving (LIKE history INCLUDING ALL);
INSERT INTO entity_serving SELECT * FROM entity;
CREATE INDEX ON entity_serving USING gin (doc jsonb_path_ops);
CREATE INDEX ON entity_serving USING gist (location);
CREATE INDEX ON entity_serving (type);
CREATE INDEX ON history_serving (entity, attribute, observed_at);
CREATE TABLE floor_loaded AS SELECT '{wanted}'::text AS what;
""")
        self.settle()

    def settle(self):
        """Between measurements: nothing is left behind that would run into the next one."""
        self.sql("VACUUM (ANALYZE) entity;\nVACUUM (ANALYZE) entity_serving;\nCHECKPOINT;")

    def entity_bytes(self):
        return int(float(self.sql("SELECT avg(length(doc::text)) FROM (SELECT doc FROM entity LIMIT 100) e")))

    def processes(self):
        """The postmaster and what it has started."""
        own = [str(self.postmaster)]
        for path in glob.glob("/proc/[0-9]*/stat"):
            try:
                text = Path(path).read_text()
            except OSError:
                continue
            if text.rsplit(")", 1)[1].split()[1] == str(self.postmaster):
                own.append(path.split("/")[2])
        return own

    def cpu_s(self):
        total = 0
        for pid in self.processes():
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            total += int(fields[11]) + int(fields[12])
            if pid == str(self.postmaster):
                # Processor time of children that have ended.
                total += int(fields[13]) + int(fields[14])
        return total / CLOCK_TICKS

    def pgbench(self, workload, connections, seconds, log_prefix):
        run = f"new-{time.time_ns():x}"
        text = without_colons(script(workload, connections, self.entities, self.postgis, run))
        with tempfile.NamedTemporaryFile("w", suffix=".sql", delete=False) as file:
            file.write(text)
        arguments = [
            str(self.bin / "pgbench"), "-n", "-M", "prepared", "-c", str(connections), "-j", str(min(2, connections)),
            "-T", str(seconds), "-P", "1", "-f", file.name, "-D", "k=0",
        ]
        arguments += ["-l", "--log-prefix", log_prefix, "--sampling-rate", str(SAMPLING_RATE)]
        process = subprocess.Popen(arguments + [self.connection], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        return process, file.name

    def measure(self, workload, connections, seconds, warm_up):
        """One pgbench run; what happens within `warm_up` does not count. It covers that every new connection
        builds its caches and prepares its statements, which takes seconds for hundreds of them."""
        if workload == "near" and not self.postgis:
            return None
        seconds, warm_up = round(seconds), round(warm_up)
        with tempfile.TemporaryDirectory() as logs:
            begin = time.time()
            process, name = self.pgbench(workload, connections, warm_up + seconds, os.path.join(logs, "log"))
            progress = []
            reader = threading.Thread(target=lambda: progress.extend(process.stderr))
            reader.start()
            # Processor time is taken while every backend lives: their start and end do not count.
            time.sleep(warm_up)
            cpu_before, wall_before = self.cpu_s(), time.monotonic()
            time.sleep(max(0.5, seconds - 0.5))
            cpu_after, wall_after = self.cpu_s(), time.monotonic()
            out = process.stdout.read()
            process.wait()
            reader.join()
            os.unlink(name)
            failed = re.search(r"number of failed transactions: (\d+)", out)
            if process.returncode or (failed and int(failed[1])):
                raise SystemExit(f"floor: pgbench {workload} failed: {''.join(progress)[-800:]} {out[-400:]}")
            # "progress: 6.0 s, 4903.1 tps, lat ...": one line a second.
            per_second = [
                float(found[2])
                for found in (re.match(r"progress: ([0-9.]+) s, ([0-9.]+) tps", line) for line in progress)
                if found and float(found[1]) > warm_up + 0.5
            ]
            took_us = []
            for path in glob.glob(logs + "/log*"):
                for line in open(path, encoding="ascii"):
                    fields = line.split()
                    if int(fields[4]) >= begin + warm_up:
                        took_us.append(int(fields[2]))
            took_us.sort()
        if not per_second:
            raise SystemExit(f"floor: pgbench {workload} did not get beyond its warm-up of {warm_up} s")
        self.settle()
        rate = statistics.mean(per_second)
        share = lambda part: took_us[min(len(took_us) - 1, int(len(took_us) * part))] / 1000 if took_us else None
        result = {
            "workload": workload,
            "connections": connections,
            "seconds": seconds,
            "requests_per_s": round(rate, 1),
            "latency_ms": {"p50": share(0.50), "p95": share(0.95), "p99": share(0.99)},
            "server_cpu_us_per_request": round((cpu_after - cpu_before) / (wall_after - wall_before) / rate * 1e6, 1),
        }
        if workload.startswith("readings"):
            result["readings_per_s"] = round(rate * READINGS_IN_BATCH, 1)
        return result

    def stop(self):
        subprocess.run([HERE / "floor.sh", "stop", self.directory], check=False)


def main():
    parser = argparse.ArgumentParser(description="Measures the PostgreSQL floor and prints JSON.")
    parser.add_argument("--dir", default="target/bench", help="folder on the disk to be measured")
    parser.add_argument("--workload", action="append", choices=Floor.WORKLOADS + Floor.SERVING)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--warm-up", type=float, help="seconds before measuring begins (3, or 6 above 64 connections)")
    parser.add_argument("--entities", type=int, default=100_000)
    options = parser.parse_args()
    os.makedirs(options.dir, exist_ok=True)
    warm_up = options.warm_up or warm_up_s(options.connections)
    floor = Floor(options.dir, options.entities)
    try:
        for workload in options.workload or Floor.WORKLOADS + Floor.SERVING:
            print(json.dumps(floor.measure(workload, options.connections, options.seconds, warm_up)), flush=True)
    finally:
        floor.stop()


if __name__ == "__main__":
    main()
