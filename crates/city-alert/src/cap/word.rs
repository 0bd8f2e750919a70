//! The words that an element may hold, as the standard writes them.

use serde::{Deserialize, Serialize};

/// One of a closed list of words.
pub trait Word: Copy + PartialEq + Default + 'static {
    const ALL: &'static [Self];

    fn as_str(self) -> &'static str;

    /// Letter by letter: `actual` is not `Actual`.
    #[must_use]
    fn find(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|word| word.as_str() == text)
    }

    /// All of them, for a person.
    #[must_use]
    fn list() -> String {
        Self::ALL.iter().map(|word| word.as_str()).collect::<Vec<_>>().join(", ")
    }
}

macro_rules! words {
    ($(#[$about:meta])* $name:ident: $first:ident = $first_text:literal $(, $word:ident = $text:literal)*) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
        pub enum $name {
            #[default]
            #[serde(rename = $first_text)]
            $first,
            $(#[serde(rename = $text)] $word,)*
        }

        impl Word for $name {
            const ALL: &'static [Self] = &[Self::$first $(, Self::$word)*];

            fn as_str(self) -> &'static str {
                match self {
                    Self::$first => $first_text,
                    $(Self::$word => $text,)*
                }
            }
        }
    };
}

words!(
    /// Of the protocol.
    Version: V1_2 = "1.2", V1_1 = "1.1"
);
words!(
    /// How the alert is to be handled.
    Status: Actual = "Actual", Exercise = "Exercise", System = "System", Test = "Test", Draft = "Draft"
);
words!(
    /// What the alert is to earlier ones.
    MsgType: Alert = "Alert", Update = "Update", Cancel = "Cancel", Ack = "Ack", Error = "Error"
);
words!(
    /// Whom it is for.
    Scope: Public = "Public", Restricted = "Restricted", Private = "Private"
);
words!(
    /// What the event is about.
    Category: Geo = "Geo", Met = "Met", Safety = "Safety", Security = "Security", Rescue = "Rescue", Fire = "Fire",
    Health = "Health", Env = "Env", Transport = "Transport", Infra = "Infra", Cbrne = "CBRNE", Other = "Other"
);
words!(
    /// What the audience should do.
    ResponseType: Shelter = "Shelter", Evacuate = "Evacuate", Prepare = "Prepare", Execute = "Execute",
    Avoid = "Avoid", Monitor = "Monitor", Assess = "Assess", AllClear = "AllClear", None = "None"
);
words!(
    /// How soon to act.
    Urgency: Immediate = "Immediate", Expected = "Expected", Future = "Future", Past = "Past", Unknown = "Unknown"
);
words!(
    /// How bad it is.
    Severity: Extreme = "Extreme", Severe = "Severe", Moderate = "Moderate", Minor = "Minor", Unknown = "Unknown"
);
words!(
    /// How sure it is.
    Certainty: Observed = "Observed", Likely = "Likely", Possible = "Possible", Unlikely = "Unlikely",
    Unknown = "Unknown"
);

impl Version {
    /// The namespace of its documents.
    #[must_use]
    pub fn namespace(self) -> &'static str {
        match self {
            Self::V1_2 => "urn:oasis:names:tc:emergency:cap:1.2",
            Self::V1_1 => "urn:oasis:names:tc:emergency:cap:1.1",
        }
    }
}

impl ResponseType {
    /// `Avoid` and `AllClear` came with 1.2.
    #[must_use]
    pub fn is_of(self, version: Version) -> bool {
        version == Version::V1_2 || !matches!(self, Self::Avoid | Self::AllClear)
    }
}
