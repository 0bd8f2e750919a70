//! Names of the XML to names of the JSON.

/// The first letter small; all letters, if the name is an abbreviation: `EventID` is `eventID`, `URI` is `uri`.
pub(super) fn lower_camel(name: &str) -> String {
    if name.chars().all(char::is_uppercase) {
        return name.to_lowercase();
    }
    let mut letters = name.chars();
    let first = letters.next().map(|first| first.to_lowercase().to_string()).unwrap_or_default();
    first + letters.as_str()
}
