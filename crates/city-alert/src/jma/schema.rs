//! What the agency's XML schemas say that a document does not show: which elements may repeat, which have
//! attributes beside their text, and which texts are numbers.
//!
//! Without it a list would be a list in one message and none in the next. `schema.tsv` is made from the schemas
//! (jmx.xsd and those it imports, of 2025-06-30); a test holds the one against the other. It lists, type by type,
//! each attribute (`@`), child, and the text itself (`.`): whether it may repeat (`*`), and of what it is. What is
//! not listed is there once and is text.

use std::collections::HashMap;
use std::sync::LazyLock;

const SOURCE: &str = include_str!("schema.tsv");

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::parse(SOURCE));

/// What a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scalar {
    Text,
    /// A whole number or one with a fraction.
    Number,
    Boolean,
    /// Words apart by white space.
    List,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Scalar(Scalar),
    Type(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) repeats: bool,
    pub(super) of: Of,
}

struct Schema {
    members: HashMap<(&'static str, &'static str), Member>,
}

impl Schema {
    fn parse(source: &'static str) -> Self {
        let mut members = HashMap::new();
        for line in source.lines().filter(|line| !line.starts_with('#')) {
            let mut columns = line.split('\t');
            let (Some(of_type), Some(name), Some(often), Some(of)) =
                (columns.next(), columns.next(), columns.next(), columns.next())
            else {
                continue;
            };
            let of = match of {
                "text" => Of::Scalar(Scalar::Text),
                "number" => Of::Scalar(Scalar::Number),
                "boolean" => Of::Scalar(Scalar::Boolean),
                "list" => Of::Scalar(Scalar::List),
                name => Of::Type(name),
            };
            members.insert((of_type, name), Member { repeats: often == "*", of });
        }
        Self { members }
    }
}

/// A child, or an attribute by its name after an `@`, or the text as `.`.
pub(super) fn member(of_type: &str, name: &str) -> Option<Member> {
    SCHEMA.members.get(&(of_type, name)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_repeat_and_what_is_a_number_is_known() {
        assert_eq!(member("seis:Earthquake", "Magnitude").map(|member| member.repeats), Some(true));
        assert_eq!(member("eb:Magnitude", ".").map(|member| member.of), Some(Of::Scalar(Scalar::Number)));
        assert_eq!(member("jmx:control", "PublishingOffice").map(|member| member.of), Some(Of::Scalar(Scalar::List)));
        assert_eq!(member("jmx:control", "Title"), None);
    }
}
