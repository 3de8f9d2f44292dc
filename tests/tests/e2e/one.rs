//! An app that says what it was given, and nothing else.

pub(super) const ONE: &str = r#"
app.one = { builder = "one" }
[builder.one]
workers = ["local"]
steps = [{ name = "one", command = ["printf", "[%s]", "${args}"] }]
"#;

/// The same, behind other tables.
pub(super) const ONE_MORE: &str = r#"
[app.one]
builder = "one"
[builder.one]
workers = ["local"]
steps = [{ name = "one", command = ["printf", "[%s]", "${args}"] }]
"#;
