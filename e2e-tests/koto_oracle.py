#!/usr/bin/env python3
"""Answers the flood question of the Koto example from the raw files, without any of the product.

    python3 koto_oracle.py DATA_FOLDER [METRES [DEPTH]]

In: buildings_13107/13108.geojsonl.gz and shelters_evacuation_131075/131083.json. Out, as JSON:
`deep`: how many buildings have an Arakawa L2 depth of at least DEPTH; `matched`: those of them whose
centroid has no shelter within METRES (METRES itself is within); `unknown`: buildings without such a
depth; `closest_to_limit_m`: how near the nearest shelter of any deep building comes to exactly METRES,
which says whether a last digit could decide differently.

Python's standard library alone. The centroid is that of the footprint's area in the plane of longitude
and latitude (shoelace formula, courtyards taken away). The distance is the geodesic on WGS 84 by
T. Vincenty, "Direct and inverse solutions of geodesics on the ellipsoid with application of nested
equations", Survey Review 23 (1975), inverse formulae (14) to (19).
"""

import gzip
import json
import math
import sys

MAJOR_M = 6378137.0
FLATTENING = 1 / 298.257223563
MINOR_M = MAJOR_M * (1 - FLATTENING)

DEPTH = "荒川水系荒川洪水浸水想定区域（想定最大規模）>浸水深"


def ring_moments(ring):
    """Twice the signed area and six times the first moments, from the ring's first corner."""
    lon0, lat0 = ring[0][0], ring[0][1]
    area2 = moment_x = moment_y = 0.0
    for a, b in zip(ring, ring[1:]):
        ax, ay, bx, by = a[0] - lon0, a[1] - lat0, b[0] - lon0, b[1] - lat0
        cross = ax * by - bx * ay
        area2 += cross
        moment_x += (ax + bx) * cross
        moment_y += (ay + by) * cross
    return area2, moment_x, moment_y, lon0, lat0


def centroid(rings):
    """Of a polygon with its holes."""
    total = lon = lat = 0.0
    for place, ring in enumerate(rings):
        area2, moment_x, moment_y, lon0, lat0 = ring_moments(ring)
        # Whichever way a ring is wound, the outline counts and a hole does not.
        sign = math.copysign(1.0, area2) * (1.0 if place == 0 else -1.0)
        total += sign * area2
        lon += sign * (moment_x / 3 + lon0 * area2)
        lat += sign * (moment_y / 3 + lat0 * area2)
    if total == 0.0:
        raise ValueError("a footprint without area")
    return lon / total, lat / total


def distance_m(lon1, lat1, lon2, lat2):
    """Vincenty's inverse problem; it converges for all but nearly antipodal points."""
    if (lon1, lat1) == (lon2, lat2):
        return 0.0
    difference = math.radians(lon2 - lon1)
    reduced1 = math.atan((1 - FLATTENING) * math.tan(math.radians(lat1)))
    reduced2 = math.atan((1 - FLATTENING) * math.tan(math.radians(lat2)))
    sin1, cos1 = math.sin(reduced1), math.cos(reduced1)
    sin2, cos2 = math.sin(reduced2), math.cos(reduced2)
    lam = difference
    for _ in range(200):
        sin_lam, cos_lam = math.sin(lam), math.cos(lam)
        sin_sigma = math.hypot(cos2 * sin_lam, cos1 * sin2 - sin1 * cos2 * cos_lam)
        if sin_sigma == 0.0:
            return 0.0
        cos_sigma = sin1 * sin2 + cos1 * cos2 * cos_lam
        sigma = math.atan2(sin_sigma, cos_sigma)
        sin_alpha = cos1 * cos2 * sin_lam / sin_sigma
        cos2_alpha = 1 - sin_alpha * sin_alpha
        cos_2mid = cos_sigma - 2 * sin1 * sin2 / cos2_alpha if cos2_alpha else 0.0
        c = FLATTENING / 16 * cos2_alpha * (4 + FLATTENING * (4 - 3 * cos2_alpha))
        previous = lam
        lam = difference + (1 - c) * FLATTENING * sin_alpha * (
            sigma + c * sin_sigma * (cos_2mid + c * cos_sigma * (2 * cos_2mid * cos_2mid - 1))
        )
        if abs(lam - previous) < 1e-13:
            break
    else:
        raise ValueError("Vincenty's iteration does not converge")
    u2 = cos2_alpha * (MAJOR_M * MAJOR_M - MINOR_M * MINOR_M) / (MINOR_M * MINOR_M)
    big_a = 1 + u2 / 16384 * (4096 + u2 * (-768 + u2 * (320 - 175 * u2)))
    big_b = u2 / 1024 * (256 + u2 * (-128 + u2 * (74 - 47 * u2)))
    delta_sigma = big_b * sin_sigma * (
        cos_2mid
        + big_b / 4 * (
            cos_sigma * (2 * cos_2mid * cos_2mid - 1)
            - big_b / 6 * cos_2mid * (4 * sin_sigma * sin_sigma - 3) * (4 * cos_2mid * cos_2mid - 3)
        )
    )
    return MINOR_M * big_a * (sigma - delta_sigma)


def shelters(folder):
    for municipality in ("131075", "131083"):
        with open(f"{folder}/shelters_evacuation_{municipality}.json", encoding="utf-8") as file:
            for feature in json.load(file)["features"]:
                yield tuple(feature["geometry"]["coordinates"][:2])


def main():
    folder = sys.argv[1]
    metres = float(sys.argv[2]) if len(sys.argv) > 2 else 400.0
    depth_min = float(sys.argv[3]) if len(sys.argv) > 3 else 3.0
    # A degree of latitude is more than 110 km everywhere: what is further in it is further away.
    reach = (metres + 1.0) / 110_000
    places = sorted(shelters(folder), key=lambda place: place[1])
    matched, unknown, deep, closest = [], [], 0, math.inf
    for municipality in ("13107", "13108"):
        with gzip.open(f"{folder}/buildings_{municipality}.geojsonl.gz", "rt", encoding="utf-8") as file:
            for line in file:
                feature = json.loads(line)
                name = "urn:ngsi-ld:Building:" + feature["properties"]["建物ID"]
                depth = feature["properties"].get(DEPTH)
                if depth is None:
                    unknown.append(name)
                    continue
                if depth < depth_min:
                    continue
                deep += 1
                lon, lat = centroid(feature["geometry"]["coordinates"])
                distances = [distance_m(lon, lat, *place) for place in places if abs(place[1] - lat) <= reach]
                nearest = min(distances, default=math.inf)
                closest = min(closest, abs(nearest - metres))
                if nearest > metres:
                    matched.append(name)
    answer = {"deep": deep, "matched": sorted(matched), "unknown": sorted(unknown), "closest_to_limit_m": closest}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
