//! Units of measure by their UCUM codes (The Unified Code for Units of Measure, case sensitive): what cities measure,
//! not all that chemists do.

use std::f64::consts::PI;

/// Powers of metre, gram, second, kelvin, ampere, mole and candela.
type Dimension = [i8; 7];

const ONE: Dimension = [0; 7];

/// A code, what it is in base units, of which dimension, and whether it takes prefixes.
const ATOMS: &[(&str, f64, Dimension, bool)] = &[
    ("m", 1.0, [1, 0, 0, 0, 0, 0, 0], true),
    ("g", 1.0, [0, 1, 0, 0, 0, 0, 0], true),
    ("s", 1.0, [0, 0, 1, 0, 0, 0, 0], true),
    ("K", 1.0, [0, 0, 0, 1, 0, 0, 0], true),
    ("A", 1.0, [0, 0, 0, 0, 1, 0, 0], true),
    ("mol", 1.0, [0, 0, 0, 0, 0, 1, 0], true),
    ("cd", 1.0, [0, 0, 0, 0, 0, 0, 1], true),
    ("rad", 1.0, ONE, true),
    ("sr", 1.0, ONE, true),
    ("1", 1.0, ONE, false),
    ("%", 1e-2, ONE, false),
    ("[ppth]", 1e-3, ONE, false),
    ("[ppm]", 1e-6, ONE, false),
    ("[ppb]", 1e-9, ONE, false),
    ("deg", PI / 180.0, ONE, false),
    ("'", PI / 10_800.0, ONE, false),
    ("''", PI / 648_000.0, ONE, false),
    ("min", 60.0, [0, 0, 1, 0, 0, 0, 0], false),
    ("h", 3_600.0, [0, 0, 1, 0, 0, 0, 0], false),
    ("d", 86_400.0, [0, 0, 1, 0, 0, 0, 0], false),
    ("wk", 604_800.0, [0, 0, 1, 0, 0, 0, 0], false),
    ("a", 31_557_600.0, [0, 0, 1, 0, 0, 0, 0], false),
    ("Hz", 1.0, [0, 0, -1, 0, 0, 0, 0], true),
    ("N", 1e3, [1, 1, -2, 0, 0, 0, 0], true),
    ("Pa", 1e3, [-1, 1, -2, 0, 0, 0, 0], true),
    ("J", 1e3, [2, 1, -2, 0, 0, 0, 0], true),
    ("W", 1e3, [2, 1, -3, 0, 0, 0, 0], true),
    ("C", 1.0, [0, 0, 1, 0, 1, 0, 0], true),
    ("V", 1e3, [2, 1, -3, 0, -1, 0, 0], true),
    ("F", 1e-3, [-2, -1, 4, 0, 2, 0, 0], true),
    ("Ohm", 1e3, [2, 1, -3, 0, -2, 0, 0], true),
    ("S", 1e-3, [-2, -1, 3, 0, 2, 0, 0], true),
    ("Wb", 1e3, [2, 1, -2, 0, -1, 0, 0], true),
    ("T", 1e3, [0, 1, -2, 0, -1, 0, 0], true),
    ("H", 1e3, [2, 1, -2, 0, -2, 0, 0], true),
    ("lm", 1.0, [0, 0, 0, 0, 0, 0, 1], true),
    ("lx", 1.0, [-2, 0, 0, 0, 0, 0, 1], true),
    ("Bq", 1.0, [0, 0, -1, 0, 0, 0, 0], true),
    ("Gy", 1.0, [2, 0, -2, 0, 0, 0, 0], true),
    ("Sv", 1.0, [2, 0, -2, 0, 0, 0, 0], true),
    ("L", 1e-3, [3, 0, 0, 0, 0, 0, 0], true),
    ("l", 1e-3, [3, 0, 0, 0, 0, 0, 0], true),
    ("ar", 100.0, [2, 0, 0, 0, 0, 0, 0], true),
    ("t", 1e6, [0, 1, 0, 0, 0, 0, 0], true),
    ("bar", 1e8, [-1, 1, -2, 0, 0, 0, 0], true),
    ("atm", 101_325e3, [-1, 1, -2, 0, 0, 0, 0], false),
    ("m[H2O]", 9_806.65e3, [-1, 1, -2, 0, 0, 0, 0], true),
    ("m[Hg]", 133_322e3, [-1, 1, -2, 0, 0, 0, 0], true),
    ("cal", 4_184.0, [2, 1, -2, 0, 0, 0, 0], true),
    ("[in_i]", 0.0254, [1, 0, 0, 0, 0, 0, 0], false),
    ("[ft_i]", 0.3048, [1, 0, 0, 0, 0, 0, 0], false),
    ("[yd_i]", 0.9144, [1, 0, 0, 0, 0, 0, 0], false),
    ("[mi_i]", 1_609.344, [1, 0, 0, 0, 0, 0, 0], false),
    ("[nmi_i]", 1_852.0, [1, 0, 0, 0, 0, 0, 0], false),
    ("[kn_i]", 1_852.0 / 3_600.0, [1, 0, -1, 0, 0, 0, 0], false),
    ("[lb_av]", 453.592_37, [0, 1, 0, 0, 0, 0, 0], false),
    ("[gal_us]", 3.785_411_784e-3, [3, 0, 0, 0, 0, 0, 0], false),
    ("[g]", 9.806_65, [1, 0, -2, 0, 0, 0, 0], false),
];

