//! Code lists of the standards: a code comes in, its names in Japanese and English go out.
//!
//! A table is text, one code a line (`tables/make.py` says how), and is read once, when it is first asked.

use std::borrow::Cow;
use std::sync::OnceLock;

/// A code with its names. One that is in no list keeps its number, and is named as undefined in the words that the
/// standards give for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coded {
    pub code: u64,
    pub ja: Option<Cow<'static, str>>,
    pub en: Option<Cow<'static, str>>,
    /// Whether the list has the code.
    pub is_known: bool,
}

impl Coded {
    pub(crate) fn known(code: u64, ja: impl Into<Cow<'static, str>>, en: impl Into<Cow<'static, str>>) -> Self {
        Self { code, ja: Some(ja.into()), en: Some(en.into()), is_known: true }
    }

    /// Of a list that is a formula.
    pub(crate) fn unknown(code: u64, ja: &str, en: &str) -> Self {
        let (ja, en) = (format!("{ja}(コード番号：{code})"), format!("Undefined {en} (Code: {code})"));
        Self { code, ja: Some(ja.into()), en: Some(en.into()), is_known: false }
    }
}

pub struct Table {
    pub name: &'static str,
    text: &'static str,
    rows: OnceLock<Rows>,
}

#[derive(Default)]
struct Rows {
    /// By code, ascending.
    named: Vec<(u64, Names)>,
    /// Codes of no name whose quotient by the first is the second.
    ranges: Vec<(u64, u64, Names)>,
    others: Names,
}

#[derive(Default)]
struct Names {
    ja: Option<Cow<'static, str>>,
    en: Option<Cow<'static, str>>,
}

impl Table {
    pub(crate) const fn new(name: &'static str, text: &'static str) -> Self {
        Self { name, text, rows: OnceLock::new() }
    }

    #[must_use]
    pub fn find(&'static self, code: impl Into<u64>) -> Coded {
        let code = code.into();
        self.find_shown(code, code)
    }

    /// Of a table that holds several lists, `key` has the place in it and `code` is what was sent.
    pub(crate) fn find_shown(&'static self, key: u64, code: u64) -> Coded {
        let rows = self.rows();
        if let Ok(at) = rows.named.binary_search_by_key(&key, |(key, _)| *key)
            && let Some((_, names)) = rows.named.get(at)
        {
            return Coded { code, ja: names.ja.clone(), en: names.en.clone(), is_known: true };
        }
        let range = rows.ranges.iter().find(|(divisor, quotient, _)| key / divisor == *quotient);
        let range = range.map(|(.., names)| names);
        let said = |language: fn(&Names) -> Option<&Cow<'static, str>>| {
            let pattern = range.and_then(language).or_else(|| language(&rows.others))?;
            Some(Cow::Owned(pattern.replace("%d", &code.to_string())))
        };
        Coded { code, ja: said(|names| names.ja.as_ref()), en: said(|names| names.en.as_ref()), is_known: false }
    }

    /// Every code that has a name.
    pub fn codes(&'static self) -> impl Iterator<Item = u64> {
        self.rows().named.iter().map(|(code, _)| *code)
    }

    fn rows(&'static self) -> &'static Rows {
        self.rows.get_or_init(|| {
            let mut rows = Rows::default();
            for line in self.text.lines() {
                let mut cells = line.split('\t');
                let key = cells.next().unwrap_or_default();
                let names = Names { ja: cells.next().and_then(name), en: cells.next().and_then(name) };
                match (key.parse(), key.split_once('/')) {
                    (Ok(code), _) => rows.named.push((code, names)),
                    (_, Some((quotient, divisor))) => {
                        // A division by nothing would be a fault of the table; it finds nothing then.
                        let divisor: u64 = divisor.parse().ok().filter(|divisor| *divisor > 0).unwrap_or(u64::MAX);
                        rows.ranges.push((divisor, quotient.parse().unwrap_or(u64::MAX), names));
                    }
                    _ => rows.others = names,
                }
            }
            rows.named.sort_by_key(|(code, _)| *code);
            rows
        })
    }
}

fn name(cell: &'static str) -> Option<Cow<'static, str>> {
    match cell {
        "" => None,
        _ if cell.contains("\\n") => Some(Cow::Owned(cell.replace("\\n", "\n"))),
        _ => Some(Cow::Borrowed(cell)),
    }
}
