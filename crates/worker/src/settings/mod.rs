//! `worker.toml`: read whole, decoded with every problem found in one run.

mod address;
mod bounds;
mod disk;
mod environment;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzz;
mod limits;
mod output;
mod probes;
mod token;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use config::{
    Code, Context, Decode, Diagnostic, Fields, Name, Node, Severity, SourceFile, Spanned,
};

pub(crate) use address::Address;
pub(crate) use disk::DiskPolicy;
pub(crate) use environment::Variables;
pub(crate) use limits::LimitPolicy;
pub(crate) use output::OutputPolicy;
pub(crate) use probes::Probes;
pub(crate) use token::Token;

const DATA: &str = "/var/lib/yardmaster/worker";

/// Keys of later versions.
const LATER: &[&str] = &["certificate", "containers", "key", "labels", "run_as", "tls"];
/// Those by which a worker encrypts and proves who it is, instead of a token.
const TLS: &[&str] = &["certificate", "key", "tls"];

/// What the administrator decided.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Masters to connect to, tried in this order. At least one.
    pub masters: Vec<Address>,
    /// The worker's name for people; who it is follows from the token.
    pub name: Name,
    /// The secret that names this worker to the masters.
    pub token: Token,
    /// Where spool, working directories and the control socket are.
    pub data: PathBuf,
    /// Commands of how many builds run at once. Default: the number of cores.
    pub max_builds: u32,
    /// The supervisor's program. Default: `yardmaster-shim` beside this program.
    pub shim: Option<PathBuf>,
    /// Variables of every command, over the built-in ones and under those of a step.
    pub env: Variables,
    /// What a master may ask of git here.
    pub repositories: Repositories,
    /// How much output of a command is kept.
    pub output: OutputPolicy,
    /// How much a command may use.
    pub limits: LimitPolicy,
    /// How much room is left on the disk.
    pub disk: DiskPolicy,
    /// What is found out about this machine.
    pub probes: Probes,
}

/// The worker's own policy about repositories; it wins over the master's.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Repositories {
    /// Whether a git step may read a repository on this machine. Default: no.
    pub allow_local: bool,
}

/// A configuration with everything that was found in it.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub files: Vec<SourceFile>,
    pub problems: Vec<Diagnostic>,
    /// Absent where one of the problems is an error.
    pub settings: Option<Settings>,
}

/// Reads and checks a file.
///
/// # Errors
/// When the file cannot be read; what stands in it is reported in `Loaded`.
pub(crate) fn load(path: &Path) -> io::Result<Loaded> {
    let text = fs::read_to_string(path)?;
    let folder = std::path::absolute(path)?;
    let folder = folder.parent().unwrap_or(&folder).to_owned();
    Ok(check(SourceFile { path: path.to_owned(), folder, text }))
}

fn check(file: SourceFile) -> Loaded {
    let files = vec![file];
    let (root, problems) = config::parse(&files);
    let mut cx = Context::new(&files, problems);
    let decoded = Settings::decode(&root, &mut cx);
    let problems = cx.finish();
    let is_good = problems.iter().all(|problem| problem.severity() != Severity::Error);
    let settings = decoded.filter(|_| is_good);
    Loaded { files, problems, settings }
}

impl Decode for Settings {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let mut fields = Fields::of(node, cx)?.with_later(LATER);
        let version = fields.optional::<Spanned<i64>>("version", cx);
        check_version(version.flatten().as_ref(), cx);
        let masters = fields.required::<Spanned<Vec<Spanned<Address>>>>("masters", cx);
        let insecure = fields.or("insecure", false, cx);
        let may_be_insecure = insecure.unwrap_or(true) || fields.has_later(TLS);
        check_masters(masters.as_ref(), may_be_insecure, cx);
        let name = fields.required("name", cx);
        let token = fields.required_unless("token", TLS, cx);
        let data = fields.or("data", PathBuf::from(DATA), cx);
        let max_builds = fields.optional::<Spanned<u32>>("max_builds", cx);
        check_max_builds(max_builds.as_ref().and_then(Option::as_ref), cx);
        let shim = fields.optional("shim", cx);
        let env = fields.or("env", Variables::default(), cx);
        let repositories = fields.or("repositories", Repositories::default(), cx);
        let output = fields.or("output", OutputPolicy::default(), cx);
        let limits = LimitPolicy::decode(&mut fields, cx);
        let disk = fields.or("disk", DiskPolicy::default(), cx);
        let probes = Probes::decode(&mut fields, cx);
        fields.finish(cx);
        Some(Self {
            masters: masters?.value.into_iter().map(|master| master.value).collect(),
            name: name?,
            token: token?,
            data: data?,
            max_builds: max_builds?.map_or_else(cores, |count| count.value),
            shim: shim?,
            env: env?,
            repositories: repositories?,
            output: output?,
            limits: limits?,
            disk: disk?,
            probes: probes?,
        })
    }
}

