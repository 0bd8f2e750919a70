"""What the package azarashi reads out of lines: one JSON a line, its raw fields with their names in both languages.

    oracle.py version                   which azarashi this is
    oracle.py lines 2024-06-15 < LINES  each line as received at that date
    oracle.py tables < CODES            each line `ours<TAB>code` as its names
"""
import datetime
import importlib
import importlib.metadata
import json
import sys

import azarashi
from azarashi.definitions.camf import d_fields
from azarashi.definitions.camf.a3_provider_identifier import a3_provider_identifier_map, a3_provider_identifier_undefined
from azarashi.json.model import LISTS, SINGLES
from azarashi.json.tables import B4_NAMES

DCR, DCX, CAMF = "azarashi.definitions.qzss.dcr.", "azarashi.definitions.qzss.dcx.", "azarashi.definitions.camf."
# English of lists that are not among azarashi's columns.
BESIDE = {
    "notifications_on_disaster_prevention_raw": "notification_on_disaster_prevention",
    "eew_forecast_regions_raw": "eew_forecast_region",
    "local_governments_raw": "local_government",
}


def english(table, code):
    module = importlib.import_module(DCR + table)
    names = getattr(module, table + "_en", None)
    return None if names is None else names[code]


def plain(value):
    if isinstance(value, datetime.datetime):
        return value.astimezone(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if isinstance(value, (bytes, bytearray)):
        return value.hex()
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


def read(line, received_at):
    try:
        report = azarashi.decode(line, "nmea" if line.startswith("$") else "hex", received_at)
    except azarashi.AzarashiReadOn as refusal:
        return {"refused": f"{type(refusal).__name__}: {refusal}".splitlines()[0]}
    name = type(report).__name__
    fields = {key: value for key, value in vars(report).items() if key != "camf"}
    english_of = {}
    columns = [(raw, table) for _, raw, table in SINGLES.get(name, [])]
    columns += [(raw, table) for _, raw, table in LISTS.get(name, ("", []))[1]]
    columns += [(raw, table) for raw, table in BESIDE.items() if raw in fields]
    if name == "Volcano":
        columns.append(("ambiguity_of_activity_time_no", "ambiguity_of_activity_time"))
    for raw, table in columns:
        code = fields[raw]
        english_of[raw] = [english(table, one) for one in code] if isinstance(code, list) else english(table, code)
    answer = {"class": name, "fields": plain(fields), "en": english_of}
    if hasattr(report, "camf"):
        answer["camf"] = plain(vars(report.camf))
    if name == "NankaiTroughEarthquake":
        answer["text"] = report.extract_text_information()
    return answer


def names(ours, code):
    """Of one of our tables: its names by azarashi."""
    if ours == "provider":
        table = a3_provider_identifier_map.get(code // 100, a3_provider_identifier_undefined)
        return None, table[code % 100]
    if ours == "hazard_detail":
        field = next((name for name in B4_NAMES if name.startswith(f"d{code // 100}_")), None)
        return None, None if field is None else getattr(d_fields, field)[code % 100]
    if ours.startswith("="):  # of a list that is a formula
        module = importlib.import_module(DCR + ours[1:])
        return getattr(module, ours[1:])[code], getattr(module, ours[1:] + "_en")[code]
    _, module, ja, en = next(row for row in TABLES if row[0] == ours)
    module = importlib.import_module(module)
    return ja and getattr(module, ja)[code], en and getattr(module, en)[code]


def tables():
    """TABLES of tables/make.py, without what it writes."""
    source = open(__file__.rsplit("/", 2)[0] + "/tables/make.py", encoding="utf-8").read()
    place = {"DCR": DCR, "DCX": DCX, "CAMF": CAMF}
    begin = source.index("TABLES = [")
    exec(source[begin:source.index("\n]\n", begin) + 3], place)
    return place["TABLES"]


mode = sys.argv[1]
if mode == "version":
    print(importlib.metadata.version("azarashi"))
elif mode == "lines":
    received_at = datetime.datetime.fromisoformat(sys.argv[2]).replace(tzinfo=datetime.UTC)
    for line in sys.stdin:
        print(json.dumps(read(line.strip(), received_at), ensure_ascii=False))
else:
    TABLES = tables()
    for line in sys.stdin:
        ours, code = line.rstrip("\n").split("\t")
        ja, en = names(ours, int(code))
        print(json.dumps({"ja": ja or None, "en": en or None}, ensure_ascii=False))
