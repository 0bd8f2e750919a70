//! The query language `q` (clause 4.9).

use city_model::query::{AttributePath, Filter, Operand, Pattern, Test, core_names};
use city_model::value::Value;
use city_model::{Name, Time};

use crate::context::TermMap;
use crate::entity::check_name;
use crate::error::Error;
use crate::query::{CONDITIONS_MAX, LIST_MAX, PARENTHESES_DEPTH_MAX, at, check_length};

/// What ends a name.
const NAME_ENDS: &[char] = &['=', '!', '<', '>', '~', ';', '|', '(', ')', '[', ']', '{', '}', '.', ',', '"', ' '];
/// What ends a value without quotes.
const VALUE_ENDS: &[char] = &[';', '|', ')', ',', '"'];

pub fn parse_q(text: &str, terms: &TermMap) -> Result<Filter, Error> {
    parse_q_with(text, terms, &[])
}

/// Values compared with the attributes in `expand_values` are terms of the @context, as those of
/// VocabProperties are.
pub fn parse_q_with(text: &str, terms: &TermMap, expand_values: &[Name]) -> Result<Filter, Error> {
    check_length("q", text)?;
    let mut parser = Parser { text, at: 0, terms, expand_values, conditions: 0 };
    let filter = parser.any(PARENTHESES_DEPTH_MAX)?;
    match parser.rest().chars().next() {
        None => Ok(filter),
        Some(found) => Err(parser.wrong(format!("{found} is out of place here; join conditions with ; or |"))),
    }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    terms: &'t TermMap,
    expand_values: &'t [Name],
    conditions: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    GreaterOrEqual,
    Greater,
    LessOrEqual,
    Less,
    Matches,
    NotMatches,
}

/// Longer ones first.
const OPERATORS: [(&str, Operator); 8] = [
    ("!~=", Operator::NotMatches),
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    (">=", Operator::GreaterOrEqual),
    ("<=", Operator::LessOrEqual),
    ("~=", Operator::Matches),
    (">", Operator::Greater),
    ("<", Operator::Less),
];

impl<'t> Parser<'t> {
    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    fn takes(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn wrong(&self, message: impl std::fmt::Display) -> Error {
        at("q", self.text, self.at, message)
    }

    fn any(&mut self, levels_left: usize) -> Result<Filter, Error> {
        let mut parts = vec![self.all(levels_left)?];
        while self.takes("|") {
            parts.push(self.all(levels_left)?);
        }
        Ok(joined(parts, Filter::Or))
    }

    fn all(&mut self, levels_left: usize) -> Result<Filter, Error> {
        let mut parts = vec![self.one(levels_left)?];
        while self.takes(";") {
            parts.push(self.one(levels_left)?);
        }
        Ok(joined(parts, Filter::And))
    }

    fn one(&mut self, levels_left: usize) -> Result<Filter, Error> {
        if self.takes("(") {
            let levels_left = levels_left.checked_sub(1).ok_or_else(|| {
                Error::too_complex("q", format!("is nested deeper than {PARENTHESES_DEPTH_MAX} parentheses"))
            })?;
            let inner = self.any(levels_left)?;
            return if self.takes(")") { Ok(inner) } else { Err(self.wrong("expected )")) };
        }
        self.conditions += 1;
        if self.conditions > CONDITIONS_MAX {
            return Err(Error::too_complex("q", format!("has more than {CONDITIONS_MAX} conditions")));
        }
        let absent = self.rest().starts_with('!') && self.takes("!");
        let path = self.path()?;
        let operator = OPERATORS.into_iter().find(|(token, _)| self.takes(token)).map(|(_, operator)| operator);
        let test = match operator {
            Some(_) if absent => return Err(self.wrong("!attribute asks that it is missing and takes no comparison")),
            Some(operator) => self.comparison(operator, &path)?,
            None if absent => Test::NotExists,
            None => Test::Exists,
        };
        Ok(Filter::Term { path, test })
    }

    /// `temperature`, `temperature.observedAt`, `address[city.name]`.
    fn path(&mut self) -> Result<AttributePath, Error> {
        let attribute = self.name("attribute")?;
        let mut sub_attributes = Vec::new();
        while self.takes(".") {
            sub_attributes.push(self.name("attribute")?);
        }
        let mut members = Vec::new();
        if self.takes("[") {
            loop {
                members.push(self.word("member")?.into());
                if !self.takes(".") {
                    break;
                }
            }
            if !self.takes("]") {
                return Err(self.wrong("expected ]"));
            }
        }
        if self.rest().starts_with('{') {
            return Err(
                self.wrong("conditions on linked entities, attribute{…}, need join, which this release does not have")
            );
        }
        Ok(AttributePath { attribute, sub_attributes, members })
    }

    fn name(&mut self, what: &str) -> Result<Name, Error> {
        let start = self.at;
        let word = self.word(what)?;
        check_name(word, "attribute name").map_err(|error| at("q", self.text, start, error.message))?;
        Ok(self.terms.expand(word))
    }

    fn word(&mut self, what: &str) -> Result<&'t str, Error> {
        let rest = self.rest();
        let word = &rest[..rest.find(NAME_ENDS).unwrap_or(rest.len())];
        if word.is_empty() {
            let article = if what.starts_with('a') { "an" } else { "a" };
            return Err(self.wrong(format!("expected the name of {article} {what}")));
        }
        self.at += word.len();
        Ok(word)
    }

