//! CQL2 text (OGC 21-065r2): comparisons, LIKE, BETWEEN, IN, IS NULL, AND, OR, NOT, and one spatial predicate beside
//! them, as a filter of the model.
//!
//! NOT is carried down to the comparisons, where it means what it means in SQL: what is not there is neither equal nor
//! unequal. A spatial predicate stands beside all others (AND), because an index answers it.

mod geometry;

use city_model::geometry::GeoRelation;
use city_model::query::{AttributePath, Filter, GeoQuery, Operand, Pattern, Test};
use city_model::{Time, Value};

use crate::tokens::{Token, tokens};
use crate::{Error, Expand};

/// Deepest nesting of parentheses and NOT.
pub const DEPTH_MAX: usize = 64;
/// Most values of an IN, and most points of a geometry.
pub const VALUES_MAX: usize = 1_000;

/// What a filter asks for.
#[derive(Debug, Default)]
pub struct Parsed {
    pub filter: Option<Filter>,
    pub geo: Option<GeoQuery>,
}

pub fn parse(text: &str, expand: Expand) -> Result<Parsed, Error> {
    let tokens = tokens(text, "filter")?;
    let end = text.chars().count() + 1;
    let mut parser = Parser { tokens: &tokens, at: 0, end, expand, geo: None, depth: 0 };
    let filter = parser.or(true, true)?;
    if parser.at < tokens.len() {
        return Err(parser.fail("nothing is expected here any more; AND or OR is missing"));
    }
    Ok(Parsed { filter, geo: parser.geo })
}

struct Parser<'t, 'a> {
    tokens: &'t [(usize, Token<'a>)],
    at: usize,
    end: usize,
    expand: Expand<'t>,
    geo: Option<GeoQuery>,
    depth: usize,
}

/// Nothing where a spatial predicate stood, which is kept apart.
type Found = Result<Option<Filter>, Error>;

impl<'t, 'a> Parser<'t, 'a> {
    fn fail(&self, why: impl Into<String>) -> Error {
        let place = self.tokens.get(self.at).map_or(self.end, |(place, _)| *place);
        Error { parameter: "filter", place, why: why.into() }
    }

