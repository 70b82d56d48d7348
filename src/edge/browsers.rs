//! What browsers ask for and s3s does not do.

use super::forms::VerifiedForm;
use crate::ops::OpError;
use crate::ops::cors::Rules;
use crate::ops::put_object::PutAnswer;
use crate::ops::sealing::PlainStream;
use crate::tenants::Caller;
use async_trait::async_trait;
use std::sync::Arc;

/// The operations behind requests that do not go through s3s.
#[async_trait]
pub trait Browsers: Send + Sync + 'static {
    /// The CORS rules of a bucket of the caller's tenant; `None` when it has none, there is no such bucket, or the caller's credential
    /// has expired or reaches nothing there. The caller need not be verified.
    ///
    /// # Errors
    /// Nobody can tell now.
    async fn cors_rules(
        &self,
        caller: &Caller,
        bucket: &str,
    ) -> Result<Option<Arc<Rules>>, OpError>;

    /// Stores a form's file as the caller who signed its policy.
    ///
    /// # Errors
    /// As PutObject; nothing is stored when the file does not end well.
    async fn post_object(
        &self,
        caller: &Caller,
        form: &VerifiedForm,
        file: PlainStream,
    ) -> Result<PutAnswer, OpError>;
}
