use super::client::{Client, PART, plain};
use crate::ops::range::RangeSpec;
use crate::ops::testing::Testbed;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;

/// A size of a part that is not the last: the minimum, and about the segments above it.
fn inner() -> impl Strategy<Value = usize> {
    prop_oneof![
        Just(PART),
        Just(PART + 16_384),
        (0usize..40_000).prop_map(|more| PART + more),
    ]
}

fn last() -> impl Strategy<Value = usize> {
    prop_oneof![Just(0usize), Just(1), Just(16_384), 0usize..60_000, inner()]
}

fn layout() -> impl Strategy<Value = Vec<usize>> {
    (prop::collection::vec(inner(), 0..3), last()).prop_map(|(mut parts, last)| {
        parts.push(last);
        parts
    })
}

/// A place in the object: anywhere, or close to where a part begins.
fn place(layout: &[usize]) -> impl Strategy<Value = usize> + use<> {
    let total: usize = layout.iter().sum();
    let starts: Vec<usize> = layout
        .iter()
        .scan(0, |sum, part| {
            *sum += part;
            Some(*sum)
        })
        .collect();
    let near = (prop::sample::select(starts), 0usize..40_000)
        .prop_map(|(start, off)| (start + 20_000).saturating_sub(off));
    let end = total.saturating_sub(1);
    prop_oneof![0usize..total.max(1), near].prop_map(move |at| at.min(end))
}

fn draw<T: std::fmt::Debug>(runner: &mut TestRunner, from: &impl Strategy<Value = T>) -> T {
    from.new_tree(runner).unwrap().current()
}

async fn check(acme: &Client<'_>, runner: &mut TestRunner, layout: &[usize], bytes: &[u8]) {
    let places = place(layout);
    for _ in 0..40 {
        let (a, b) = (draw(runner, &places), draw(runner, &places));
        let (first, last) = (a.min(b), a.max(b));
        let spec = RangeSpec::From {
            first: first as u64,
            last: Some(last as u64),
        };
        if bytes.is_empty() {
            assert!(acme.get_range("k", Some(spec)).await.is_err());
            continue;
        }
        let sent = acme.get_range("k", Some(spec)).await.unwrap();
        assert!(sent == bytes[first..=last], "{layout:?} {first}..={last}");
    }
    assert!(acme.get("k").await.unwrap() == bytes, "{layout:?}");
}

#[tokio::test]
async fn ranges_of_random_layouts_equal_those_of_a_plain_buffer() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    let mut runner = TestRunner::default();
    for seed in 0..6 {
        let layout = draw(&mut runner, &layout());
        let parts: Vec<Vec<u8>> = layout.iter().map(|bytes| plain(seed, *bytes)).collect();
        let slices: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        acme.multipart("k", &slices).await;
        check(&acme, &mut runner, &layout, &parts.concat()).await;
    }
}

#[tokio::test]
async fn ranges_of_random_single_objects_equal_those_of_a_plain_buffer() {
    let bed = Testbed::new().await;
    let acme = Client::acme(&bed).await;
    let mut runner = TestRunner::default();
    let sizes = prop_oneof![0usize..100, 16_300usize..16_500, 0usize..1_300_000];
    for seed in 0..12 {
        let bytes = plain(seed, draw(&mut runner, &sizes));
        acme.put("k", &bytes).await.unwrap();
        check(&acme, &mut runner, &[bytes.len()], &bytes).await;
    }
}
