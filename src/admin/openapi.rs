//! The API's description, served at `/openapi.json`.

use super::{
    credentials, domains, error, health, keys, logs, objects, receipts, regions, shredding, tenants,
};
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

#[derive(OpenApi)]
#[openapi(
    info(title = "Lethe admin API", description = "Tenants, credentials, regions and keys of a Lethe gateway."),
    paths(
        domains::list, domains::show,
        tenants::create, tenants::list, tenants::show, tenants::suspend, tenants::resume,
        credentials::create, credentials::import, credentials::list, credentials::change_grant, credentials::revoke,
        regions::list, regions::check,
        keys::list, keys::rotate,
        objects::inspect,
        shredding::terminate, shredding::approve, shredding::cancel, shredding::terminations,
        shredding::shreds, shredding::run, shredding::resume,
        receipts::list, receipts::file, receipts::trust, receipts::rotate, receipts::back_up,
        logs::statements, logs::file,
        health::livez, health::readyz, health::metrics,
    ),
    components(schemas(error::ErrorBody)),
    modifiers(&Bearer),
)]
struct Api;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut Document) {
        let scheme = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", scheme);
        let required = utoipa::openapi::SecurityRequirement::new("token", Vec::<String>::new());
        document.security = Some(vec![required]);
    }
}

/// The API's description.
#[must_use]
pub fn document() -> Document {
    Api::openapi()
}
