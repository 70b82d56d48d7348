//! Who may be connected. Places are bounded, in all and for one peer. When they are taken, a newcomer gets the place of the
//! connection that has waited longest without a request: first of its own peer's, when that has all it may, else of the peer that
//! has the most. Only when every place is busy is a newcomer refused, and then with an answer.

use crate::timed_io::Phase;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How often refused connections are worth a line in the log.
const WARN_EVERY: Duration = Duration::from_secs(10);

/// All places.
#[derive(Debug)]
pub(super) struct Places {
    taken: Mutex<Taken>,
    places_max: usize,
    each_peer_max: usize,
}

#[derive(Debug, Default)]
struct Taken {
    next_id: u64,
    places: HashMap<u64, Held>,
    warned: Option<Instant>,
}

#[derive(Debug)]
struct Held {
    peer: IpAddr,
    phase: Phase,
    give_way: Arc<Notify>,
}

/// One connection's place; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    of: Arc<Places>,
    id: u64,
    give_way: Arc<Notify>,
}

impl Places {
    pub(super) fn new(places_max: usize, each_peer_max: usize) -> Arc<Self> {
        Arc::new(Self {
            taken: Mutex::default(),
            places_max,
            each_peer_max,
        })
    }

    /// A place for a connection of a peer, for which another may have to give way; `None` when all of them are busy.
    pub(super) fn take(self: &Arc<Self>, peer: IpAddr, phase: &Phase) -> Option<Place> {
        let mut taken = self.taken();
        let of_peer = taken.places.values().filter(|h| h.peer == peer).count();
        if of_peer >= self.each_peer_max {
            taken.make_room_of(peer)?;
        } else if taken.places.len() >= self.places_max {
            taken.make_room()?;
        }
        let id = taken.next_id;
        taken.next_id += 1;
        let give_way = Arc::new(Notify::new());
        let held = Held {
            peer,
            phase: phase.clone(),
            give_way: Arc::clone(&give_way),
        };
        taken.places.insert(id, held);
        Some(Place {
            of: Arc::clone(self),
            id,
            give_way,
        })
    }

    /// Whether a refusal is to be logged: not each of many.
    pub(super) fn may_warn(&self) -> bool {
        let mut taken = self.taken();
        let is_due = taken.warned.is_none_or(|at| at.elapsed() >= WARN_EVERY);
        if is_due {
            taken.warned = Some(Instant::now());
        }
        is_due
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn make_room(&mut self) -> Option<()> {
        let mut peers: HashMap<IpAddr, (usize, bool)> = HashMap::new();
        for held in self.places.values() {
            let (places, waits) = peers.entry(held.peer).or_default();
            *places += 1;
            *waits |= held.phase.waits_since().is_some();
        }
        let (peer, _) = peers
            .into_iter()
            .filter(|(_, (_, waits))| *waits)
            .max_by_key(|(_, (places, _))| *places)?;
        self.make_room_of(peer)
    }

    fn make_room_of(&mut self, peer: IpAddr) -> Option<()> {
        let waiting = self.places.iter().filter(|(_, held)| held.peer == peer);
        let longest = waiting
            .filter_map(|(id, held)| Some((held.phase.waits_since()?, *id)))
            .min()?;
        let held = self.places.remove(&longest.1)?;
        held.give_way.notify_one();
        Some(())
    }
}

impl Place {
    /// Waits until another connection has this one's place.
    pub(super) async fn lost(&self) {
        self.give_way.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.of.taken().places.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const B: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    async fn is_lost(place: &Place) -> bool {
        tokio::time::timeout(Duration::from_millis(1), place.lost())
            .await
            .is_ok()
    }

    fn busy() -> Phase {
        let phase = Phase::new();
        phase.begin_request();
        phase
    }

    #[tokio::test]
    async fn longest_waiting_of_the_same_peer_gives_way() {
        let places = Places::new(10, 2);
        let (first, second) = (Phase::new(), Phase::new());
        let other = places.take(B, &Phase::new()).unwrap();
        let first_place = places.take(A, &first).unwrap();
        let second_place = places.take(A, &second).unwrap();
        // The first has had a request since: it waits less long.
        first.begin_request();
        first.end_request();
        let third = places.take(A, &Phase::new()).unwrap();
        assert!(is_lost(&second_place).await);
        assert!(!is_lost(&first_place).await && !is_lost(&other).await && !is_lost(&third).await);
    }

    #[tokio::test]
    async fn peer_with_the_most_gives_way_when_all_places_are_taken() {
        let places = Places::new(3, 3);
        let alone = places.take(B, &Phase::new()).unwrap();
        let oldest = places.take(A, &Phase::new()).unwrap();
        let newer = places.take(A, &Phase::new()).unwrap();
        let newcomer = places.take(B, &Phase::new()).unwrap();
        assert!(is_lost(&oldest).await);
        assert!(!is_lost(&alone).await && !is_lost(&newer).await && !is_lost(&newcomer).await);
    }

    #[tokio::test]
    async fn busy_connections_never_give_way() {
        let places = Places::new(2, 1);
        let a = places.take(A, &busy()).unwrap();
        assert!(places.take(A, &Phase::new()).is_none());
        let b = places.take(B, &busy()).unwrap();
        let c = IpAddr::from([192, 0, 2, 3]);
        assert!(places.take(c, &Phase::new()).is_none());
        assert!(!is_lost(&a).await && !is_lost(&b).await);
        drop(a);
        assert!(places.take(c, &Phase::new()).is_some());
    }

    #[tokio::test]
    async fn place_that_was_lost_is_not_given_back_twice() {
        let places = Places::new(1, 1);
        let lost = places.take(A, &Phase::new()).unwrap();
        let kept = places.take(A, &busy()).unwrap();
        drop(lost);
        assert!(places.take(A, &Phase::new()).is_none());
        drop(kept);
        assert!(places.take(A, &Phase::new()).is_some());
    }

    #[test]
    fn refusals_are_logged_now_and_then() {
        let places = Places::new(1, 1);
        assert!(places.may_warn());
        assert!(!places.may_warn());
    }
}