    fn peek(&self) -> Option<&'t Token<'a>> {
        self.tokens.get(self.at).map(|(_, token)| token)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Some(Token::Word(own)) if own.eq_ignore_ascii_case(word))
    }

    fn take_word(&mut self, word: &str) -> bool {
        let is = self.is_word(word);
        self.at += usize::from(is);
        is
    }

    fn take_sign(&mut self, sign: &str) -> bool {
        let is = matches!(self.peek(), Some(Token::Sign(own)) if *own == sign);
        self.at += usize::from(is);
        is
    }

    fn need(&mut self, sign: &str) -> Result<(), Error> {
        if self.take_sign(sign) { Ok(()) } else { Err(self.fail(format!("{sign} is expected here"))) }
    }

    /// `holds` is false under an odd number of NOTs; `apart` where a spatial predicate may stand.
    fn or(&mut self, holds: bool, apart: bool) -> Found {
        // Whether one stands alone is known at the end: an OR behind it makes it wrong.
        let before = self.geo.is_some();
        let mut parts = vec![self.and(holds, apart)?];
        while self.take_word("OR") {
            parts.push(self.and(holds, false)?);
        }
        if parts.len() > 1 && self.geo.is_some() && !before {
            return Err(self.fail("a spatial predicate cannot stand beside OR; ask twice, or use AND"));
        }
        Ok(joined(parts, holds, Filter::Or, Filter::And))
    }

    fn and(&mut self, holds: bool, apart: bool) -> Found {
        let mut parts = vec![self.not(holds, apart)?];
        while self.take_word("AND") {
            parts.push(self.not(holds, apart)?);
        }
        Ok(joined(parts, holds, Filter::And, Filter::Or))
    }

    fn not(&mut self, holds: bool, apart: bool) -> Found {
        if self.depth >= DEPTH_MAX {
            return Err(self.fail(format!("it is nested more than {DEPTH_MAX} levels deep")));
        }
        self.depth += 1;
        let found = if self.take_word("NOT") {
            self.not(!holds, false)
        } else if self.take_sign("(") {
            let inner = self.or(holds, apart)?;
            self.need(")")?;
            Ok(inner)
        } else {
            self.predicate(holds, apart)
        };
        self.depth -= 1;
        found
    }

    fn predicate(&mut self, holds: bool, apart: bool) -> Found {
        if let Some(Token::Word(word)) = self.peek()
            && let Some(relation) = spatial(word)
        {
            return self.spatial(relation, apart).map(|()| None);
        }
        let path = self.property()?;
        let negated = self.take_word("NOT");
        let holds = holds != negated;
        if self.take_word("LIKE") {
            let pattern = self.like()?;
            let test = if holds { Test::Matches(pattern) } else { Test::NotMatches(pattern) };
            return Ok(Some(Filter::Term { path, test }));
        }
        if self.take_word("BETWEEN") {
            let from = self.operand()?;
            if !self.take_word("AND") {
                return Err(self.fail("AND is expected between the two ends of BETWEEN"));
            }
            let to = self.operand()?;
            let range = vec![Operand::Range(Box::new(from), Box::new(to))];
            let test = if holds { Test::Equal(range) } else { Test::NotEqual(range) };
            return Ok(Some(Filter::Term { path, test }));
        }
        if self.take_word("IN") {
            self.need("(")?;
            let mut operands = vec![self.operand()?];
            while self.take_sign(",") {
                if operands.len() >= VALUES_MAX {
                    return Err(self.fail(format!("IN takes {VALUES_MAX} values at most")));
                }
                operands.push(self.operand()?);
            }
            self.need(")")?;
            let test = if holds { Test::Equal(operands) } else { Test::NotEqual(operands) };
            return Ok(Some(Filter::Term { path, test }));
        }
        if negated {
            return Err(self.fail("LIKE, BETWEEN or IN is expected after NOT"));
        }
        if self.take_word("IS") {
            let is_not = self.take_word("NOT");
            if !self.take_word("NULL") {
                return Err(self.fail("NULL is expected after IS"));
            }
            let test = if holds == is_not { Test::Exists } else { Test::NotExists };
            return Ok(Some(Filter::Term { path, test }));
        }
        self.comparison(path, holds).map(Some)
    }

    fn comparison(&mut self, path: AttributePath, holds: bool) -> Result<Filter, Error> {
        let Some(Token::Sign(sign)) = self.peek() else {
            return Err(self.fail("a comparison is expected: =, <>, <, <=, >, >=, LIKE, BETWEEN, IN or IS NULL"));
        };
        if !["=", "<>", "<", "<=", ">", ">="].contains(sign) {
            return Err(self.fail("arithmetic is not understood here; compare a property with a value"));
        }
        self.at += 1;
        let operand = self.operand()?;
        let test = match (*sign, holds) {
            ("=", true) | ("<>", false) => Test::Equal(vec![operand]),
            ("<>", true) | ("=", false) => Test::NotEqual(vec![operand]),
            ("<", true) | (">=", false) => Test::Less(operand),
            ("<=", true) | (">", false) => Test::LessOrEqual(operand),
            (">", true) | ("<=", false) => Test::Greater(operand),
            _ => Test::GreaterOrEqual(operand),
        };
        Ok(Filter::Term { path, test })
    }

    /// `level`, `address.city` for a member of its value.
    fn property(&mut self) -> Result<AttributePath, Error> {
        const KEYWORDS: [&str; 10] = ["AND", "OR", "NOT", "LIKE", "BETWEEN", "IN", "IS", "NULL", "TRUE", "FALSE"];
        let name = match self.peek() {
            Some(Token::Word(word)) if !KEYWORDS.iter().any(|keyword| keyword.eq_ignore_ascii_case(word)) => {
                (*word).to_owned()
            }
            Some(Token::Quoted(name)) if !name.is_empty() => name.clone(),
            _ => return Err(self.fail("the name of a property is expected here")),
        };
        if self.tokens.get(self.at + 1).is_some_and(|(_, next)| matches!(next, Token::Sign("("))) {
            return Err(self.fail(format!("there is no function {name}")));
        }
        self.at += 1;
        // A full name holds dots of its own.
        let mut parts =
            if name.contains("://") || name.starts_with("urn:") { vec![&*name] } else { name.split('.').collect() };
        if parts.iter().any(|part| part.is_empty()) {
            return Err(self.fail(format!("\"{name}\" is no name of a property")));
        }
        let attribute = (self.expand)(parts.remove(0));
        Ok(AttributePath {
            attribute,
            sub_attributes: Vec::new(),
            members: parts.into_iter().map(Into::into).collect(),
        })
    }

    fn operand(&mut self) -> Result<Operand, Error> {
        let is_negative = self.take_sign("-");
        let operand = match self.peek() {
            Some(Token::Number(number, text)) => {
                let sign = if is_negative { "-" } else { "" };
                match format!("{sign}{text}").parse::<i64>() {
                    Ok(whole) => Operand::Value(Value::Int(whole)),
                    Err(_) => Operand::Value(Value::Float(if is_negative { -number } else { *number })),
                }
            }
            _ if is_negative => return Err(self.fail("a number is expected after -")),
            Some(Token::Text(text)) => Operand::Value(Value::text(text)),
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("TRUE") => Operand::Value(Value::Bool(true)),
            Some(Token::Word(word)) if word.eq_ignore_ascii_case("FALSE") => Operand::Value(Value::Bool(false)),
            Some(Token::Word(word)) if is_temporal(word) => return self.time(),
            _ => return Err(self.fail("a value is expected here: a number, 'a text', TRUE, FALSE, or TIMESTAMP('…')")),
        };
        self.at += 1;
        Ok(operand)
    }

    /// `TIMESTAMP('2026-04-01T00:00:00Z')` or `DATE('2026-04-01')`.
    fn time(&mut self) -> Result<Operand, Error> {
        self.at += 1;
        self.need("(")?;
        let Some(Token::Text(text)) = self.peek() else { return Err(self.fail("'a time' is expected here")) };
        let time = Time::parse(text).ok_or_else(|| self.fail(format!("'{text}' is no time")))?;
        self.at += 1;
        self.need(")")?;
        Ok(Operand::Time(time))
    }

    /// `%` any characters, `_` one, `\` before either for itself; the whole text must fit.
    fn like(&mut self) -> Result<Pattern, Error> {
        let Some(Token::Text(text)) = self.peek() else { return Err(self.fail("'a pattern' is expected after LIKE")) };
        let mut pattern = String::from("(?s)^");
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            match c {
                '%' => pattern.push_str(".*"),
                '_' => pattern.push('.'),
                '\\' => pattern.push_str(&escaped(chars.next().unwrap_or('\\'))),
                other => pattern.push_str(&escaped(other)),
            }
        }
        pattern.push('$');
        let pattern = Pattern::parse(&pattern).map_err(|why| self.fail(why))?;
        self.at += 1;
        Ok(pattern)
    }

    fn spatial(&mut self, relation: GeoRelation, apart: bool) -> Result<(), Error> {
        if !apart || self.geo.is_some() {
            return Err(self.fail("one spatial predicate can stand in a filter, beside the others with AND"));
        }
        self.at += 1;
        self.need("(")?;
        let path = self.property()?;
        self.need(",")?;
        let begin = self.at;
        let geometry = self.geometry()?;
        if let Err(why) = geometry.check() {
            self.at = begin;
            return Err(self.fail(why.to_string()));
        }
        self.need(")")?;
        self.geo = Some(GeoQuery::new(relation, geometry, path.attribute));
        Ok(())
    }
}

