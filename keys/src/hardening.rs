//! Keeping key material out of core dumps, debuggers and swap.

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit,
};

/// What of the process could be hardened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hardening {
    /// No core dumps, and no debugger of another process of the same user.
    pub not_dumpable: bool,
    /// The core file limit is zero.
    pub no_core_files: bool,
    /// No page of the process goes to swap.
    pub memory_locked: bool,
}

/// Hardens this process as far as the system allows; the caller logs what could not be had.
#[must_use]
pub fn harden_process() -> Hardening {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    Hardening {
        not_dumpable: set_dumpable_behavior(DumpableBehavior::NotDumpable).is_ok(),
        no_core_files: setrlimit(Resource::Core, none).is_ok(),
        memory_locked: lock_memory(),
    }
}

/// Locking all future pages under a limit would make later allocations fail, so it is all or nothing.
fn lock_memory() -> bool {
    let unlimited = Rlimit {
        current: None,
        maximum: None,
    };
    let allowed = getrlimit(Resource::Memlock).current.is_none()
        || setrlimit(Resource::Memlock, unlimited).is_ok();
    // On fault: lock what is used, not whole thread stacks and reserved heaps.
    allowed
        && mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardened_process_is_as_reported() {
        let hardening = harden_process();
        let dumpable = rustix::process::dumpable_behavior().unwrap();
        assert_eq!(
            hardening.not_dumpable,
            dumpable == DumpableBehavior::NotDumpable
        );
        assert!(
            hardening.not_dumpable && hardening.no_core_files,
            "no privilege is needed for these"
        );
        assert_eq!(
            getrlimit(Resource::Core),
            Rlimit {
                current: Some(0),
                maximum: Some(0)
            }
        );
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let locked_kib: u64 = status
            .lines()
            .find_map(|line| {
                line.strip_prefix("VmLck:")?
                    .trim()
                    .strip_suffix(" kB")?
                    .parse()
                    .ok()
            })
            .unwrap();
        assert_eq!(hardening.memory_locked, locked_kib > 0);
    }
}
