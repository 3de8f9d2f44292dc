//! Ids: every kind its own type, drawn from counters that are part of the durable state.

use std::fmt;
use std::str::FromStr;

use config::Name;
use serde::{Deserialize, Serialize};

/// Declares an id that is a number and shows as one.
macro_rules! ids {
    ($($(#[$meta:meta])* $name:ident;)+) => {
        $($(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        })+
    };
}

ids! {
    /// A change, from any source.
    ChangeId;
    /// The requests made together for one reason.
    BuildsetId;
    /// One builder asked to run once.
    RequestId;
    /// One run of a request.
    BuildId;
}

/// The name people use for a request and its builds: `ci#42`, and `ci#42.2` for a re-run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RequestName {
    /// The app where there is one, else the builder.
    pub label: Name,
    pub number: i64,
}

impl fmt::Display for RequestName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.label, self.number)
    }
}

/// The text is not a request's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not the name of a request; names look like `ci#42`")]
pub struct BadRequestName {
    text: String,
}

impl FromStr for RequestName {
    type Err = BadRequestName;

    fn from_str(text: &str) -> Result<Self, BadRequestName> {
        let bad = || BadRequestName { text: text.to_owned() };
        let (label, number) = text.split_once('#').ok_or_else(bad)?;
        let number = number.split('.').next().and_then(|digits| digits.parse().ok());
        let label = Name::parse(label).ok();
        label.zip(number).map(|(label, number)| Self { label, number }).ok_or_else(bad)
    }
}
