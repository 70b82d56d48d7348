//! Limits: each has a default and a range outside of which it makes no sense.

use super::error::Problem;
use super::model::Limits;
use super::raw::RawLimits;
use std::ops::RangeInclusive;
use std::time::Duration;

pub(super) fn limits(raw: &RawLimits) -> Result<Limits, Problem> {
    let or = Limits::default();
    Ok(Limits {
        connections_max: count(
            "connections_max",
            raw.connections_max,
            or.connections_max,
            1..=1_000_000,
        )?,
        peer_connections_max: count(
            "peer_connections_max",
            raw.peer_connections_max,
            or.peer_connections_max,
            1..=1_000_000,
        )?,
        requests_max: count(
            "requests_max",
            raw.requests_max,
            or.requests_max,
            1..=1_000_000,
        )?,
        tenant_requests_max: count(
            "tenant_requests_max",
            raw.tenant_requests_max,
            or.tenant_requests_max,
            1..=1_000_000,
        )?,
        header_bytes_max: count(
            "header_bytes_max",
            raw.header_bytes_max,
            or.header_bytes_max,
            8 << 10..=1 << 20,
        )?,
        header_deadline: seconds(
            "header_deadline_s",
            raw.header_deadline_s,
            or.header_deadline,
            1..=300,
        )?,
        body_idle_deadline: seconds(
            "body_idle_deadline_s",
            raw.body_idle_deadline_s,
            or.body_idle_deadline,
            1..=3600,
        )?,
        drain_deadline: seconds(
            "drain_deadline_s",
            raw.drain_deadline_s,
            or.drain_deadline,
            0..=3600,
        )?,
        store_deadline: seconds(
            "store_deadline_s",
            raw.store_deadline_s,
            or.store_deadline,
            1..=29,
        )?,
        upstream_deadline: seconds(
            "upstream_deadline_s",
            raw.upstream_deadline_s,
            or.upstream_deadline,
            1..=600,
        )?,
        buckets_max: count("buckets_max", raw.buckets_max, or.buckets_max, 1..=10_000)?,
        upload_idle_days: count(
            "upload_idle_days",
            raw.upload_idle_days,
            or.upload_idle_days,
            1..=365,
        )?,
    })
}

fn ranged(key: &str, value: u64, range: RangeInclusive<u32>) -> Result<u32, Problem> {
    u32::try_from(value)
        .ok()
        .filter(|value| range.contains(value))
        .ok_or_else(|| {
            Problem::at(
                &["limits", key],
                format!("{value} is out of range"),
                format!("write a number from {} to {}", range.start(), range.end()),
            )
        })
}

fn count(
    key: &str,
    value: Option<u64>,
    or: u32,
    range: RangeInclusive<u32>,
) -> Result<u32, Problem> {
    value.map_or(Ok(or), |value| ranged(key, value, range))
}

fn seconds(
    key: &str,
    value: Option<u64>,
    or: Duration,
    range: RangeInclusive<u32>,
) -> Result<Duration, Problem> {
    value.map_or(Ok(or), |value| {
        ranged(key, value, range).map(|value| Duration::from_secs(value.into()))
    })
}