/// Under a NOT, all becomes any and any becomes all.
fn joined(
    parts: Vec<Option<Filter>>,
    holds: bool,
    plain: fn(Vec<Filter>) -> Filter,
    under_not: fn(Vec<Filter>) -> Filter,
) -> Option<Filter> {
    let mut parts: Vec<Filter> = parts.into_iter().flatten().collect();
    match parts.len() {
        0 | 1 => parts.pop(),
        _ if holds => Some(plain(parts)),
        _ => Some(under_not(parts)),
    }
}

fn is_temporal(word: &str) -> bool {
    word.eq_ignore_ascii_case("TIMESTAMP") || word.eq_ignore_ascii_case("DATE")
}

fn spatial(word: &str) -> Option<GeoRelation> {
    Some(match word.to_ascii_uppercase().as_str() {
        "S_INTERSECTS" => GeoRelation::Intersects,
        "S_WITHIN" => GeoRelation::Within,
        "S_CONTAINS" => GeoRelation::Contains,
        "S_DISJOINT" => GeoRelation::Disjoint,
        "S_EQUALS" => GeoRelation::Equals,
        "S_OVERLAPS" => GeoRelation::Overlaps,
        _ => return None,
    })
}

fn escaped(c: char) -> String {
    if c.is_alphanumeric() || c == ' ' { c.to_string() } else { format!("\\x{{{:x}}}", u32::from(c)) }
}

#[cfg(test)]
mod tests {
    use city_model::Name;

    use super::*;

    fn parsed(text: &str) -> Result<Parsed, Error> {
        parse(text, &|term| Name::from_stored(format!("urn:t:{term}").into()))
    }

