//! The secret that names this worker, read from a file nobody else can read.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use config::{Code, Context, Decode, Diagnostic, Fields, Node, Span, Spanned};

/// No token is longer, in bytes.
const MOST_BYTES: u64 = 1024;

/// A secret. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(Vec<u8>);

impl Token {
    /// Returns the secret itself.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Decode for Token {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let mut fields = Fields::of(node, cx)?;
        let path = fields.required::<Spanned<PathBuf>>("file", cx);
        fields.finish(cx);
        let path = path?;
        match read(&path.value) {
            Ok(token) => Some(token),
            Err(flaw) => {
                cx.report(flaw.problem(path.span, &path.value));
                None
            }
        }
    }
}

enum Flaw {
    Unreadable(io::Error),
    Shared { mode: u32 },
    Empty,
}

fn read(path: &Path) -> Result<Token, Flaw> {
    let file = File::open(path).map_err(Flaw::Unreadable)?;
    // The opened file is asked, not the path: nobody can exchange it in between.
    let mode = file.metadata().map_err(Flaw::Unreadable)?.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(Flaw::Shared { mode });
    }
    let mut bytes = Vec::new();
    file.take(MOST_BYTES).read_to_end(&mut bytes).map_err(Flaw::Unreadable)?;
    let token = bytes.trim_ascii().to_vec();
    if token.is_empty() { Err(Flaw::Empty) } else { Ok(Token(token)) }
}

impl Flaw {
    fn problem(&self, span: Span, path: &Path) -> Diagnostic {
        let path = path.display();
        match self {
            Self::Unreadable(error) => {
                Diagnostic::new(Code::Unreadable, span, format!("cannot read {path}: {error}"))
                    .help("`master token NAME` draws a token; put the secret into this file")
            }
            Self::Shared { mode } => {
                let message = format!("others can read the token (its mode is {mode:03o})");
                Diagnostic::new(Code::Unreadable, span, message).help(format!("chmod 600 {path}"))
            }
            Self::Empty => {
                Diagnostic::new(Code::Unreadable, span, format!("there is no token in {path}"))
            }
        }
    }
}
