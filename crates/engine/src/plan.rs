//! What a build will do, resolved once when it is made.

use config::Name;
use serde::{Deserialize, Serialize};

use crate::step::Step;

/// The steps of a build with their templates unexpanded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Version of this type's shape; a build of an older one is read as it was written.
    pub version: u32,
    pub builder: Name,
    pub steps: Vec<Step>,
}

impl Plan {
    /// The version this build of Yardmaster writes.
    pub const VERSION: u32 = 1;

    /// Makes the plan of a builder.
    pub fn new(builder: Name, steps: Vec<Step>) -> Self {
        Self { version: Self::VERSION, builder, steps }
    }
}
