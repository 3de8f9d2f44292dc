//! One problem, with its place and its remedy.

use crate::code::Code;
use crate::source::Span;

/// Whether a configuration with this problem can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Error,
    Warning,
}

/// A place with a remark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    pub span: Span,
    pub text: String,
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    pub code: Code,
    pub message: String,
    pub primary: Label,
    /// Where the related definition is.
    pub secondary: Option<Label>,
    /// What to do.
    pub help: Option<String>,
}

impl Diagnostic {
    /// Makes a problem at a place.
    pub fn new(code: Code, span: Span, message: impl Into<String>) -> Self {
        let primary = Label { span, text: String::new() };
        Self { code, message: message.into(), primary, secondary: None, help: None }
    }

    /// Adds the remark at the place.
    #[must_use]
    pub fn label(mut self, text: impl Into<String>) -> Self {
        self.primary.text = text.into();
        self
    }

    /// Adds a second place.
    #[must_use]
    pub fn also(mut self, span: Span, text: impl Into<String>) -> Self {
        self.secondary = Some(Label { span, text: text.into() });
        self
    }

    /// Adds what to do.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// Returns whether it stops the configuration from being used.
    pub fn severity(&self) -> Severity {
        match self.code {
            Code::Unused
            | Code::NoEffect
            | Code::SecretInAddress
            | Code::GroupReadable
            | Code::SecretUnread => Severity::Warning,
            Code::Syntax
            | Code::NotYet
            | Code::UnknownKey
            | Code::MissingKey
            | Code::UnknownType
            | Code::Duplicate
            | Code::UnknownName
            | Code::BadName
            | Code::LockTrouble
            | Code::BadDuration
            | Code::WrongType
            | Code::OutOfRange
            | Code::BadAddress
            | Code::BadSize
            | Code::BadTemplate
            | Code::TemplateInScript
            | Code::SecretElsewhere
            | Code::Insecure
            | Code::Unreadable
            | Code::DeniedVariable => Severity::Error,
        }
    }
}