    fn comparison(&mut self, operator: Operator, path: &AttributePath) -> Result<Test, Error> {
        if matches!(operator, Operator::Matches | Operator::NotMatches) {
            let start = self.at;
            let text = self.pattern()?;
            let pattern = Pattern::parse(&text).map_err(|message| at("q", self.text, start, message))?;
            return Ok(if operator == Operator::Matches { Test::Matches(pattern) } else { Test::NotMatches(pattern) });
        }
        let start = self.at;
        let mut operands = vec![self.operand(path)?];
        while self.takes(",") {
            if operands.len() == LIST_MAX {
                return Err(Error::too_complex("q", format!("has a list of more than {LIST_MAX} values")));
            }
            operands.push(self.operand(path)?);
        }
        let one = |mut operands: Vec<Operand>| match (operands.len(), operands.pop()) {
            (
                1,
                Some(operand @ (Operand::Time(_) | Operand::Value(Value::Int(_) | Value::Float(_) | Value::Text(_)))),
            ) => Ok(operand),
            _ => Err(at(
                "q",
                self.text,
                start,
                "expected one number, string or time; lists, ranges and booleans go with == and !=",
            )),
        };
        Ok(match operator {
            Operator::Equal => Test::Equal(operands),
            Operator::NotEqual => Test::NotEqual(operands),
            Operator::Greater => Test::Greater(one(operands)?),
            Operator::GreaterOrEqual => Test::GreaterOrEqual(one(operands)?),
            Operator::Less => Test::Less(one(operands)?),
            Operator::LessOrEqual => Test::LessOrEqual(one(operands)?),
            // Both returned above.
            Operator::Matches | Operator::NotMatches => return Err(self.wrong("expected a value")),
        })
    }

    /// One value, or a range of two.
    fn operand(&mut self, path: &AttributePath) -> Result<Operand, Error> {
        let start = self.at;
        let from = self.single(path)?;
        if !self.takes("..") {
            return Ok(from);
        }
        let to = self.single(path)?;
        let comparable = matches!(
            (&from, &to),
            (Operand::Time(_), Operand::Time(_))
                | (Operand::Value(Value::Int(_) | Value::Float(_)), Operand::Value(Value::Int(_) | Value::Float(_)))
                | (Operand::Value(Value::Text(_)), Operand::Value(Value::Text(_)))
        );
        match comparable {
            true => Ok(Operand::Range(Box::new(from), Box::new(to))),
            false => Err(at("q", self.text, start, "both ends of a range must be numbers, strings or times alike")),
        }
    }