    fn shown(text: &str) -> String {
        let filter = parsed(text).unwrap().filter.unwrap();
        fn one(filter: &Filter) -> String {
            let all = |parts: &[Filter], with: &str| parts.iter().map(one).collect::<Vec<_>>().join(with);
            match filter {
                Filter::And(parts) => format!("({})", all(parts, " and ")),
                Filter::Or(parts) => format!("({})", all(parts, " or ")),
                Filter::Term { path, test } => {
                    format!("{} {test:?}", path.attribute.as_str().trim_start_matches("urn:t:"))
                }
            }
        }
        one(&filter)
    }

    #[test]
    fn the_operators_of_the_standard_are_read() {
        for (text, wanted) in [
            ("level > 3", "level Greater(Value(Int(3)))"),
            ("level<>-2.5", "level NotEqual([Value(Float(-2.5))])"),
            ("name = 'O''Brien'", "name Equal([Value(Text(\"O'Brien\"))])"),
            ("NOT (a = 1 AND b < 2)", "(a NotEqual([Value(Int(1))]) or b GreaterOrEqual(Value(Int(2))))"),
            (
                "a = 1 OR b = 2 AND c = 3",
                "(a Equal([Value(Int(1))]) or (b Equal([Value(Int(2))]) and c Equal([Value(Int(3))])))",
            ),
            ("a IN (1, 'x', TRUE)", "a Equal([Value(Int(1)), Value(Text(\"x\")), Value(Bool(true))])"),
            ("a NOT BETWEEN 1 AND 5", "a NotEqual([Range(Value(Int(1)), Value(Int(5)))])"),
            ("a is null", "a NotExists"),
            ("not a IS NOT NULL", "a NotExists"),
            ("\"and\" = 1e3", "and Equal([Value(Float(1000.0))])"),
        ] {
            assert_eq!(shown(text), wanted, "{text}");
        }
        assert!(shown("name LIKE 'A_b%(c)'").contains(r"^A.b.*\\x{28}c\\x{29}$"), "{}", shown("name LIKE 'A_b%(c)'"));
        assert!(shown("t >= TIMESTAMP('2026-04-01T00:00:00Z')").contains("GreaterOrEqual(Time("));
    }

    #[test]
    fn a_spatial_predicate_stands_beside_the_others() {
        let found = parsed("level > 3 AND S_INTERSECTS(location, POLYGON((139 35, 140 35, 140 36, 139 35)))").unwrap();
        assert!(found.filter.is_some() && found.geo.is_some_and(|geo| geo.property.as_str() == "urn:t:location"));
        assert!(parsed("S_WITHIN(location, BBOX(139, 35, 140, 36))").unwrap().filter.is_none());
        for text in [
            "POINT(139.7 35.6)",
            "MULTIPOINT((1 2), (3 4))",
            "LINESTRING(-1 -2, 3 4)",
            "MULTIPOLYGON(((0 0,1 0,1 1,0 0)))",
        ] {
            assert!(parsed(&format!("S_DISJOINT(location, {text})")).is_ok(), "{text}");
        }
        for wrong in [
            "S_INTERSECTS(location, POINT(1 2)) OR a = 1",
            "a = 1 OR S_INTERSECTS(location, POINT(1 2))",
            "NOT S_INTERSECTS(location, POINT(1 2))",
            "S_INTERSECTS(location, POINT(1 2)) AND S_WITHIN(location, POINT(1 2))",
        ] {
            assert!(parsed(wrong).unwrap_err().why.contains("spatial"), "{wrong}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, place, why) in [
            ("level >", 8, "a value is expected"),
            ("level > 3 level", 11, "AND or OR is missing"),
            ("a = 'x", 5, "not closed"),
            ("(a = 1", 7, ") is expected"),
            ("a + 1 = 2", 3, "arithmetic"),
            ("upper(a) = 'X'", 1, "no function upper"),
            ("a ; b", 3, "no place"),
            ("a-1 = 2", 2, "arithmetic"),
            ("S_WITHIN(location, BBOX(1, 40, 2, 30))", 38, "south first"),
            ("S_WITHIN(location, POLYGON((0 0, 1 0, 1 1)))", 20, "ring"),
            ("S_INTERSECTS(location, CIRCLE(1 2 3))", 24, "no geometry"),
            ("S_INTERSECTS(location, POINT(200 2))", 35, "longitude"),
            ("", 1, "name of a property"),
        ] {
            let error = parsed(text).unwrap_err();
            assert!(error.why.contains(why) && error.place == place, "{text}: {error}");
        }
        assert!(
            parsed(&"(".repeat(100_000)).is_err() && parsed(&"NOT ".repeat(1_000)).unwrap_err().why.contains("nested")
        );
    }
}
