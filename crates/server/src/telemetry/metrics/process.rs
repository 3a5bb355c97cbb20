//! Process metrics from Linux's `/proc/self`; no samples on other systems.
//!
//! Must not know: anything about calls.

use super::Sample;

/// Linux counts processor time for user space in units of 1/100 s on every architecture (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// Resident memory in bytes.
pub(super) fn memory() -> Vec<Sample> {
    sample(resident().map(|bytes| bytes as f64))
}

/// Resident memory in bytes.
pub(super) fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok();
    status.as_deref().and_then(resident_bytes)
}

/// Open file descriptors, without the one this reads them by.
pub(super) fn open_fds() -> Vec<Sample> {
    let open = std::fs::read_dir("/proc/self/fd").ok().and_then(|entries| u32::try_from(entries.count()).ok());
    sample(open.map(|open| f64::from(open.saturating_sub(1))))
}

/// Processor time in seconds, user and system.
pub(super) fn cpu_seconds() -> Vec<Sample> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok();
    sample(stat.as_deref().and_then(processor_seconds))
}

fn sample(value: Option<f64>) -> Vec<Sample> {
    value.into_iter().map(|value| Sample { labels: Vec::new(), value }).collect()
}

fn resident_bytes(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u32 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(u64::from(kibibytes) * 1024)
}

fn processor_seconds(stat: &str) -> Option<f64> {
    // The second field is the program's name in parentheses and may hold blanks and parentheses itself.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_program_name_does_not_shift_the_fields() {
        let stat = "7 (a) b) (c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0";
        assert_eq!(processor_seconds(stat), Some(2.0));
    }

    #[test]
    fn resident_memory_is_in_bytes() {
        assert_eq!(resident_bytes("Name:\tpicket\nVmRSS:\t    2 kB\n"), Some(2048));
    }
}
