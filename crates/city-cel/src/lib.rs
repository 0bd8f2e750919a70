//! The one expression language of the house, CEL: what an expression may be, wherever one is written.
//!
//! Mappings read rows with it, rules read entities. The text of an expression comes in; whether it is small
//! enough for the parser, and which functions it may call, goes out. Pure.

use cel::ExecutionError;

/// Longest expression in bytes.
pub const EXPRESSION_BYTES_MAX: usize = 4_096;
/// Most words and symbols of an expression; the parser recurses with them before there is a tree to look at.
pub const EXPRESSION_TOKENS_MAX: usize = 400;
/// Deepest nesting of an expression; each level costs stack.
pub const EXPRESSION_DEPTH_MAX: usize = 32;

/// Refuses what the parser should not see.
pub fn check_size(source: &str) -> Result<(), String> {
    if source.len() > EXPRESSION_BYTES_MAX {
        return Err(format!("an expression may have {EXPRESSION_BYTES_MAX} bytes at most"));
    }
    if count_tokens(source) > EXPRESSION_TOKENS_MAX {
        return Err(format!("an expression may have {EXPRESSION_TOKENS_MAX} words and symbols at most"));
    }
    Ok(())
}

/// Words and symbols, those inside of texts too (telling them apart would need the parser that this guards).
/// A chain of operators nests as brackets do, and the parser recurses with it.
fn count_tokens(source: &str) -> usize {
    let (mut count, mut in_word) = (0, false);
    for c in source.chars() {
        let word = c.is_alphanumeric() || c == '_';
        count += usize::from((word && !in_word) || !(word || c.is_whitespace()));
        in_word = word;
    }
    count
}

/// Whether a function is one of the language's own, operators included.
#[must_use]
pub fn is_standard(function: &str) -> bool {
    const STANDARD: [&str; 32] = [
        "size",
        "contains",
        "startsWith",
        "endsWith",
        "matches",
        "string",
        "int",
        "uint",
        "double",
        "bool",
        "bytes",
        "type",
        "dyn",
        "duration",
        "timestamp",
        "getFullYear",
        "getMonth",
        "getDate",
        "getDayOfMonth",
        "getDayOfWeek",
        "getDayOfYear",
        "getHours",
        "getMinutes",
        "getSeconds",
        "getMilliseconds",
        "of",
        "none",
        "ofNonZeroValue",
        "hasValue",
        "value",
        "or",
        "orValue",
    ];
    STANDARD.contains(&function) || !function.starts_with(|c: char| c.is_ascii_alphabetic())
}

/// What the interpreter says, without its inner names.
#[must_use]
pub fn shown(error: &ExecutionError) -> String {
    const SHOWN_CHARS_MAX: usize = 400;
    let text = match error {
        ExecutionError::FunctionError { function, message } => format!("{function}: {message}"),
        other => other.to_string(),
    };
    text.chars().take(SHOWN_CHARS_MAX).collect()
}

/// What the parser says, in one line.
#[must_use]
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
