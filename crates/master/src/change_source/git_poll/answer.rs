//! Reads what git prints. All of it comes from a repository, so from anybody.

use std::collections::BTreeMap;

use super::git::GitError;

/// Heads by branch name, as object ids.
pub(super) type Heads = BTreeMap<String, String>;

/// Paths of one commit that a change names.
const MOST_FILES: usize = 5_000;

/// The commits between two states of a branch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Between {
    /// The newest ones, oldest first.
    pub(super) commits: Vec<String>,
    /// How many older ones there are.
    pub(super) left_out: usize,
}

impl Between {
    /// Takes one commit and nothing before it.
    pub(super) fn only(commit: String) -> Self {
        Self { commits: vec![commit], left_out: 0 }
    }
}

/// Reads `ls-remote --heads`. Branches whose names are not UTF-8 are left out, and names that git
/// would not make: in a refspec they would mean something else.
pub(super) fn heads(out: &[u8]) -> Result<Heads, GitError> {
    let mut heads = Heads::new();
    for line in out.split(|byte| *byte == b'\n') {
        let Ok(line) = std::str::from_utf8(line) else { continue };
        if let Some((id, reference)) = line.split_once('\t')
            && let Some(branch) = reference.strip_prefix("refs/heads/")
            && is_branch(branch)
        {
            heads.insert(branch.to_owned(), id_of("ls-remote", id)?);
        }
    }
    Ok(heads)
}

/// Says whether a name has no character that `git check-ref-format` forbids.
fn is_branch(name: &str) -> bool {
    let is_odd = |c: char| c.is_ascii_control() || " ~^:?*[\\".contains(c);
    !name.is_empty() && !name.contains(is_odd) && !name.contains("..") && !name.contains("@{")
}

/// Reads `rev-list`, the newest last; keeps the newest `most`.
pub(super) fn between(out: &[u8], most: usize) -> Result<Between, GitError> {
    let text = String::from_utf8_lossy(out);
    let lines: Vec<&str> = text.lines().collect();
    let left_out = lines.len().saturating_sub(most);
    let newest = lines[left_out..].iter();
    let commits = newest.map(|line| id_of("rev-list", line)).collect::<Result<_, _>>()?;
    Ok(Between { commits, left_out })
}

/// Reads `diff-tree -z --name-only`.
pub(super) fn files(out: &[u8]) -> Vec<Vec<u8>> {
    let paths = out.split(|byte| *byte == 0).filter(|path| !path.is_empty());
    paths.take(MOST_FILES).map(<[u8]>::to_vec).collect()
}

/// Refuses what is no object id, so that nothing odd is ever passed on as an argument.
pub(super) fn id_of(what: &str, id: &str) -> Result<String, GitError> {
    let is_id = matches!(id.len(), 40 | 64) && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id {
        return Ok(id.to_owned());
    }
    Err(GitError::Output { what: what.to_owned(), why: format!("`{id}` is no object id") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_mean_something_else_are_no_branches() {
        let id = "a".repeat(40);
        let line = |name: &str| format!("{id}\trefs/heads/{name}\n");
        let odd = ["*", "x:refs/heads/y", "a b", "^x", "a..b", "x@{1}", "", "\u{7f}"].map(line);
        let good = ["main", "rel/1.0", "-x", "ü"].map(line);
        let out = [odd.concat(), good.concat()].concat();
        let names: Vec<String> = heads(out.as_bytes()).unwrap().into_keys().collect();
        assert_eq!(names, ["-x", "main", "rel/1.0", "ü"]);
        assert!(heads(b"--upload-pack=x\trefs/heads/x\n").is_err());
    }
}
