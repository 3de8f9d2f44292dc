//! Closed sets of words in a configuration.

use crate::code::Code;
use crate::context::{Context, nearest};
use crate::decode::Decode as _;
use crate::diagnostic::Diagnostic;
use crate::tree::Node;

/// Decodes one of a few words.
pub fn choice<T: Copy>(node: &Node, options: &[(&str, T)], cx: &mut Context<'_>) -> Option<T> {
    let word = String::decode(node, cx)?;
    if let Some((_, value)) = options.iter().find(|(option, _)| *option == word) {
        return Some(*value);
    }
    let words: Vec<&str> = options.iter().map(|(option, _)| *option).collect();
    let problem = Diagnostic::new(
        Code::OutOfRange,
        node.span,
        format!("`{word}` is none of the words that stand here"),
    );
    cx.report(match nearest(&word, &words) {
        Some(near) => problem.label(format!("did you mean `{near}`?")),
        None => problem.help(format!("words here: {}", words.join(", "))),
    });
    None
}
