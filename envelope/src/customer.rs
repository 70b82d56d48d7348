//! Customer keys: what a client brings beside the tenant's KEK, and what of it may be stored (`docs/format.md` §6.1).

use std::fmt;

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::context;
use crate::id::{KekId, ObjectId, TenantId};
use crate::kdf;

/// Length of a [`CustomerCheck`].
pub(crate) const CUSTOMER_CHECK_BYTES: usize = 16;

/// A client's own key for one object: 32 bytes that are stored nowhere.
///
/// Wiped on drop; it can be neither cloned nor printed, and nothing gives its bytes back.
pub struct CustomerKey(Box<Zeroizing<[u8; 32]>>);

impl CustomerKey {
    /// A key that a client sent. The caller wipes its own copy.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        let mut key = Self(Box::new(Zeroizing::new([0; 32])));
        key.0.copy_from_slice(bytes);
        key
    }
}

impl fmt::Debug for CustomerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CustomerKey(redacted)")
    }
}

/// What a header keeps of a customer key: it tells a wrong key from a damaged object, and nothing to who has not the KEK.
#[derive(Debug, Clone, Copy)]
pub struct CustomerCheck([u8; CUSTOMER_CHECK_BYTES]);

impl CustomerCheck {
    /// The check of these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; CUSTOMER_CHECK_BYTES]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; CUSTOMER_CHECK_BYTES] {
        &self.0
    }
}

impl PartialEq for CustomerCheck {
    /// In constant time.
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for CustomerCheck {}

/// A KEK and a customer key folded into one secret: neither of the two alone gives anything of it.
pub struct CustomerSecret(Box<Zeroizing<[u8; 64]>>);

impl CustomerSecret {
    /// Folds the two keys.
    #[must_use]
    pub fn new(
        kek: &[u8; 32],
        tenant: TenantId,
        kek_id: KekId,
        customer_key: &CustomerKey,
    ) -> Self {
        let prefix = context::customer_key_prefix(tenant, kek_id);
        Self(kdf::extract(kek, &[&prefix, customer_key.0.as_slice()]))
    }

    /// The key that wraps the DEK, in the KEK's stead.
    #[must_use]
    pub fn wrapping_key(&self) -> Box<Zeroizing<[u8; 32]>> {
        let mut key = Box::new(Zeroizing::new([0; 32]));
        kdf::expand(&self.0, &[b"lethe/v1/customer-wrap"], &mut key);
        key
    }

    /// The check that an object's header keeps.
    #[must_use]
    pub fn check(&self, object_id: ObjectId) -> CustomerCheck {
        let mut check = [0; CUSTOMER_CHECK_BYTES];
        let info = context::customer_check_info(object_id);
        kdf::expand(&self.0, &[&info], &mut check);
        CustomerCheck(check)
    }
}

impl fmt::Debug for CustomerSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CustomerSecret(redacted)")
    }
}
