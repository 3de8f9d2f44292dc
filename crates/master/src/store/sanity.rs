//! What the rows must say of each other: no counter stands below what it has given out.
//!
//! A counter that lost its value, or a database put together from parts, would give ids out
//! again, and new rows would replace old ones.

use std::collections::BTreeMap;

use super::StoreError;
use super::load::list;
use super::query::{Query, query};
use super::row::{command, counter};
use super::run::Run;

const DOING: &str = "compare counters with what they gave out";

/// Refuses a database that would give something out again.
pub(super) async fn check<C: Run>(from: &mut C) -> Result<(), StoreError> {
    let incarnation = query!("SELECT incarnation FROM meta");
    let found = list(from, DOING, incarnation, |record| record.int("incarnation")).await?;
    let Some(incarnation) = found.first() else { return Ok(()) };
    match counters(from, incarnation.cast_unsigned()).await? {
        findings if findings.is_empty() => Ok(()),
        findings => Err(StoreError::Counters { findings }),
    }
}

/// Says which counters are too low.
pub(super) async fn counters<C: Run>(
    from: &mut C,
    incarnation: u64,
) -> Result<Vec<String>, StoreError> {
    let counters = list(from, DOING, counter::living(), counter::read).await?;
    let counters: BTreeMap<String, i64> =
        counters.into_iter().map(|counter| (counter.name, counter.value)).collect();
    let mut used = vec![
        ("change", highest(from, query!("SELECT max(id) AS highest FROM change")).await?),
        ("request", highest(from, query!("SELECT max(id) AS highest FROM request")).await?),
        ("build", highest(from, query!("SELECT max(id) AS highest FROM build")).await?),
        ("command", highest_command(from, incarnation).await?),
    ];
    for name in counters.keys() {
        let Some(label) = name.strip_prefix('#') else { continue };
        let numbers = query!("SELECT max(number) AS highest FROM request WHERE label = $1", label);
        used.push((name.as_str(), highest(from, numbers).await?));
    }
    let value = |name: &str| counters.get(name).copied().unwrap_or(0);
    let too_low = used.into_iter().filter(|(name, highest)| value(name) < *highest);
    Ok(too_low
        .map(|(name, highest)| {
            format!("counter `{name}` stands at {}, and {highest} is in use", value(name))
        })
        .collect())
}

async fn highest<C: Run>(from: &mut C, question: Query<'_>) -> Result<i64, StoreError> {
    let found = list(from, DOING, question, |record| record.int_or_null("highest")).await?;
    Ok(found.first().copied().flatten().unwrap_or(0))
}

async fn highest_command<C: Run>(from: &mut C, incarnation: u64) -> Result<i64, StoreError> {
    let most = attempt::CommandId { incarnation, counter: i64::MAX };
    let found = list(from, DOING, command::below(&most.to_string()), command::read).await?;
    let last = found.first().map(engine::row::Command::id);
    Ok(last.filter(|id| id.incarnation == incarnation).map_or(0, |id| id.counter))
}