impl Decode for Repositories {
    fn decode(node: &Node, cx: &mut Context<'_>) -> Option<Self> {
        let mut fields = Fields::of(node, cx)?;
        let allow_local = fields.or("allow_local", false, cx);
        fields.finish(cx);
        Some(Self { allow_local: allow_local? })
    }
}

fn check_version(version: Option<&Spanned<i64>>, cx: &mut Context<'_>) {
    if let Some(version) = version.filter(|version| version.value != 1) {
        let problem = Diagnostic::new(Code::OutOfRange, version.span, "the version is 1");
        cx.report(problem.help("write `version = 1`, or leave it out"));
    }
}

fn check_masters(
    masters: Option<&Spanned<Vec<Spanned<Address>>>>,
    may_be_insecure: bool,
    cx: &mut Context<'_>,
) {
    let Some(masters) = masters else { return };
    if masters.value.is_empty() {
        let problem = Diagnostic::new(Code::OutOfRange, masters.span, "no master to connect to");
        cx.report(problem.help("name at least one: masters = [\"ci.example.org:9989\"]"));
    }
    for master in masters.value.iter().filter(|master| !master.value.is_loopback()) {
        if !may_be_insecure {
            let message = "the token and all output would cross the network in clear";
            let problem = Diagnostic::new(Code::Insecure, master.span, message)
                .label("not on this machine")
                .help("use a tunnel that ends on 127.0.0.1, or write `insecure = true`");
            cx.report(problem);
        }
    }
}

fn check_max_builds(count: Option<&Spanned<u32>>, cx: &mut Context<'_>) {
    if let Some(count) = count.filter(|count| count.value == 0) {
        let message = "a worker runs at least one build at once";
        cx.report(Diagnostic::new(Code::OutOfRange, count.span, message));
    }
}

