//! Names of topics, and filters over them (4.7).

use crate::Error;

/// Longest topic or filter, in bytes.
pub const TOPIC_BYTES_MAX: usize = 1_024;
/// Most levels of a topic or filter.
pub const LEVELS_MAX: usize = 64;

fn check_size(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        Err("it is empty")
    } else if text.len() > TOPIC_BYTES_MAX {
        Err("it is longer than 1024 bytes")
    } else if text.split('/').count() > LEVELS_MAX {
        Err("it has more than 64 levels")
    } else if text.contains('\0') {
        Err("it holds U+0000")
    } else {
        Ok(())
    }
}

/// Whether something may be published under this name.
pub fn check_name(name: &str) -> Result<(), Error> {
    check_size(name).map_err(Error::TopicName)?;
    if name.contains(['+', '#']) {
        return Err(Error::TopicName("+ and # are for filters"));
    }
    Ok(())
}

/// A filter as it is written, with the group that shares it, if one does (4.8.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Filter<'a> {
    pub group: Option<&'a str>,
    pub path: &'a str,
}

impl<'a> Filter<'a> {
    pub fn parse(text: &'a str) -> Result<Self, Error> {
        let (group, path) = match text.strip_prefix("$share/") {
            None => (None, text),
            Some(rest) => {
                let (group, path) =
                    rest.split_once('/').ok_or(Error::TopicFilter("$share needs a group and a filter"))?;
                if group.is_empty() || group.contains(['+', '#']) {
                    return Err(Error::TopicFilter("the group is empty, or holds + or #"));
                }
                (Some(group), path)
            }
        };
        check_size(path).map_err(Error::TopicFilter)?;
        let mut levels = path.split('/').peekable();
        while let Some(level) = levels.next() {
            match level {
                "+" => {}
                "#" if levels.peek().is_none() => {}
                "#" => return Err(Error::TopicFilter("# stands before the end")),
                level if level.contains(['+', '#']) => {
                    return Err(Error::TopicFilter("+ or # stands beside something else in a level"));
                }
                _ => {}
            }
        }
        Ok(Self { group, path })
    }
}

/// Whether a filter that was checked matches a name. Wildcards at the start leave `$` topics alone (4.7.2).
#[must_use]
pub fn matches(path: &str, name: &str) -> bool {
    if name.starts_with('$') && path.starts_with(['+', '#']) {
        return false;
    }
    let mut name = name.split('/');
    for level in path.split('/') {
        match (level, name.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (level, Some(own)) if level == own => {}
            _ => return false,
        }
    }
    name.next().is_none()
}

/// What every name that a filter matches begins with.
#[must_use]
pub fn literal_prefix(path: &str) -> &str {
    let at = path.find(['+', '#']).unwrap_or(path.len());
    // "a/#" matches "a" as well.
    path[..at].strip_suffix('/').filter(|_| path[at..].starts_with('#')).unwrap_or(&path[..at])
}
