//! Makes one statement of many insertions and one text of few statements, so that a batch costs
//! few round trips.

use std::borrow::Cow;
use std::collections::HashMap;

use super::query::Query;

/// Rows that one statement inserts. Few numbers, because each makes a text that stays prepared.
const MERGED: [usize; 6] = [32, 16, 8, 4, 2, 1];

/// Statements, and values, of the largest batch that is joined.
const JOINED: usize = 10;
const JOINED_CELLS: usize = 160;
/// Between two statements of one text.
pub(super) const BETWEEN: &str = "; ";

impl<'q> Query<'q> {
    /// Merges insertions of single rows by the same text into fewer statements of many rows.
    ///
    /// The rows must have distinct keys. What is no insertion stays as it is.
    pub(super) fn merge(queries: Vec<Self>) -> Vec<Self> {
        let mut groups: Vec<Vec<Self>> = Vec::new();
        let mut group_of: HashMap<Cow<'static, str>, usize> = HashMap::new();
        for query in queries {
            let group = *group_of.entry(query.text.clone()).or_insert(groups.len());
            match groups.get_mut(group) {
                Some(group) => group.push(query),
                None => groups.push(vec![query]),
            }
        }
        groups.into_iter().flat_map(Self::merge_group).collect()
    }

    /// Says whether statements are so few that they are worth a text of their own. A large batch
    /// is not: its texts would be too many different ones to stay prepared.
    pub(super) fn are_few(queries: &[Self]) -> bool {
        let cells: usize = queries.iter().map(|query| query.cells.len()).sum();
        queries.len() <= JOINED && cells <= JOINED_CELLS
    }

    /// Joins statements into one text.
    pub(super) fn join(queries: impl IntoIterator<Item = Self>) -> Self {
        let mut joined = Self { text: Cow::Borrowed(""), cells: Vec::new() };
        for query in queries {
            let text = joined.text.to_mut();
            if !text.is_empty() {
                text.push_str(BETWEEN);
            }
            push_renumbered(text, &query.text, joined.cells.len());
            joined.cells.extend(query.cells);
        }
        joined
    }

    fn merge_group(mut group: Vec<Self>) -> Vec<Self> {
        let Some((head, row, tail)) = group.first().and_then(|query| split_insertion(&query.text))
        else {
            return group;
        };
        let (head, tail, columns) = (head.to_owned(), tail.to_owned(), row.matches('$').count());
        let mut merged = Vec::new();
        while let Some(rows) = MERGED.into_iter().find(|rows| *rows <= group.len()) {
            let rest = group.split_off(rows);
            let rows = std::mem::replace(&mut group, rest);
            let text = many_rows(&head, rows.len(), columns, &tail);
            let cells = rows.into_iter().flat_map(|row| row.cells).collect();
            merged.push(Self { text: Cow::Owned(text), cells });
        }
        merged
    }
}

/// Appends a statement whose placeholders begin after those before it.
fn push_renumbered(text: &mut String, statement: &str, before: usize) {
    let mut parts = statement.split('$');
    text.push_str(parts.next().unwrap_or_default());
    for part in parts {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        let number: usize = part[..digits].parse().unwrap_or_default();
        text.push('$');
        text.push_str(&(before + number).to_string());
        text.push_str(&part[digits..]);
    }
}

/// Takes apart `INSERT … VALUES ($1, …) ON CONFLICT …`: before, inside and after the brackets.
fn split_insertion(text: &str) -> Option<(&str, &str, &str)> {
    let (head, rest) = text.split_once(" VALUES (")?;
    let (row, tail) = rest.split_once(") ON CONFLICT")?;
    Some((head, row, tail))
}

fn many_rows(head: &str, rows: usize, columns: usize, tail: &str) -> String {
    let row = |row: usize| {
        let cells: Vec<String> =
            (1..=columns).map(|at| format!("${}", row * columns + at)).collect();
        format!("({})", cells.join(", "))
    };
    let rows: Vec<String> = (0..rows).map(row).collect();
    format!("{head} VALUES {} ON CONFLICT{tail}", rows.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::query::{Query, query};
    use super::BETWEEN;

    fn insertion(n: i64) -> Query<'static> {
        query!("INSERT INTO t (a, b) VALUES ($1, $2) ON CONFLICT (a) DO UPDATE SET b = 1", n, "x")
    }

    #[test]
    fn a_small_batch_is_one_text_with_its_values_in_order() {
        let update = || query!("UPDATE t SET b = $2 WHERE a = $1", 7_i64, "y");
        let joined = Query::join([insertion(1), update()]);
        assert_eq!(joined.cells.len(), 4);
        let update_text = joined.text.rsplit(BETWEEN).next().unwrap();
        assert_eq!(update_text, "UPDATE t SET b = $4 WHERE a = $3");
        let many = |count| (0..count).map(insertion).collect::<Vec<_>>();
        assert!(Query::are_few(&many(10)));
        assert!(!Query::are_few(&many(11)));
    }

    #[test]
    fn insertions_of_one_table_are_merged_and_nothing_else_is() {
        let other = query!("DELETE FROM t WHERE a = $1", 9_i64);
        let queries = vec![insertion(1), other, insertion(2), insertion(3)];
        let merged = Query::merge(queries);
        let seen: Vec<(&str, usize)> =
            merged.iter().map(|query| (&*query.text, query.cells.len())).collect();
        assert_eq!(
            seen,
            [
                (
                    "INSERT INTO t (a, b) VALUES ($1, $2), ($3, $4) \
                     ON CONFLICT (a) DO UPDATE SET b = 1",
                    4
                ),
                ("INSERT INTO t (a, b) VALUES ($1, $2) ON CONFLICT (a) DO UPDATE SET b = 1", 2),
                ("DELETE FROM t WHERE a = $1", 1),
            ]
        );
    }
}
