//! Texts and places in them.

use std::path::PathBuf;

/// One file of a configuration, already read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// As people know it.
    pub path: PathBuf,
    /// Where relative paths in it begin; absolute, whatever `path` is.
    pub folder: PathBuf,
    pub text: String,
}

/// A range of bytes in one of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Span {
    /// Index of the file.
    pub file: usize,
    pub start: usize,
    pub end: usize,
}

/// A value with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spanned<T> {
    pub value: T,
    pub span: Span,
}
