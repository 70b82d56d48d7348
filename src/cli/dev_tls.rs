//! The development CA and its server certificate: made once, kept, renewed in time.

use super::error::CommandError;
use super::files::write_private;
use super::stores::make_dir;
use crate::clock::{Clock, UnixMs};
use crate::config::TlsFiles;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use std::path::{Path, PathBuf};

const DAY_MS: i64 = 24 * 3600 * 1000;
const CA_DAYS: i64 = 3650;
const SERVER_DAYS: i64 = 397;
/// A certificate that has less than this left is made anew at start.
const RENEW_DAYS: i64 = 30;
const SERVER_NAMES: [&str; 4] = ["localhost", "*.localhost", "127.0.0.1", "::1"];

/// Where the development certificates are.
pub(super) struct DevTls {
    /// What clients trust.
    pub(super) ca: PathBuf,
    /// What the listeners serve.
    pub(super) server: TlsFiles,
}

/// Makes what is missing or about to expire.
pub(super) fn dev_tls(dir: &Path, clock: &dyn Clock) -> Result<DevTls, CommandError> {
    make_dir(dir)?;
    let now = clock.now();
    let tls = DevTls {
        ca: dir.join("ca.pem"),
        server: TlsFiles {
            cert: dir.join("server.pem"),
            key: dir.join("server-key.pem"),
        },
    };
    let ca_key_file = dir.join("ca-key.pem");
    let ca_fresh = fresh(&tls.ca, now) && ca_key_file.exists();
    if !ca_fresh {
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = ca_params(now)?.self_signed(&key).map_err(failed)?;
        write_private(&ca_key_file, key.serialize_pem().as_bytes())?;
        write_private(&tls.ca, certificate.pem().as_bytes())?;
        write_expiry(&tls.ca, now, CA_DAYS)?;
    }
    if !ca_fresh || !fresh(&tls.server.cert, now) || !tls.server.key.exists() {
        let pem = std::fs::read_to_string(&ca_key_file)
            .map_err(|error| CommandError::file(&ca_key_file, "reading", &error))?;
        let issuer = Issuer::new(ca_params(now)?, KeyPair::from_pem(&pem).map_err(failed)?);
        let key = KeyPair::generate().map_err(failed)?;
        let certificate = server_params(now)?
            .signed_by(&key, &issuer)
            .map_err(failed)?;
        write_private(&tls.server.key, key.serialize_pem().as_bytes())?;
        write_private(&tls.server.cert, certificate.pem().as_bytes())?;
        write_expiry(&tls.server.cert, now, SERVER_DAYS)?;
    }
    Ok(tls)
}

fn failed(error: rcgen::Error) -> CommandError {
    CommandError::failed(
        format!("development certificates: {error}"),
        "remove the directory tls in the development directory, and start again",
    )
}

fn expiry_file(certificate: &Path) -> PathBuf {
    certificate.with_extension("expires")
}

fn write_expiry(certificate: &Path, now: UnixMs, days: i64) -> Result<(), CommandError> {
    let expires = now.plus_ms(days * DAY_MS);
    write_private(&expiry_file(certificate), expires.0.to_string().as_bytes())
}

/// The expiry is written last, so a certificate without one was cut off and is made anew.
fn fresh(certificate: &Path, now: UnixMs) -> bool {
    let expires = std::fs::read_to_string(expiry_file(certificate)).ok();
    let expires = expires.and_then(|text| text.trim().parse().ok());
    certificate.exists()
        && expires.is_some_and(|expires: i64| expires > now.plus_ms(RENEW_DAYS * DAY_MS).0)
}

fn named(common_name: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::OrganizationName, "Lethe development");
    name.push(DnType::CommonName, common_name);
    name
}

fn valid(params: &mut CertificateParams, now: UnixMs, days: i64) -> Result<(), CommandError> {
    // A day back, for clocks that are behind.
    let (year, month, day) = date(now.plus_ms(-DAY_MS))?;
    params.not_before = date_time_ymd(year, month, day);
    let (year, month, day) = date(now.plus_ms(days * DAY_MS))?;
    params.not_after = date_time_ymd(year, month, day);
    Ok(())
}

fn date(at: UnixMs) -> Result<(i32, u8, u8), CommandError> {
    let at = Timestamp::from_millisecond(at.0).map_err(|error| {
        CommandError::failed(format!("the clock is not usable: {error}"), "set it")
    })?;
    let date = at.to_zoned(TimeZone::UTC).date();
    let unsigned = |part: i8| u8::try_from(part).unwrap_or(1);
    Ok((
        i32::from(date.year()),
        unsigned(date.month()),
        unsigned(date.day()),
    ))
}

fn ca_params(now: UnixMs) -> Result<CertificateParams, CommandError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = named("Lethe development CA");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid(&mut params, now, CA_DAYS)?;
    Ok(params)
}

fn server_params(now: UnixMs) -> Result<CertificateParams, CommandError> {
    let names: Vec<String> = SERVER_NAMES.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).map_err(failed)?;
    params.distinguished_name = named("Lethe development server");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    valid(&mut params, now, SERVER_DAYS)?;
    Ok(params)
}
