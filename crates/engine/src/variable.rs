//! Which variables of a caller's environment may reach an app.
//!
//! An app names those it wants, and the caller's environment is otherwise left out. Whatever an
//! app names, some never pass: by them a caller would decide what a program loads or runs as the
//! user of the worker.
//!
//! Invariant: `passes` is the only way of a caller's variable to a command.

/// The name of a variable, or how names begin: `DISPLAY`, `LC_*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// Reads a pattern; `None` where it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let name = text.strip_suffix('*').unwrap_or(text);
        let is_pattern = !text.is_empty() && !name.contains(['=', '*', '\0']);
        is_pattern.then(|| Self(text.to_owned()))
    }

    /// Returns the pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Says whether every variable the pattern covers is denied: it names nothing else.
    pub(crate) fn is_denied(&self) -> bool {
        DENIED.iter().any(|denied| includes(denied.as_bytes(), self.0.as_bytes()))
    }

    /// Says whether the app that wrote it gets the variable, where that is not denied.
    fn covers(&self, name: &[u8]) -> bool {
        let is_named = self.0.as_bytes() == name;
        is_named || (covers(self.0.as_bytes(), name) && !is_own(name))
    }
}

/// What a client chose from its environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Offered {
    /// All that these patterns cover; more can be asked for.
    By(Vec<Vec<u8>>),
    /// By rules of its own, and it understands no question for more.
    Somehow,
}

/// Says whether a variable of the caller reaches an app that wants these.
pub(crate) fn passes(wanted: &[Pattern], name: &[u8], value: &[u8]) -> bool {
    wanted.iter().any(|pattern| pattern.covers(name)) && !is_denied(name, value)
}

/// Returns what of the wanted a client did not look for.
pub(crate) fn missing(wanted: &[Pattern], offered: &Offered) -> Vec<Pattern> {
    let Offered::By(offered) = offered else { return Vec::new() };
    let is_missing = |pattern: &&Pattern| {
        !pattern.is_denied() && !offered.iter().any(|had| includes(had, pattern.0.as_bytes()))
    };
    wanted.iter().filter(is_missing).cloned().collect()
}

/// Variables that never pass. Sources: sudo's list of what `env_delete` removes, of all its
/// platforms (`sudo -V` as root prints it), ld.so(8) on secure execution, git(1), java(1).
const DENIED: &[&str] = &[
    "AUTHSTATE",
    "BASHOPTS",
    "BASH_ENV",
    "BASH_FUNC_*",
    "BASH_LOADABLES_PATH",
    "CDPATH",
    "CLASSPATH",
    "DLC_ACE",
    "DYLD_*",
    "ENV",
    "FPATH",
    "GCONV_PATH",
    "GETCONF_DIR",
    "GIT_*",
    "GLIBC_TUNABLES",
    "GLOBIGNORE",
    "HOSTALIASES",
    "IFS",
    "JAVA_TOOL_OPTIONS",
    "JDK_JAVA_OPTIONS",
    "KRB5_CONFIG*",
    "KRB5_KTNAME",
    "LDR_*",
    "LD_*",
    "LIBPATH",
    "LOCALDOMAIN",
    "LOCPATH",
    "MALLOC_TRACE",
    "NIS_PATH",
    "NLSPATH",
    "NODE_OPTIONS",
    "NODE_PATH",
    "NULLCMD",
    "PATH_LOCALE",
    "PERL5*",
    "PERLIO_DEBUG",
    "PERLLIB",
    "PS4",
    "PYTHON*",
    "READNULLCMD",
    "RESOLV_HOST_CONF",
    "RES_OPTIONS",
    "RUBYLIB",
    "RUBYOPT",
    "SHELLOPTS",
    "SHLIB_PATH",
    "TERMCAP",
    "TERMINFO",
    "TERMINFO_DIRS",
    "TERMPATH",
    "TMPPREFIX",
    "TZDIR",
    "USR_ACE",
    "VAR_ACE",
    "ZDOTDIR",
    "_JAVA_OPTIONS",
    "_RLD*",
];

/// What says who the command runs as and where its programs and files are. The worker knows
/// better, so an app gets the caller's only where it names them one by one.
const OWN: &[&str] = &[
    "HOME",
    "LOGNAME",
    "MAIL",
    "PATH",
    "PWD",
    "SHELL",
    "USER",
    "USERNAME",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
];

/// Names of things that programs look up as files or print as formats: only a plain word passes.
/// Source: `env_check` of sudoers(5).
const PLAIN: &[&str] = &["COLORTERM", "LANG", "LANGUAGE", "LC_*", "LINGUAS", "TERM"];

/// Where time zones are. Source: tzset(3).
const ZONES: &[u8] = b"/usr/share/zoneinfo/";
/// The longest name of a file. Source: `PATH_MAX` of Linux.
const MOST_PATH_BYTES: usize = 4_096;

fn is_denied(name: &[u8], value: &[u8]) -> bool {
    let is_among = |table: &[&str]| table.iter().any(|entry| covers(entry.as_bytes(), name));
    let is_name = !name.is_empty() && !name.contains(&b'=');
    // Shells before 2014 took any such value for a function, and still do under some names.
    let is_function = value.starts_with(b"()");
    let is_strange = is_among(PLAIN) && value.iter().any(|byte| b"/%".contains(byte));
    let is_no_zone = name == b"TZ" && !is_zone(value);
    !is_name || is_function || is_strange || is_no_zone || is_among(DENIED)
}

/// Says whether a time zone is a rule or a file among those of the system.
fn is_zone(value: &[u8]) -> bool {
    let path = value.strip_prefix(b":").unwrap_or(value);
    let is_elsewhere = path.starts_with(b"/") && !path.starts_with(ZONES);
    let climbs = path.split(|byte| *byte == b'/').any(|part| part == b"..");
    let is_printable = path.iter().all(u8::is_ascii_graphic);
    !is_elsewhere && !climbs && is_printable && path.len() < MOST_PATH_BYTES
}