    fn single(&mut self, path: &AttributePath) -> Result<Operand, Error> {
        if self.rest().starts_with('"') {
            let text = self.quoted()?;
            // System times are no texts, so a quoted one is meant as a time.
            let last = path.sub_attributes.last().unwrap_or(&path.attribute).as_str();
            if path.members.is_empty()
                && matches!(last, core_names::OBSERVED_AT | core_names::CREATED_AT | core_names::MODIFIED_AT)
                && let Some(time) = Time::parse(&text)
            {
                return Ok(Operand::Time(time));
            }
            return Ok(Operand::Value(self.text_operand(&text, path)));
        }
        let rest = self.rest();
        let mut end = rest.find(VALUE_ENDS).unwrap_or(rest.len());
        if let Some(dots) = rest[..end].find("..") {
            end = dots;
        }
        let word = &rest[..end];
        if word.is_empty() {
            return Err(self.wrong("expected a value: a number, a \"string\", true, false, a time or a URI"));
        }
        let operand = match word {
            "true" => Operand::Value(Value::Bool(true)),
            "false" => Operand::Value(Value::Bool(false)),
            _ if word.starts_with(|c: char| c.is_ascii_digit() || c == '-') => match number(word) {
                Some(number) => Operand::Value(number),
                None => match Time::parse(word) {
                    Some(time) => Operand::Time(time),
                    None => Operand::Value(self.text_operand(word, path)),
                },
            },
            _ => Operand::Value(self.text_operand(word, path)),
        };
        if let Some(odd) = word.find(['=', '<', '>', '(']) {
            return Err(at("q", self.text, self.at + odd, "a value with such a character must stand in double quotes"));
        }
        self.at += end;
        Ok(operand)
    }

    fn text_operand(&self, text: &str, path: &AttributePath) -> Value {
        if self.expand_values.contains(&path.attribute) {
            return Value::text(self.terms.expand(text).as_str());
        }
        Value::text(text)
    }

    /// A JSON string.
    fn quoted(&mut self) -> Result<String, Error> {
        let rest = self.rest();
        let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<String>();
        match stream.next() {
            Some(Ok(text)) => {
                self.at += stream.byte_offset();
                Ok(text)
            }
            _ => {
                Err(self.wrong("the string that starts here does not end, or holds an escape that JSON does not know"))
            }
        }
    }

    /// In quotes, where only `\"` is an escape; or bare, up to the next ; or | or ) outside its own
    /// brackets.
    fn pattern(&mut self) -> Result<String, Error> {
        let rest = self.rest();
        if let Some(inner) = rest.strip_prefix('"') {
            let mut escaped = false;
            for (place, c) in inner.char_indices() {
                match c {
                    '"' if !escaped => {
                        self.at += place + 2;
                        return Ok(inner[..place].replace("\\\"", "\""));
                    }
                    _ => escaped = c == '\\' && !escaped,
                }
            }
            return Err(self.wrong("the pattern that starts here does not end"));
        }
        let (mut depth, mut in_class, mut escaped) = (0_usize, false, false);
        let mut end = rest.len();
        for (place, c) in rest.char_indices() {
            match c {
                _ if escaped => {
                    escaped = false;
                    continue;
                }
                '\\' => escaped = true,
                '[' => in_class = true,
                ']' => in_class = false,
                _ if in_class => {}
                '(' => depth += 1,
                ')' | ';' | '|' if depth == 0 => {
                    end = place;
                    break;
                }
                ')' => depth -= 1,
                _ => {}
            }
        }
        if end == 0 {
            return Err(self.wrong("expected a regular expression"));
        }
        self.at += end;
        Ok(rest[..end].to_owned())
    }
}

/// A number as JSON writes it.
fn number(word: &str) -> Option<Value> {
    match serde_json::from_str::<serde_json::Number>(word) {
        Ok(number) => match number.as_i64() {
            Some(int) => Some(Value::Int(int)),
            None => number.as_f64().filter(|float| float.is_finite()).map(Value::Float),
        },
        Err(_) => None,
    }
}

fn joined(mut parts: Vec<Filter>, join: fn(Vec<Filter>) -> Filter) -> Filter {
    match parts.len() {
        1 => parts.remove(0),
        _ => join(parts),
    }
}
