//! What a process has used so far, from `/proc`.

use anyhow::{Context, Result};

/// Linux gives times to user space in hundredths of a second whatever its own tick is (`USER_HZ`).
const TICKS_PER_S: f64 = 100.0;

/// Seconds of processor time, user and system, of all threads; `"self"` is this process.
pub fn cpu_s(pid: &str) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let stat = std::fs::read_to_string(&path)
        .with_context(|| format!("Cannot read {path}. Give --pid the id of a running process."))?;
    ticks(&stat).with_context(|| format!("{path} is not as Linux writes it."))
}

/// Resident memory in bytes.
pub fn resident_bytes(pid: &str) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&path).with_context(|| format!("Cannot read {path}."))?;
    let kib =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix("kB")?.trim().parse().ok());
    kib.map(|kib: u64| kib * 1_024).with_context(|| format!("{path} has no VmRSS."))
}

/// Fields 14 and 15 of proc(5); the name in field 2 may hold spaces and brackets.
fn ticks(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<f64>().ok();
    Some((next()? + next()?) / TICKS_PER_S)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_a_name_with_brackets_and_spaces() {
        let stat = "42 (a) b ) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 1 0";
        assert_eq!(ticks(stat), Some(3.0));
        assert_eq!(ticks("42"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory_and_time() {
        assert!(cpu_s("self").unwrap() >= 0.0);
        assert!(resident_bytes("self").unwrap() > 100_000);
        assert!(cpu_s("0").is_err());
    }
}
