//! The codes of diagnostics, with what `master explain` says about them.

/// Declares the codes with title and explanation.
macro_rules! codes {
    ($($name:ident = $code:literal, $title:literal, $text:literal;)+) => {
        /// The stable code of a kind of problem.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code { $(#[doc = $title] $name,)+ }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// Returns the code as it is shown.
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code),+ }
            }

            /// Returns what kind of problem it is, in a few words.
            pub fn title(self) -> &'static str {
                match self { $(Self::$name => $title),+ }
            }

            /// Returns what it means and what to do.
            pub fn explanation(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }
        }
    };
}

codes! {
    Syntax = "E0001", "not TOML",
        "The text is not TOML. The place shown is where reading went wrong; the mistake is often \
         just before it: a missing quote, bracket or equals sign.";
    NotYet = "E0101", "not in this version",
        "The word is part of Yardmaster's configuration language, but this version does not have \
         the feature yet. Remove it, or use a later version.";
    UnknownKey = "E0102", "unknown key",
        "The table does not have such a key. Keys are checked so that a typing error is not \
         silently a default.";
    MissingKey = "E0103", "missing key",
        "The table needs this key and has no default for it.";
    UnknownType = "E0104", "unknown type",
        "`type` chooses the kind of a change source or scheduler; this kind does not exist.";
    Duplicate = "E0201", "defined twice",
        "Two things of one kind have the same name, perhaps in different files.";
    UnknownName = "E0203", "unknown name",
        "Something refers to a builder, worker, change source or app by a name that nothing \
         defines.";
    LockTrouble = "E0205", "lock that is never given",
        "A lock is taken twice by one build, more of it is wanted than there is, or two builds could \
         wait for each other for ever. Such a build would never go on.";
    BadName = "E0204", "not a name",
        "Names are up to 64 letters, digits, dots, underscores and dashes, and begin with a \
         letter or digit.";
    BadDuration = "E0301", "not a duration",
        "Durations carry their unit: \"250ms\", \"90s\", \"20m\", \"8h\", \"3d\".";
    WrongType = "E0302", "wrong type of value",
        "The key takes another type of value, such as a list instead of a text.";
    OutOfRange = "E0303", "out of range",
        "The value is of the right type but not one of those that make sense here.";
    BadAddress = "E0304", "not an address",
        "Addresses look like \"127.0.0.1:9989\", \"[::1]:9989\" or \"unix:/run/yardmaster/x.sock\".";
    BadSize = "E0305", "not a size",
        "Sizes carry their unit, a power of 1,024: \"64KiB\", \"128MiB\", \"2GiB\".";
    BadTemplate = "E0401", "bad template",
        "A `${…}` or a `when` names something that does not exist, or puts together what does not \
         go together. The roots are args, change, prop, revision, user, worker and build; `$${` is \
         a literal `${`. docs/CONFIGURATION.md has the operators and functions.";
    TemplateInScript = "E0402", "template in a script",
        "The body of a script is never expanded, so that no value can become code. Pass the \
         value by the step's `env` and use it as a shell variable.";
    SecretElsewhere = "E0403", "secret where it would be seen",
        "The value of a secret reaches a command by its environment alone: arguments are seen by \
         everybody on the worker's machine, and scripts, conditions and properties are stored. \
         Write env = { TOKEN = \"${secret.token}\" } in the step and read the variable there.";
    Insecure = "E0501", "insecure setting",
        "The setting gives access without proof of identity, or sends secrets in clear. Where \
         that is really wanted it has to be said with `insecure = true`.";
    Unreadable = "E0502", "unreadable file",
        "A file the configuration names cannot be read, or can be read by others although it \
         holds a secret. `chmod o=` takes it from them; what they may have read is better \
         replaced.";
    DeniedVariable = "E0504", "variable that never passes",
        "By this variable a caller would decide what programs load or run as the user of the \
         worker, so it does not pass from a caller to an app, whatever the app's `env` says. A \
         step's own `env` and the `env` of `worker.toml` are yours and may set it.";
    GroupReadable = "W0505", "secret that a group can read",
        "The file holds a secret and its group can read it. Where the group is not there for that, \
         `chmod g=` takes it from them.";
    SecretUnread = "W0506", "secret that cannot be read",
        "The file with a secret cannot be read by whoever looks now. That may be right: only the \
         master has to read it. A step that needs a secret which the master cannot read ends \
         without having run, and says so.";
    SecretInAddress = "W0503", "password in an address",
        "The configuration is stored with every revision, and the address of a repository is part \
         of plans and of git's command line. A password does not belong there: use ssh with a key, \
         and replace the password, which others may have seen.";
    Unused = "W0601", "never used",
        "Something is defined and nothing refers to it. It does no harm, but may be a mistake.";
    NoEffect = "W0602", "no effect",
        "The key changes nothing where it stands, because another key of the same table decides. \
         It does no harm, but may be a mistake.";
}

impl Code {
    /// Finds a code by its text, such as `E0203`.
    pub fn find(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.code().eq_ignore_ascii_case(text))
    }
}