/// Returns how many cores this process may use.
pub(crate) fn cores() -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    u32::try_from(cores).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            let folder = Self(tempfile::tempdir().unwrap());
            folder.token(0o600);
            folder
        }

        fn token(&self, mode: u32) {
            let path = self.0.path().join("token");
            fs::write(&path, "secret\n").unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        }

        fn check(&self, text: &str) -> Loaded {
            let folder = self.0.path().to_owned();
            check(SourceFile { path: folder.join("worker.toml"), folder, text: text.to_owned() })
        }

        fn codes(&self, text: &str) -> Vec<Code> {
            self.check(text).problems.iter().map(|problem| problem.code).collect()
        }
    }

    const LEAST: &str =
        "masters = [\"127.0.0.1:9989\"]\nname = \"w1\"\ntoken = { file = \"token\" }\n";

    #[test]
    fn the_least_file_is_enough_and_relative_paths_are_beside_it() {
        let folder = Folder::new();
        let loaded = folder.check(&format!("{LEAST}data = \"state\"\n"));
        assert_eq!(loaded.problems, []);
        let settings = loaded.settings.unwrap();
        assert_eq!(settings.data, folder.0.path().join("state"));
        assert_eq!(settings.token.bytes(), b"secret");
        assert!(settings.max_builds >= 1);
        assert!(!settings.repositories.allow_local);
    }

    #[test]
    fn the_sample_is_good_as_it_stands_and_with_everything_uncommented() {
        let folder = Folder::new();
        fs::rename(folder.0.path().join("token"), folder.0.path().join("worker.token")).unwrap();
        let sample = include_str!("../../../../config/worker.toml");
        assert_eq!(folder.codes(sample), []);
        let uncommented: String = sample
            .lines()
            .map(|line| line.strip_prefix('#').filter(|l| !l.starts_with(' ')).unwrap_or(line))
            .flat_map(|line| [line, "\n"])
            .collect();
        assert!(uncommented.contains("\nmax_builds = 4\n"));
        assert!(uncommented.contains("\n[output]\ndefault = \"128MiB\"\n"));
        assert!(uncommented.contains("\n[memory]\nmost = \"8GiB\"\n"));
        assert_eq!(folder.codes(&uncommented), []);
    }

    #[test]
    fn the_page_describes_every_key_and_no_other() {
        let page = include_str!("../../../../docs/CONFIGURATION.md");
        let page = page.split("\n## worker.toml").nth(1).unwrap();
        let folder = Folder::new().0.path().to_owned();
        let text = "masters = [\"127.0.0.1:1\"]\nname = \"w\"\ntoken = { file = \"token\" }\n\
                    repositories = {}\noutput = {}\nprocesses = {}\nmemory = {}\ndisk = {}\n";
        let files = [SourceFile { path: "worker.toml".into(), folder, text: text.to_owned() }];
        let (tree, problems) = config::parse(&files);
        let mut cx = Context::new(&files, problems);
        Settings::decode(&tree, &mut cx);
        let mut keys = config::DecodedKeys::default();
        keys.add(&tree, &cx);
        assert_eq!(keys.compare(&page.replace("### `worker.toml`", "### ``")), [""; 0]);
    }

    #[test]
    fn words_of_later_versions_are_told_as_such_and_nothing_else_is() {
        let later = "masters = [\"ci.example.org:9989\"]\nname = \"w1\"\nlabels = []\n\
                     key = { credential = \"worker.key\" }\nrun_as = { min_uid = 1000 }\n\
                     containers = \"podman\"\ndisk = { path = \"/var\" }\ntls = true\n\
                     certificate = \"tls.crt\"\n";
        assert_eq!(Folder::new().codes(later), [Code::NotYet; 7]);
    }

    #[test]
    fn every_problem_is_found_at_once() {
        let folder = Folder::new();
        let codes = folder.codes(
            "mastrs = [\"x\"]\nname = \"a b\"\ntoken = { file = \"none\" }\nmax_builds = 0\n\
             env = { \"A=B\" = \"c\" }\noutput = { default = \"1MB\", most = \"1KiB\" }\n\
             processes = { most = 0 }\nmemory = { default = \"1KiB\" }\ncontrol_groups = \"v3\"\n",
        );
        let mut wanted = vec![
            Code::MissingKey,
            Code::UnknownKey,
            Code::BadName,
            Code::Unreadable,
            Code::OutOfRange,
            Code::OutOfRange,
            Code::OutOfRange,
            Code::OutOfRange,
            Code::OutOfRange,
            Code::OutOfRange,
            Code::BadSize,
        ];
        wanted.sort_unstable();
        let mut got = codes;
        got.sort_unstable();
        assert_eq!(got, wanted);
    }

    #[test]
    fn a_misspelt_key_is_an_error_with_the_right_word() {
        let loaded = Folder::new().check(&format!("{LEAST}max_bilds = 3\n"));
        assert_eq!(loaded.problems[0].primary.text, "did you mean `max_builds`?");
        assert!(loaded.settings.is_none());
    }

    #[test]
    fn a_token_that_others_can_read_is_refused_with_the_remedy() {
        let folder = Folder::new();
        folder.token(0o644);
        let loaded = folder.check(LEAST);
        assert_eq!(loaded.problems[0].code, Code::Unreadable);
        assert!(loaded.problems[0].help.as_ref().unwrap().starts_with("chmod 600 "));
    }

    #[test]
    fn a_master_elsewhere_needs_the_word_insecure() {
        let folder = Folder::new();
        let text = LEAST.replace("127.0.0.1", "ci.example.org");
        assert_eq!(folder.codes(&text), [Code::Insecure]);
        assert_eq!(folder.codes(&format!("{text}insecure = true\n")), []);
    }

    #[test]
    fn addresses_name_a_host_and_a_port() {
        let folder = Folder::new();
        for bad in ["", "host", "host:", ":1", "host:0", "host:99999", "::1:5", "a b:5"] {
            let text = LEAST.replace("127.0.0.1:9989", bad);
            assert_eq!(folder.codes(&text), [Code::BadAddress], "{bad}");
        }
        assert_eq!(folder.codes(&LEAST.replace("127.0.0.1", "[::1]")), []);
    }
}