const PREFIXES: [(&str, f64); 18] = [
    ("da", 1e1),
    ("Y", 1e24),
    ("Z", 1e21),
    ("E", 1e18),
    ("P", 1e15),
    ("T", 1e12),
    ("G", 1e9),
    ("M", 1e6),
    ("k", 1e3),
    ("h", 1e2),
    ("d", 1e-1),
    ("c", 1e-2),
    ("m", 1e-3),
    ("u", 1e-6),
    ("n", 1e-9),
    ("p", 1e-12),
    ("f", 1e-15),
    ("a", 1e-18),
];

const KELVIN: Dimension = [0, 0, 0, 1, 0, 0, 0];

/// A unit: what one of it is in base units, and where its zero lies.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Unit {
    factor: f64,
    zero: f64,
    dimension: Dimension,
}

fn parse(code: &str) -> Result<Unit, String> {
    /// Longest code that is read.
    const CODE_BYTES_MAX: usize = 64;
    if code.is_empty() || code.len() > CODE_BYTES_MAX {
        return Err(format!("\"{code}\" is no UCUM unit"));
    }
    match code {
        "Cel" => return Ok(Unit { factor: 1.0, zero: 273.15, dimension: KELVIN }),
        "[degF]" => return Ok(Unit { factor: 5.0 / 9.0, zero: 459.67 * 5.0 / 9.0, dimension: KELVIN }),
        _ => {}
    }
    let mut unit = Unit { factor: 1.0, zero: 0.0, dimension: ONE };
    let mut rest = code;
    let mut power = 1;
    if let Some(behind) = rest.strip_prefix('/') {
        (rest, power) = (behind, -1);
    }
    loop {
        // A dot inside brackets or a decimal is none of ours: no code here has one.
        let end = rest.find(['.', '/']).unwrap_or(rest.len());
        let (part, behind) = rest.split_at(end);
        let (factor, dimension, exponent) =
            component(part).ok_or_else(|| format!("\"{code}\" is no UCUM unit that is known here: {part}"))?;
        let exponent = exponent * power;
        unit.factor *= factor.powi(i32::from(exponent));
        for (sum, own) in unit.dimension.iter_mut().zip(dimension) {
            *sum = sum.saturating_add(own.saturating_mul(exponent));
        }
        let mut behind = behind.chars();
        power = match behind.next() {
            None => return Ok(unit),
            Some('/') => -1,
            Some(_) => 1,
        };
        rest = behind.as_str();
    }
}

