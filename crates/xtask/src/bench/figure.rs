//! One result: the samples of one metric, and what the daemons used meanwhile.

use serde_json::json;

use super::daemon_cost::DaemonCost;

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Metric {
    WallMs,
    RssMb,
    ToStartedMs,
    ToReturnedMs,
    JobsPerS,
    /// CPU time, or how long something took.
    Seconds,
    MasterCpuMsPerJob,
    WorkerCpuMsPerJob,
    ReadyS,
    Ratio,
}

impl Metric {
    fn name(self) -> &'static str {
        match self {
            Self::WallMs => "wall_ms",
            Self::RssMb => "rss_mb",
            Self::ToStartedMs => "to_started_ms",
            Self::ToReturnedMs => "to_returned_ms",
            Self::JobsPerS => "jobs_per_s",
            Self::Seconds => "seconds",
            Self::MasterCpuMsPerJob => "master_cpu_ms_per_job",
            Self::WorkerCpuMsPerJob => "worker_cpu_ms_per_job",
            Self::ReadyS => "ready_s",
            Self::Ratio => "ratio",
        }
    }

    fn unit(self) -> &'static str {
        match self {
            Self::WallMs
            | Self::ToStartedMs
            | Self::ToReturnedMs
            | Self::MasterCpuMsPerJob
            | Self::WorkerCpuMsPerJob => "ms",
            Self::RssMb => "MB",
            Self::JobsPerS => "1/s",
            Self::ReadyS | Self::Seconds => "s",
            Self::Ratio => "",
        }
    }
}

/// The samples of a metric in one case of a workload.
#[derive(Debug, Clone)]
pub(super) struct Figure {
    pub(super) case: String,
    pub(super) metric: Metric,
    samples: Vec<f64>,
    daemons: Option<DaemonCost>,
}

/// What samples come to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Summary {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) n: usize,
}

impl Figure {
    pub(super) fn new(case: impl Into<String>, metric: Metric, samples: Vec<f64>) -> Self {
        Self { case: case.into(), metric, samples, daemons: None }
    }

    /// Adds what the daemons used from their start to the end of the measurement.
    pub(super) fn with(mut self, daemons: DaemonCost) -> Self {
        self.daemons = Some(daemons);
        self
    }

    pub(super) fn metric(&self) -> (&'static str, &'static str) {
        (self.metric.name(), self.metric.unit())
    }

    pub(super) fn daemons(&self) -> Option<DaemonCost> {
        self.daemons
    }

    pub(super) fn summary(&self) -> Summary {
        let mut sorted = self.samples.clone();
        sorted.sort_by(f64::total_cmp);
        let n = sorted.len();
        let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
        let median = match n {
            0 => f64::NAN,
            _ => f64::midpoint(at((n - 1) / 2), at(n / 2)),
        };
        Summary { median, min: at(0), max: at(n.saturating_sub(1)), n }
    }

    /// Shows it as one line for programs.
    pub(super) fn json(&self, workload: &str, version: &str) -> String {
        let Summary { median, min, max, n } = self.summary();
        let (metric, unit) = self.metric();
        let fields = [
            ("workload", json!(workload)),
            ("case", json!(self.case)),
            ("metric", json!(metric)),
            ("median", json!(rounded(median))),
            ("min", json!(rounded(min))),
            ("max", json!(rounded(max))),
            ("n", json!(n)),
            ("unit", json!(unit)),
            ("version", json!(version)),
        ];
        let daemons = self.daemons.map(DaemonCost::fields).into_iter().flatten();
        let daemons = daemons.map(|(name, value)| (name, json!(rounded(value))));
        let all = fields.into_iter().chain(daemons);
        let shown: Vec<String> = all.map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", shown.join(","))
    }
}

/// Four digits after the point are more than any of these is good for.
fn rounded(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_fields_of_the_format_in_their_order() {
        let figure = Figure::new("slots=4", Metric::JobsPerS, vec![3.0, 1.0, 2.5, 2.0]);
        assert_eq!(
            figure.json("W3", "0.1.0+abc"),
            r#"{"workload":"W3","case":"slots=4","metric":"jobs_per_s","median":2.25,"min":1.0,"max":3.0,"n":4,"unit":"1/s","version":"0.1.0+abc"}"#
        );
    }
}
