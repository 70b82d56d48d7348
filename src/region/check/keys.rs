//! Keys that stores like to change: each is stored, read, and looked for in a listing under exactly its own name.

use super::bench::Bench;
use super::{CheckError, Findings, answered};
use crate::region::{KeyRules, PutCondition, RegionError};

const KEY_BYTES_MAX: usize = 1_024;

pub(super) async fn rules(bench: &Bench, findings: &mut Findings) -> Result<KeyRules, CheckError> {
    let controls: Vec<String> = (0..0x20_u8)
        .chain([0x7f])
        .map(|byte| format!("keys/c/{}x", char::from(byte)))
        .collect();
    let controls: Vec<&str> = controls.iter().map(String::as_str).collect();
    findings.require(
        kept(
            bench,
            &["keys/plain", "keys/a b+c%d&e=f", "keys/é\u{ff5e}\u{1f600}"],
        )
        .await?,
        "ordinary keys with spaces, signs and letters of all scripts are not kept",
    );
    let rules = KeyRules {
        bytes_max: bytes_max(bench).await?,
        empty_segments: kept(bench, &["keys/e//b", "keys/e//", "keys/e///c"]).await?,
        dot_segments: kept(
            bench,
            &["keys/d/./b", "keys/d/x/../b", "keys/d/.", "keys/d/.."],
        )
        .await?,
        leading_slash: kept(bench, &["/keys-leading", "/"]).await?,
        trailing_slash: kept(bench, &["keys/t/", "keys/t2/a/"]).await?,
        folder_markers: folder_markers(bench).await?,
        control_characters: kept(bench, &controls).await?,
        object_below_object: kept(bench, &["keys/o/a", "keys/o/a/b", "keys/p/a/b", "keys/p/a"])
            .await?,
        backslash: kept(bench, &["keys/h\\i", "keys/h/j"]).await?,
        housekeeping_names: kept(
            bench,
            &["keys/k.versions", "keys/l.versions/m", ".uploads/n"],
        )
        .await?,
        byte_order: byte_order(bench, findings).await?,
    };
    let segment = format!("keys/s/{}", "s".repeat(rules.bytes_max.saturating_sub(7)));
    findings.note(
        !refused(bench, &segment).await?,
        "the store refuses keys with a very long segment between slashes",
    );
    Ok(rules)
}

/// Whether all of these are stored together, each under its own name and with its own bytes.
async fn kept(bench: &Bench, keys: &[&str]) -> Result<bool, RegionError> {
    for key in keys {
        let put = bench.put(&bench.at(key)?, key, PutCondition::Always).await;
        if answered(put)?.is_none() {
            return Ok(false);
        }
    }
    for key in keys {
        if !bench.holds(&bench.at(key)?, key).await? {
            return Ok(false);
        }
        // A key may be found under another name that the store takes for the same.
        let listed = answered(bench.keys(&prefix_of(key), 1_000).await)?.unwrap_or_default();
        if !listed.iter().any(|found| found == key) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a folder's own object can have the name of a single space: kept, listed first, and not in the way of the rest.
async fn folder_markers(bench: &Bench) -> Result<bool, RegionError> {
    let (marker, others) = (
        "keys/m/ ",
        ["keys/m/!", "keys/m/  ", "keys/m/ /a", "keys/m/a"],
    );
    for keys in [
        [&[marker][..], &others].concat(),
        vec!["keys/n/a", "keys/n/ "],
    ] {
        if !kept(bench, &keys).await? {
            return Ok(false);
        }
    }
    let listed = answered(bench.keys_in_segment_order("keys/m/", 2).await)?.unwrap_or_default();
    Ok(listed.first().is_some_and(|key| key == marker) && listed.len() == 1 + others.len())
}

async fn refused(bench: &Bench, key: &str) -> Result<bool, RegionError> {
    let put = bench.put(&bench.at(key)?, key, PutCondition::Always).await;
    Ok(answered(put)?.is_none())
}

/// What to list so that a changed form of the key would be there too.
fn prefix_of(key: &str) -> String {
    match key.match_indices('/').nth(1) {
        Some((end, _)) => key.get(..=end).unwrap_or_default().to_owned(),
        None => String::new(),
    }
}

/// The longest key kept when it has many segments, by halving.
async fn bytes_max(bench: &Bench) -> Result<usize, RegionError> {
    let (mut good, mut bad) = (0, KEY_BYTES_MAX + 1);
    let mut bytes = KEY_BYTES_MAX;
    while bad - good > 1 {
        let flat: String = "keys/f/"
            .chars()
            .chain(std::iter::repeat('f'))
            .take(bytes)
            .collect();
        let deep: String = "keys/g/"
            .chars()
            .chain("gggggggggggggggggg/".chars().cycle())
            .take(bytes.saturating_sub(1))
            .chain(['g'])
            .collect();
        // A name that is too long for one segment may be refused by the store, but not changed.
        let flat_safe = refused(bench, &flat).await? || kept(bench, &[&flat]).await?;
        if flat_safe && kept(bench, &[&deep]).await? {
            good = bytes;
        } else {
            bad = bytes;
        }
        bytes = good + (bad - good) / 2;
    }
    Ok(good)
}

/// Whether a listing comes in the order of UTF-8's bytes; and that pages lose and repeat nothing, in whatever order.
async fn byte_order(bench: &Bench, findings: &mut Findings) -> Result<bool, RegionError> {
    let mut keys = [
        "keys/order/a",
        "keys/order/a-b",
        "keys/order/a/b",
        "keys/order/a0",
        "keys/order/\u{ff5e}",
        "keys/order/\u{1f600}",
        // A folder of an object's name at the end, behind a page that it fills.
        "keys/order/\u{1f600}/b",
    ];
    keys.sort_unstable();
    for key in keys {
        // Where no object may lie below another, the order of the rest still tells.
        let _ = answered(bench.put(&bench.at(key)?, "x", PutCondition::Always).await)?;
    }
    let whole = answered(bench.keys("keys/order/", 1_000).await)?.unwrap_or_default();
    let in_order = whole.is_sorted();
    let paged = if in_order {
        bench.keys("keys/order/", 2).await
    } else {
        bench.keys_in_segment_order("keys/order/", 2).await
    };
    let mut paged = answered(paged)?.unwrap_or_default();
    let mut all = whole;
    paged.sort_unstable();
    all.sort_unstable();
    findings.require(
        !all.is_empty() && paged == all,
        "a listing in pages loses or repeats keys, so objects could stay behind unseen",
    );
    Ok(in_order)
}
