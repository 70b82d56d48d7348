//! `dev.json`: what a development gateway is reached with (design §6).

use super::error::CommandError;
use super::files::write_private;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::path::Path;
use zeroize::Zeroizing;

const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The file's content.
#[derive(Serialize, Deserialize)]
pub(super) struct DevFile {
    pub(super) s3_endpoint: String,
    pub(super) admin_endpoint: String,
    #[serde(serialize_with = "secret_out", deserialize_with = "secret_in")]
    pub(super) admin_token: Zeroizing<String>,
    pub(super) ca_cert: String,
    pub(super) tenants: Vec<DevTenant>,
}

/// A demo tenant with its credential.
#[derive(Serialize, Deserialize)]
pub(super) struct DevTenant {
    /// Its name.
    pub(super) id: String,
    pub(super) region: String,
    pub(super) access_key_id: String,
    #[serde(serialize_with = "secret_out", deserialize_with = "secret_in")]
    pub(super) secret_access_key: Zeroizing<String>,
}

fn secret_out<S: Serializer>(secret: &Zeroizing<String>, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(secret)
}

fn secret_in<'de, D: Deserializer<'de>>(from: D) -> Result<Zeroizing<String>, D::Error> {
    String::deserialize(from).map(Zeroizing::new)
}

/// Random letters and digits, five bits each.
pub(super) fn random_text(
    prefix: &str,
    characters: usize,
) -> Result<Zeroizing<String>, CommandError> {
    let mut random = Zeroizing::new(vec![0; characters]);
    getrandom::fill(&mut random)
        .map_err(|_| CommandError::Failed("the system has no randomness".to_owned()))?;
    let mut text = Zeroizing::new(String::with_capacity(prefix.len() + characters));
    text.push_str(prefix);
    for byte in random.iter() {
        text.push(char::from(ALPHABET[usize::from(byte & 31)]));
    }
    Ok(text)
}

impl DevTenant {
    /// A tenant with a new credential.
    pub(super) fn draw(id: &str, region: &str) -> Result<Self, CommandError> {
        Ok(Self {
            id: id.to_owned(),
            region: region.to_owned(),
            access_key_id: random_text("LETHE", 15)?.as_str().to_owned(),
            secret_access_key: random_text("", 40)?,
        })
    }

    /// The same tenant with its credential, for the file's next form.
    pub(super) fn clone_whole(&self) -> Self {
        Self {
            id: self.id.clone(),
            region: self.region.clone(),
            access_key_id: self.access_key_id.clone(),
            secret_access_key: self.secret_access_key.clone(),
        }
    }
}

impl DevFile {
    /// The file, or nothing where there is none.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, CommandError> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => Zeroizing::new(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(CommandError::file(path, "reading", &error)),
        };
        let read = serde_json::from_str(&text).map_err(|error| {
            CommandError::failed(
                format!("{}: {error}", path.display()),
                "restore it, or remove the whole development directory and start again",
            )
        });
        read.map(Some)
    }

    /// Replaces the file.
    pub(super) fn write(&self, path: &Path) -> Result<(), CommandError> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| CommandError::Failed(format!("{}: {error}", path.display())))?;
        write_private(path, Zeroizing::new(text + "\n").as_bytes())
    }
}
