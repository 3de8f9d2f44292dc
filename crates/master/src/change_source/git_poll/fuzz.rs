//! What git prints about a repository of a stranger, as a target for a fuzzer.

use super::{answer, commit, git, url};

/// Nothing git prints makes more of itself than it is, and only object ids are taken for such.
///
/// The first byte chooses what it is the output of.
pub fn git_output(input: &[u8]) {
    let Some((choice, out)) = input.split_first() else { return };
    match choice % 5 {
        0 => {
            for (branch, id) in answer::heads(out).unwrap_or_default() {
                assert!(!branch.contains([':', '*', '\n', '^']));
                assert_eq!(answer::id_of("", &id).ok(), Some(id));
            }
        }
        1 => {
            let between = answer::between(out, 3).unwrap_or_default();
            assert!(between.commits.len() <= 3);
        }
        2 => assert!(answer::files(out).iter().all(|path| !path.contains(&0))),
        3 => {
            if let Some(commit) = commit::parse(out) {
                assert!(commit.author.len() + commit.message.len() < out.len());
            }
        }
        _ => {
            assert!(!git::reason(out).contains(char::is_control));
            let text = String::from_utf8_lossy(out);
            url::without_password(&text);
            url::local_path(&text);
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn output_of_git_of_the_corpus() {
        corpus::replay("git_output", super::git_output);
    }
}
