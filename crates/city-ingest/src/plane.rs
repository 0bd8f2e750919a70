//! Japan's plane rectangular coordinates (平面直角座標系, zones 1 to 19, JGD2011) as longitude and latitude.
//!
//! After Kawase, "A general formula for calculating meridian arc length and its application to coordinate conversion
//! in the Gauss-Krüger projection" (Bulletin of the GSI 59, 2011). JGD2011 is an ITRF frame; for a map it is WGS 84.

/// Latitude and longitude of the origin of each zone, in minutes of arc (国土交通省告示第九号).
const ORIGINS: [(f64, f64); 19] = [
    (1980.0, 7770.0),
    (1980.0, 7860.0),
    (2160.0, 7930.0),
    (1980.0, 8010.0),
    (2160.0, 8060.0),
    (2160.0, 8160.0),
    (2160.0, 8230.0),
    (2160.0, 8310.0),
    (2160.0, 8390.0),
    (2400.0, 8450.0),
    (2640.0, 8415.0),
    (2640.0, 8535.0),
    (2640.0, 8655.0),
    (1560.0, 8520.0),
    (1560.0, 7650.0),
    (1560.0, 7440.0),
    (1560.0, 7860.0),
    (1200.0, 8160.0),
    (1560.0, 9240.0),
];
/// Scale on the central meridian.
const SCALE: f64 = 0.9999;
/// GRS 80.
const RADIUS: f64 = 6_378_137.0;
const FLATTENING: f64 = 1.0 / 298.257_222_101;
/// Beyond, no point of Japan lies in the zone.
const METRES_MAX: f64 = 2_000_000.0;

/// Longitude and latitude of a point so many metres north and east of its zone's origin.
pub(crate) fn to_degrees(north: f64, east: f64, zone: i64) -> Result<(f64, f64), String> {
    let origin = usize::try_from(zone - 1).ok().and_then(|zone| ORIGINS.get(zone));
    let (latitude, longitude) = origin.ok_or_else(|| format!("{zone} is no zone; there are 1 to {}", ORIGINS.len()))?;
    if !(north.abs() <= METRES_MAX && east.abs() <= METRES_MAX) {
        return Err(format!("{north}, {east} is no place in metres of the plane"));
    }
    let (phi0, lambda0) = ((latitude / 60.0).to_radians(), (longitude / 60.0).to_radians());
    let n = FLATTENING / (2.0 - FLATTENING);
    let (n2, n3, n4, n5, n6) = (n.powi(2), n.powi(3), n.powi(4), n.powi(5), n.powi(6));
    let mean = RADIUS / (1.0 + n) * (1.0 + n2 / 4.0 + n4 / 64.0);
    let arc = [
        -1.5 * (n - n3 / 8.0 - n5 / 64.0),
        15.0 / 16.0 * (n2 - n4 / 4.0),
        -35.0 / 48.0 * (n3 - 5.0 / 16.0 * n5),
        315.0 / 512.0 * n4,
        -693.0 / 1280.0 * n5,
    ];
    let beta = [
        n / 2.0 - 2.0 / 3.0 * n2 + 37.0 / 96.0 * n3 - n4 / 360.0 - 81.0 / 512.0 * n5,
        n2 / 48.0 + n3 / 15.0 - 437.0 / 1440.0 * n4 + 46.0 / 105.0 * n5,
        17.0 / 480.0 * n3 - 37.0 / 840.0 * n4 - 209.0 / 4480.0 * n5,
        4397.0 / 161_280.0 * n4 - 11.0 / 504.0 * n5,
        4583.0 / 161_280.0 * n5,
    ];
    let delta = [
        2.0 * n - 2.0 / 3.0 * n2 - 2.0 * n3 + 116.0 / 45.0 * n4 + 26.0 / 45.0 * n5 - 2854.0 / 675.0 * n6,
        7.0 / 3.0 * n2 - 8.0 / 5.0 * n3 - 227.0 / 45.0 * n4 + 2704.0 / 315.0 * n5 + 2323.0 / 945.0 * n6,
        56.0 / 15.0 * n3 - 136.0 / 35.0 * n4 - 1262.0 / 105.0 * n5 + 73_814.0 / 2835.0 * n6,
        4279.0 / 630.0 * n4 - 332.0 / 35.0 * n5 - 399_572.0 / 14_175.0 * n6,
        4174.0 / 315.0 * n5 - 144_838.0 / 6237.0 * n6,
        601_676.0 / 22_275.0 * n6,
    ];
    let sum = |terms: &[f64], term: &dyn Fn(f64) -> f64| -> f64 {
        terms.iter().zip(1_u8..).map(|(factor, j)| factor * term(2.0 * f64::from(j))).sum()
    };
    let meridian = RADIUS / (1.0 + n) * ((1.0 + n2 / 4.0 + n4 / 64.0) * phi0 + sum(&arc, &|j| (j * phi0).sin()));
    let xi = (north + SCALE * meridian) / (SCALE * mean);
    let eta = east / (SCALE * mean);
    let xi1 = xi - sum(&beta, &|j| (j * xi).sin() * (j * eta).cosh());
    let eta1 = eta - sum(&beta, &|j| (j * xi).cos() * (j * eta).sinh());
    let chi = (xi1.sin() / eta1.cosh()).asin();
    let phi = chi + sum(&delta, &|j| (j * chi).sin());
    let lambda = lambda0 + eta1.sinh().atan2(xi1.cos());
    // A tenth of a millimetre: more digits would be noise.
    let rounded = |radians: f64| (radians.to_degrees() * 1e9).round() / 1e9;
    Ok((rounded(lambda), rounded(phi)))
}

#[cfg(test)]
mod tests {
    use super::to_degrees;

    /// Against PROJ 9 (EPSG:6669 to 6687 into EPSG:6668), to a tenth of a millimetre.
    #[test]
    fn a_point_of_the_plane_is_where_proj_has_it() {
        for (zone, north, east, lon, lat) in [
            (9, -35_367.25, -7_022.5, 139.755_750_486_824_18, 35.681_193_042_388_24),
            (9, -41_000.123, 1_500.456, 139.849_899_518_930_64, 35.630_443_554_998_195),
            (1, 60_000.0, -120_000.0, 128.208_005_977_566_16, 33.534_296_576_789_37),
            (13, -200.5, 90_000.25, 145.372_082_712_913_65, 43.992_685_483_416_88),
            (15, 12_345.678, 54_321.012, 128.043_129_453_299_31, 26.110_422_566_972_645),
            (19, -190_000.0, 1_000.0, 154.009_850_608_730_7, 24.284_640_678_786_683),
        ] {
            let (found_lon, found_lat) = to_degrees(north, east, zone).unwrap();
            assert!(
                (found_lon - lon).abs() < 1.1e-9 && (found_lat - lat).abs() < 1.1e-9,
                "{zone}: {found_lon} {found_lat}"
            );
        }
    }

    #[test]
    fn what_is_no_place_of_the_plane_is_refused() {
        assert!(to_degrees(0.0, 0.0, 0).is_err() && to_degrees(0.0, 0.0, 20).is_err());
        assert!(to_degrees(35.6, 139.7e6, 9).is_err() && to_degrees(f64::NAN, 0.0, 9).is_err());
    }
}
