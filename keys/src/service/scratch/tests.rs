use std::fs::{File, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::time::{Duration, SystemTime};

use super::*;
use crate::clock::{Clock as _, SystemClock};

fn refused(dir: &Path, bytes: u64) -> String {
    KeyService::check_scratch(dir, bytes)
        .unwrap_err()
        .to_string()
}

#[test]
fn scratch_place_that_others_can_change_is_refused_and_a_new_one_is_closed_to_them() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("a/scratch");
    KeyService::check_scratch(&place, 0).unwrap();
    assert_eq!(fs::metadata(&place).unwrap().mode() & 0o777, 0o700);
    for mode in [0o720, 0o702] {
        fs::set_permissions(&place, Permissions::from_mode(mode)).unwrap();
        assert!(refused(&place, 0).contains("written to by others"));
        assert!(Scratch::create(&place).is_err(), "nor tried out in");
    }
    fs::set_permissions(&place, Permissions::from_mode(0o700)).unwrap();
    let link = dir.path().join("link");
    symlink(&place, &link).unwrap();
    assert!(refused(&link, 0).contains("is not a directory"));
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&place, Some(65_534), None).unwrap();
        assert!(refused(&place, 0).contains("another user"));
    }
}

#[test]
fn scratch_place_without_room_for_the_backup_twice_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let volume = rustix::fs::statvfs(dir.path()).unwrap();
    // Halves of what the volume has in all: never free, whatever happens meanwhile.
    let half = volume.f_blocks * volume.f_frsize / 2 + 1;
    assert!(refused(dir.path(), half).contains("bytes free, and trying a backup out takes"));
    assert!(refused(dir.path(), u64::MAX).contains("bytes free"));
}

fn now() -> SystemTime {
    let unix_ms = u64::try_from(SystemClock.unix_ms()).unwrap();
    SystemTime::UNIX_EPOCH + Duration::from_millis(unix_ms)
}

#[test]
fn scratch_sweep_deletes_what_was_left_a_day_ago_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let ages = [
        ("lethe-restore-0123456789abcdef", 25),
        ("lethe-restore-1123456789abcdef", 23),
        ("lethe-restore-mine", 25),
        ("keys", 25),
    ];
    for (name, hours) in ages {
        let path = dir.path().join(name);
        fs::create_dir(&path).unwrap();
        fs::write(path.join("scratch.db"), b"keys").unwrap();
        let then = now() - Duration::from_secs(hours * 60 * 60);
        File::open(&path).unwrap().set_modified(then).unwrap();
    }
    assert_eq!(KeyService::sweep_scratch(dir.path()), Ok(1));
    let left = ages.map(|(name, _)| dir.path().join(name).exists());
    assert_eq!(left, [false, true, true, true]);
}
