//! The operations on a whole gateway: faults at every write, lying stores, races, other tenants.

mod bucket_deletion;
mod client;
mod copies;
mod delete_faults;
mod flipped;
mod folding;
mod isolation;
mod key_lease;
mod multipart_checksums;
mod multipart_ends;
mod multipart_faults;
mod multipart_parts;
mod multipart_races;
mod put_faults;
mod random_ranges;
mod reads;
mod replaced;
mod swapped;
