//! A host of its own for a worker: a network namespace with a wire to this one, on which the
//! kernel loses packets. The run itself is in a namespace of its own, so nobody else is reached.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::Context as _;

use crate::tool::{missing, run};

/// The end of the wire at the master.
pub(crate) const HERE: &str = "10.99.0.1";
const THERE: &str = "10.99.0.2";
/// The interface at the master.
const WIRE: &str = "ymwire";
/// Tells the program that it has been started again in a network of its own.
const INSIDE: &str = "YARDMASTER_CHAOS_NETWORK";

/// Which packets are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    All,
    FromWorker,
    FromMaster,
    /// Each with this probability, either way.
    Some {
        percent: u64,
    },
}

/// A host on the other end of the wire.
#[derive(Debug)]
pub(crate) struct Host {
    name: String,
}

/// Goes into namespaces of its own: for the network, and for mounts, which then go with the run.
/// Returns why that cannot be done here; where it can, this program is started anew.
pub(crate) fn enter_own_network() -> anyhow::Result<Option<String>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(Some("only root can have network namespaces".to_owned()));
    }
    if let Some(program) = missing(&["unshare", "nsenter", "ip", "iptables"]) {
        return Ok(Some(format!("{program} is not installed")));
    }
    if std::env::var_os(INSIDE).is_some() {
        run("ip", &["link", "set", "lo", "up"])?;
        return Ok(None);
    }
    let program = std::env::current_exe().context("find this program's own file")?;
    let mut command = Command::new("unshare");
    command.args(["--net", "--mount", "--"]).arg(program).args(std::env::args_os().skip(1));
    Err(command.env(INSIDE, "1").exec()).context("enter a network of its own")
}

impl Host {
    /// Makes the namespace and the wire.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let name = format!("ym-{}", std::process::id());
        run("ip", &["netns", "add", &name])?;
        let host = Self { name };
        let wire = ["link", "add", WIRE, "type", "veth", "peer", "name", WIRE, "netns", &host.name];
        run("ip", &wire)?;
        let there = ["-n", &host.name];
        for (place, address) in [(&[][..], HERE), (&there[..], THERE)] {
            let ip = |words: &[&str]| run("ip", &[place, words].concat());
            ip(&["addr", "add", &format!("{address}/30"), "dev", WIRE])?;
            ip(&["link", "set", WIRE, "up"])?;
        }
        Ok(host)
    }

    /// Returns the words before a command that runs on this host.
    pub(crate) fn prefix(&self) -> Vec<String> {
        // `ip netns exec` would make a mount namespace too, which holds on to everybody's disks.
        vec!["nsenter".to_owned(), format!("--net=/run/netns/{}", self.name)]
    }

    /// Loses packets from now on.
    pub(crate) fn lose(&self, loss: Loss) -> anyhow::Result<()> {
        let (input, output) = (["INPUT", "-i", WIRE], ["OUTPUT", "-o", WIRE]);
        let chains: &[[&str; 3]] = match loss {
            Loss::All | Loss::Some { .. } => &[input, output],
            Loss::FromWorker => &[input],
            Loss::FromMaster => &[output],
        };
        let probability = match loss {
            Loss::All | Loss::FromWorker | Loss::FromMaster => None,
            Loss::Some { percent } => Some(format!("0.{percent:02}")),
        };
        for chain in chains {
            let mut rule = vec!["-w", "-A"];
            rule.extend(chain);
            if let Some(probability) = &probability {
                let statistic = ["-m", "statistic", "--mode", "random", "--probability"];
                rule.extend(statistic.into_iter().chain([probability.as_str()]));
            }
            rule.extend(["-j", "DROP"]);
            run("iptables", &rule)?;
        }
        Ok(())
    }

    /// Loses none any more.
    pub(crate) fn heal(&self) -> anyhow::Result<()> {
        run("iptables", &["-w", "-F"])
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // The wire goes with it. Where that fails, the namespace is found by its name.
        drop(run("ip", &["netns", "del", &self.name]));
    }
}