/// One symbol with its exponent, as in `m3` or `s-1`; or a whole number.
fn component(part: &str) -> Option<(f64, Dimension, i8)> {
    if !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some((part.parse().ok().filter(|factor| *factor > 0.0)?, ONE, 1));
    }
    let digits = part.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let (symbol, exponent) = part.split_at(digits);
    let (symbol, sign) = match symbol.strip_suffix(['-', '+']) {
        Some(own) if !exponent.is_empty() => (own, if symbol.ends_with('-') { -1 } else { 1 }),
        _ => (symbol, 1),
    };
    let exponent = if exponent.is_empty() { 1 } else { exponent.parse::<i8>().ok()? };
    let (factor, dimension) = atom(symbol)?;
    Some((factor, dimension, exponent.checked_mul(sign)?))
}

fn atom(symbol: &str) -> Option<(f64, Dimension)> {
    let find = |symbol: &str| ATOMS.iter().find(|(code, ..)| *code == symbol);
    if let Some((_, factor, dimension, _)) = find(symbol) {
        return Some((*factor, *dimension));
    }
    PREFIXES.iter().find_map(|(prefix, times)| {
        let (_, factor, dimension, _) = find(symbol.strip_prefix(prefix)?).filter(|(.., takes)| *takes)?;
        Some((times * factor, *dimension))
    })
}

/// A value in one unit as it is in another.
pub(crate) fn convert(value: f64, from: &str, to: &str) -> Result<f64, String> {
    let (of, into) = (parse(from)?, parse(to)?);
    if of.dimension != into.dimension {
        return Err(format!("{from} cannot be had in {to}: they measure different things"));
    }
    if of.zero != into.zero {
        let base = value * of.factor + of.zero;
        // Decimal digits as they were: what is added is not more exact than this.
        return Ok((((base - into.zero) / into.factor) * 1e9).round() / 1e9);
    }
    // By the larger factor, as a whole number where it is one: 57 cm are 0.57 m, not 0.5700000000000001.
    let whole = |ratio: f64| if (ratio - ratio.round()).abs() < ratio * 1e-12 { ratio.round() } else { ratio };
    Ok(match of.factor >= into.factor {
        true => value * whole(of.factor / into.factor),
        false => value / whole(into.factor / of.factor),
    })
}

#[cfg(test)]
mod tests {
    use super::convert;

    #[test]
    fn what_cities_measure_is_converted() {
        for (value, from, to, wanted) in [
            (57.0, "cm", "m", 0.57),
            (36.0, "km/h", "m/s", 10.0),
            (10.0, "[kn_i]", "km/h", 18.52),
            (1013.25, "hPa", "atm", 1.0),
            (1.0, "kW.h", "MJ", 3.6),
            (3.6, "m3/h", "L/s", 1.0),
            (1.0, "har", "m2", 10_000.0),
            (25.0, "ug/m3", "mg/m3", 0.025),
            (50.0, "[degF]", "Cel", 10.0),
            (0.0, "Cel", "K", 273.15),
            (2.5, "m[H2O]", "kPa", 24.516_625),
            (180.0, "deg", "rad", std::f64::consts::PI),
            (1.0, "m.s-2", "cm/s2", 100.0),
            (5.0, "/min", "Hz", 5.0 / 60.0),
            (12.0, "%", "1", 0.12),
            (100.0, "uSv/h", "mSv/d", 2.4),
            (1.5, "t", "kg", 1_500.0),
            (80.0, "mm[Hg]", "hPa", 106.6576),
        ] {
            let got = convert(value, from, to).unwrap();
            assert!((got - wanted).abs() <= wanted.abs() * 1e-12, "{value} {from} is {got} {to}, not {wanted}");
        }
    }

    #[test]
    fn what_is_no_unit_or_another_thing_is_refused() {
        for (from, to) in [
            ("m", "s"),
            ("kW", "kW.h"),
            ("degC", "Cel"),
            ("", "m"),
            ("m^2", "m2"),
            ("kmin", "s"),
            ("m/", "m"),
            ("0", "0"),
        ] {
            assert!(convert(1.0, from, to).is_err(), "{from} to {to}");
        }
    }
}
