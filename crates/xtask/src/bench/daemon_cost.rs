//! What master and worker used: CPU since their start and their largest memory.

/// Taken at the end of a measurement.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct DaemonCost {
    pub(super) master_cpu_s: f64,
    pub(super) master_peak_rss_mb: f64,
    /// Without shims and jobs.
    pub(super) worker_cpu_s: f64,
    pub(super) worker_peak_rss_mb: f64,
}

impl DaemonCost {
    pub(super) fn fields(self) -> [(&'static str, f64); 4] {
        [
            ("master_cpu_s", self.master_cpu_s),
            ("master_peak_rss_mb", self.master_peak_rss_mb),
            ("worker_cpu_s", self.worker_cpu_s),
            ("worker_peak_rss_mb", self.worker_peak_rss_mb),
        ]
    }
}
