"""Writes the tables of this folder from the Python package azarashi, which keeps them in step with the standards.

    pip install azarashi==0.17.1 && python3 make.py

A line is `code<TAB>Japanese<TAB>English`. The code `*` names every code that is not in the table, `N/D` those whose
quotient by D is N; %d stands for the code. A line break inside a name is written as \\n.
"""
import importlib
import pathlib

from azarashi.definitions.camf.a3_provider_identifier import a3_provider_identifier_map, a3_provider_identifier_undefined
from azarashi.json.tables import B4_NAMES

HERE = pathlib.Path(__file__).parent
DCR, DCX, CAMF = "azarashi.definitions.qzss.dcr.", "azarashi.definitions.qzss.dcx.", "azarashi.definitions.camf."

# Our name, module, table in Japanese, table in English.
TABLES = [
    ("report_classification", DCR + "report_classification", "report_classification", "report_classification_en"),
    ("disaster_category", DCR + "disaster_category", "disaster_category", "disaster_category_en"),
    ("information_type", DCR + "information_type", "information_type", "information_type_en"),
    ("activity_time_ambiguity", DCR + "ambiguity_of_activity_time", None, "ambiguity_of_activity_time_en"),
    ("information_serial", DCR + "information_serial_code", "information_serial_code", None),
    ("tsunamigenic_potential", DCR + "tsunamigenic_potential", None, "tsunamigenic_potential_en"),
    ("pacific_tsunami_height", DCR + "northwest_pacific_tsunami_height", None, "northwest_pacific_tsunami_height_en"),
    ("pacific_coast", DCR + "coastal_region", None, "coastal_region_en"),
    *((ours, DCR + theirs, theirs, theirs + "_en") for ours, theirs in {
        "notification": "notification_on_disaster_prevention",
        "epicentre": "epicenter_and_hypocenter",
        "intensity_lower": "seismic_intensity_lower_limit",
        "intensity_upper": "seismic_intensity_upper_limit",
        "ground_motion_lower": "long_period_ground_motion_lower_limit",
        "ground_motion_upper": "long_period_ground_motion_upper_limit",
        "eew_region": "eew_forecast_region",
        "intensity": "seismic_intensity",
        "prefecture": "prefecture",
        "tsunami_warning": "tsunami_warning_code",
        "tsunami_height": "tsunami_height",
        "tsunami_region": "tsunami_forecast_region",
        "volcanic_warning": "volcanic_warning_code",
        "volcano": "volcano_name",
        "local_government": "local_government",
        "ash_fall_type": "ash_fall_warning_type",
        "ash_fall_warning": "ash_fall_warning_code",
        "weather_state": "weather_warning_state",
        "weather_warning": "weather_related_disaster_sub_category",
        "weather_region": "weather_forecast_region",
        "flood_level": "flood_warning_level",
        "flood_region": "flood_forecast_region",
        "typhoon_reference": "typhoon_reference_time_type",
        "typhoon_scale": "typhoon_scale_category",
        "typhoon_intensity": "typhoon_intensity_category",
        "marine_warning": "marine_warning_code",
        "marine_region": "marine_forecast_region",
    }.items()),
    ("message_type", CAMF + "a1_message_type", None, "a1_message_type"),
    ("country", CAMF + "a2_country_region_name", None, "a2_country_region_name"),
    ("hazard_category", CAMF + "a4_hazard_category_and_type", None, "a4_hazard_category"),
    ("hazard_type", CAMF + "a4_hazard_category_and_type", None, "a4_hazard_type"),
    ("hazard_definition", CAMF + "a4_hazard_category_and_type", None, "a4_hazard_definition"),
    ("severity", CAMF + "a5_severity", None, "a5_severity"),
    ("hazard_duration", CAMF + "a8_hazard_duration", None, "a8_hazard_duration"),
    ("library_type", CAMF + "a9_type_of_library", None, "a9_type_of_library"),
    ("library_version", CAMF + "a10_library_version", None, "a10_library_version"),
    ("instruction_a", CAMF + "a11_international_library", None, "a11_international_library"),
    ("instruction_b", CAMF + "a11_international_library", None, "a11_international_library_b"),
    ("instruction_japan", CAMF + "a11_japanese_library", "a11_japanese_library_ja", "a11_japanese_library_en"),
    ("specific_settings", CAMF + "a17_type_of_specific_settings", None, "a17_type_of_specific_settings"),
    ("instruction_second_ellipse", CAMF + "c10_instruction_library_for_second_ellipse", None,
     "c10_instruction_library_for_second_ellipse"),
    ("target_area", DCX + "ex1_target_area_code", "ex1_target_area_code_ja", "ex1_target_area_code_en"),
    ("evacuate_direction", DCX + "ex2_evacuate_direction_type", None, "ex2_evacuate_direction_type"),
]


def text(name):
    return (name or "").replace("\n", "\\n")


def rows(ja, en):
    """The lines of one table: the unknown code, the ranges, the codes."""
    ja, en = ja or {}, en or {}
    yield "*", getattr(ja, "undefined", None), getattr(en, "undefined", None)
    quotients = (getattr(ja, "prefix", None) or {}) | (getattr(en, "prefix", None) or {})
    for quotient in sorted(quotients):
        # What the extractor divides by shows in what it makes of a large number.
        divisor = 10**20 // (getattr(ja, "prefix_extractor", None) or en.prefix_extractor)(10**20)
        yield f"{quotient}/{divisor}", (ja.prefix or {}).get(quotient), (en.prefix or {}).get(quotient)
    for code in sorted(set(ja) | set(en)):
        yield code, ja.get(code), en.get(code)


def grouped(tables, size):
    """Several tables in one: code `group * size + code`."""
    for group, table in sorted(tables.items()):
        yield f"{group}/{size}", None, table.undefined
        for code, name in sorted(table.items()):
            yield group * size + code, None, name


def write(name, lines):
    body = "".join(f"{code}\t{text(ja)}\t{text(en)}\n" for code, ja, en in lines)
    (HERE / f"{name}.tsv").write_text(body, encoding="utf-8")


for name, module, ja, en in TABLES:
    module = importlib.import_module(module)
    write(name, rows(ja and getattr(module, ja), en and getattr(module, en)))

# A3 of country A2: A2 * 100 + A3.
write("provider", [("*", None, a3_provider_identifier_undefined.undefined), *grouped(a3_provider_identifier_map, 100)])

# D1 to D36 of B4: D * 100 + code. D3 and D4 are numbers.
fields = importlib.import_module(CAMF + "d_fields")
details = {int(name.split("_")[0][1:]): getattr(fields, name) for name in B4_NAMES if not name.startswith(("d3_", "d4_"))}
write("hazard_detail", [("*", None, "Undefined detail (Code: %d)"), *grouped(details, 100)])
