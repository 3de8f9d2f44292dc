//! The toolkit through its public interface, with a small schema of its own.

mod arbitrary;
mod codes;
mod differences;
mod schema;
mod seven_errors;
mod templates;
