//! The secrets of an order, put together for the supervisor.

use std::collections::BTreeMap;

use proto::message::command::{SecretVariable, Start};
use secret::{Secret, Zeroizing};
use shim::{Secrets, Value};

use super::{OrderError, environment};

/// Returns what the order brings, if it brings some.
pub(crate) fn of(start: &Start) -> Result<Option<Secrets>, OrderError> {
    if start.secrets.is_empty() && start.secret_env.is_empty() {
        return Ok(None);
    }
    let known: BTreeMap<&str, &Secret> =
        start.secrets.iter().map(|secret| (secret.name.as_str(), &secret.value)).collect();
    let mut env = BTreeMap::new();
    for variable in &start.secret_env {
        // The marks by which a command is found again are nobody else's.
        if !environment::is_mark(variable.name.as_ref()) {
            env.insert(&variable.name, put_together(variable, &known)?);
        }
    }
    let value =
        |(name, value): (&str, &Secret)| Value { name: name.to_owned(), value: value.clone() };
    let values = known.into_iter().map(value).collect();
    Ok(Some(Secrets { values, env: env.into_values().collect() }))
}

fn put_together(
    variable: &SecretVariable,
    known: &BTreeMap<&str, &Secret>,
) -> Result<Secret, OrderError> {
    let mut parts: Vec<&[u8]> = vec![variable.name.as_ref(), b"="];
    for piece in &variable.pieces {
        parts.push(piece.text.as_ref());
        if let Some(name) = &piece.secret {
            let missing = || OrderError::Secret {
                name: name.clone(),
                variable: variable.name.lossy().into_owned(),
            };
            parts.push(known.get(name.as_str()).ok_or_else(missing)?.expose());
        }
    }
    // Of the right size from the start: a buffer that grows leaves copies behind.
    let mut whole = Zeroizing::new(Vec::with_capacity(parts.iter().map(|part| part.len()).sum()));
    parts.into_iter().for_each(|part| whole.extend_from_slice(part));
    Ok(Secret::new(std::mem::take(&mut *whole)))
}