fn is_own(name: &[u8]) -> bool {
    OWN.iter().any(|own| own.as_bytes() == name)
}

fn covers(pattern: &[u8], name: &[u8]) -> bool {
    match pattern.strip_suffix(b"*") {
        Some(prefix) => name.starts_with(prefix),
        None => pattern == name,
    }
}

/// Says whether a pattern covers all that another one does.
fn includes(pattern: &[u8], other: &[u8]) -> bool {
    match (pattern.strip_suffix(b"*"), other.strip_suffix(b"*")) {
        (Some(prefix), Some(other)) => other.starts_with(prefix),
        (Some(prefix), None) => other.starts_with(prefix),
        (None, _) => pattern == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(texts: &[&str]) -> Vec<Pattern> {
        texts.iter().map(|text| Pattern::parse(text).unwrap()).collect()
    }

    fn is_passed(wanted: &[&str], name: &str, value: &str) -> bool {
        passes(&patterns(wanted), name.as_bytes(), value.as_bytes())
    }

    #[test]
    fn a_variable_passes_by_its_name_or_by_how_it_begins() {
        for (wanted, name, expected) in [
            (&["DISPLAY"][..], "DISPLAY", true),
            (&["DISPLAY"], "DISPLAYS", false),
            (&["LC_*"], "LC_ALL", true),
            (&["LC_*"], "LC", false),
            (&["*"], "ANYTHING", true),
            (&["*"], "", false),
            (&["*"], "=odd", false),
            (&[], "DISPLAY", false),
        ] {
            assert_eq!(is_passed(wanted, name, "x"), expected, "{wanted:?} {name}");
        }
    }

    #[test]
    fn what_is_denied_passes_under_no_pattern() {
        for denied in DENIED {
            let name = denied.replace('*', "X");
            for wanted in ["*", &name, denied, &format!("{}*", &name[..1])] {
                assert!(!is_passed(&[wanted], &name, "x"), "{name} under {wanted}");
            }
        }
        assert!(!is_passed(&["*"], "LD_PRELOAD", "") && !is_passed(&["*"], "LD_", ""));
        assert!(is_passed(&["*"], "ld_preload", "x"), "names have their case");
    }

    #[test]
    fn no_function_of_a_shell_passes() {
        for value in ["() { :; }; id", "()", "() {"] {
            assert!(!is_passed(&["*", "TOOL"], "TOOL", value), "{value}");
        }
        for value in ["", "(x)", " ()", "x()"] {
            assert!(is_passed(&["TOOL"], "TOOL", value), "{value}");
        }
    }

    #[test]
    fn words_of_a_locale_and_a_terminal_are_plain() {
        for (name, value, expected) in [
            ("LANG", "de_DE.UTF-8@euro", true),
            ("LANG", "../../tmp/x", false),
            ("LC_ALL", "%n", false),
            ("TERM", "xterm-256color", true),
            ("TERM", "/tmp/x", false),
            ("TZ", "Europe/Berlin", true),
            ("TZ", ":Europe/Berlin", true),
            ("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", true),
            ("TZ", "/usr/share/zoneinfo/UTC", true),
            ("TZ", ":/etc/shadow", false),
            ("TZ", "/usr/share/zoneinfo/../../../etc/shadow", false),
            ("TZ", "UTC 1", false),
            ("DISPLAY", "/tmp/launch/org.x:0", true),
        ] {
            assert_eq!(is_passed(&["*"], name, value), expected, "{name}={value}");
        }
    }

    #[test]
    fn who_the_command_runs_as_is_the_callers_only_by_name() {
        for name in OWN {
            assert!(!is_passed(&["*"], name, "/x"), "{name}");
            assert!(is_passed(&[name], name, "/x"), "{name}");
        }
    }

    #[test]
    fn only_what_was_not_looked_for_is_missing() {
        let of = |wanted: &[&str], offered: &[&str]| {
            let offered = offered.iter().map(|text| text.as_bytes().to_vec()).collect();
            let missing = missing(&patterns(wanted), &Offered::By(offered));
            missing.iter().map(|pattern| pattern.as_str().to_owned()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(of(&["DISPLAY", "LC_*"], &["DISPLAY", "LC_*"]), "");
        assert_eq!(of(&["LC_ALL", "LC_N*"], &["LC_*"]), "");
        assert_eq!(of(&["LC_*", "L*", "TOOL"], &["LC_*", "LC_ALL"]), "L* TOOL");
        assert_eq!(of(&["*"], &["LC_*"]), "*");
        assert_eq!(of(&["TOOL", "A*"], &["*"]), "");
        assert_eq!(of(&["LD_PRELOAD", "GIT_*"], &[]), "", "nobody gets them");
        assert_eq!(missing(&patterns(&["*"]), &Offered::Somehow), []);
    }

    #[test]
    fn a_pattern_is_a_name_with_at_most_a_star_at_its_end() {
        for wrong in ["", "A*B", "**", "A=B", "=", "A\0"] {
            assert_eq!(Pattern::parse(wrong), None, "{wrong}");
        }
        for right in ["*", "A", "A*", "%"] {
            assert!(Pattern::parse(right).is_some(), "{right}");
        }
    }

    #[test]
    fn a_pattern_that_covers_something_else_too_is_not_denied() {
        for (text, expected) in [
            ("LD_PRELOAD", true),
            ("LD_*", true),
            ("PYTHONPATH", true),
            ("L*", false),
            ("*", false),
        ] {
            assert_eq!(Pattern::parse(text).unwrap().is_denied(), expected, "{text}");
        }
    }
}
