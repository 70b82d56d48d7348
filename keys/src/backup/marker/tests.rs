use super::*;
use crate::backup::BackupPlace as _;
use crate::clock::{Clock as _, SystemClock};

fn now() -> SystemTime {
    let unix_ms = u64::try_from(SystemClock.unix_ms()).unwrap();
    SystemTime::UNIX_EPOCH + Duration::from_millis(unix_ms)
}

fn aged(path: &Path, hours: u64) {
    let then = now() - Duration::from_secs(hours * 60 * 60);
    File::options()
        .read(true)
        .open(path)
        .unwrap()
        .set_modified(then)
        .unwrap();
}

#[tokio::test]
async fn place_without_this_key_stores_mark_takes_no_backup_and_is_not_made() {
    let dir = tempfile::tempdir().unwrap();
    let (here, other) = (
        KeyStoreIdentity::from_bytes([1; 16]),
        KeyStoreIdentity::from_bytes([2; 16]),
    );
    let missing = dir.path().join("not-mounted");
    for (at, why) in [
        (missing.as_path(), "can't be read"),
        (dir.path(), "no key store"),
    ] {
        let place = BackupDirectory::new(at);
        let refused = place.ready(&here).await.unwrap_err().to_string();
        assert!(
            refused.contains(why) && refused.contains("adopt-backup-place"),
            "{refused}"
        );
        assert!(matches!(
            place.begin(&here).await,
            Err(BackupError::NotAdopted { .. })
        ));
    }
    assert!(!missing.exists());
    assert!(BackupDirectory::new(&missing).adopt(here).await.is_err());
    assert!(!missing.exists(), "not even by its adoption");
    let place = BackupDirectory::new(dir.path());
    place.adopt(other).await.unwrap();
    let refused = place.ready(&here).await.unwrap_err().to_string();
    assert!(refused.contains("another key store"), "{refused}");
    place.adopt(here).await.unwrap();
    place.adopt(here).await.unwrap();
    for of in [here, other] {
        assert_eq!(place.ready(&of).await, Ok(0));
        drop(place.begin(&of).await.unwrap());
    }
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        2,
        "nothing but the marks stays"
    );
}

#[tokio::test]
async fn place_that_is_ready_says_how_long_its_newest_backup_is() {
    let dir = tempfile::tempdir().unwrap();
    let (here, place) = (
        KeyStoreIdentity::from_bytes([1; 16]),
        BackupDirectory::new(dir.path()),
    );
    place.adopt(here).await.unwrap();
    for (name, bytes, hours) in [("a.lethe-keys", 7, 2), ("b.lethe-keys", 5, 1), ("c", 9, 0)] {
        fs::write(dir.path().join(name), vec![0; bytes]).unwrap();
        aged(&dir.path().join(name), hours);
    }
    assert_eq!(place.ready(&here).await, Ok(5));
}

#[tokio::test]
async fn sweep_deletes_what_killed_backups_left_a_day_ago_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let stay = [
        ".0123456789abcdef.new.lethe-keys",
        ".mine.new",
        "0123456789abcdef.new",
        "a.lethe-keys",
        ".1123456789abcdef.new",
    ];
    for name in stay {
        fs::write(dir.path().join(name), b"").unwrap();
        aged(
            &dir.path().join(name),
            if name.starts_with(".1") { 23 } else { 25 },
        );
    }
    let left = dir.path().join(".2123456789abcdef.new");
    fs::write(&left, b"").unwrap();
    aged(&left, 25);
    assert_eq!(BackupDirectory::new(dir.path()).sweep().await, Ok(1));
    assert!(!left.exists());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), stay.len());
}
