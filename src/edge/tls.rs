//! TLS 1.2 and 1.3 with certificates that are replaced without a restart.
//!
//! The provider is named: two providers in one build make rustls's default panic.

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use zeroize::Zeroizing;

/// Where the certificate chain and its key are, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, the server's certificate first.
    pub cert: PathBuf,
    /// The key.
    pub key: PathBuf,
}

/// Why a certificate can't be served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file can't be read.
    #[error("tls: reading {}: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file holds no certificate or key, or a broken one.
    #[error("tls: {} holds no valid PEM {what}: {reason}", path.display())]
    NotPem {
        /// Which.
        path: PathBuf,
        /// What it should hold.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// Key and certificate don't go together, or the key is of a kind that can't sign.
    #[error("tls: {} and {} can't be served together: {reason}", cert.display(), key.display())]
    Unusable {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// Why.
        reason: String,
    },
    /// The TLS library refuses the configuration.
    #[error("tls: {0}")]
    Refused(#[from] rustls::Error),
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// A certificate that follows its files.
#[derive(Debug)]
pub struct ReloadingCertificate {
    files: CertificateFiles,
    served: ArcSwap<CertifiedKey>,
    /// What was tried last, good or bad, so that a bad pair is reported once.
    tried: Mutex<[u8; 32]>,
}

impl ReloadingCertificate {
    /// Loads the pair.
    ///
    /// # Errors
    /// [`TlsError`], naming the file.
    pub fn load(files: CertificateFiles) -> Result<Arc<Self>, TlsError> {
        let pair = Pair::read(&files)?;
        Ok(Arc::new(Self {
            served: ArcSwap::from_pointee(pair.certified(&files)?),
            tried: Mutex::new(pair.digest()),
            files,
        }))
    }

    /// Looks at the files again; says whether another pair is served now.
    ///
    /// # Errors
    /// [`TlsError`] when the files changed into something that can't be served: the old pair stays.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let pair = Pair::read(&self.files)?;
        let digest = pair.digest();
        {
            let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
            if *tried == digest {
                return Ok(false);
            }
            *tried = digest;
        }
        self.served.store(Arc::new(pair.certified(&self.files)?));
        Ok(true)
    }

    /// Looks at the files again and again, until dropped.
    pub async fn follow(self: Arc<Self>, every: Duration) -> std::convert::Infallible {
        let mut unreadable = false;
        loop {
            tokio::time::sleep(every).await;
            let this = Arc::clone(&self);
            // Only a runtime that shuts down drops the task; then this one is dropped too.
            let Ok(outcome) = tokio::task::spawn_blocking(move || this.reload()).await else {
                continue;
            };
            match &outcome {
                Ok(true) => {
                    tracing::info!(cert = %self.files.cert.display(), "certificate reloaded")
                }
                Ok(false) => {}
                // The files may be away for longer; the other errors come once a pair.
                Err(TlsError::Unreadable { .. }) if unreadable => {}
                Err(error) => {
                    tracing::error!(%error, "certificate kept: the new one can't be served")
                }
            }
            unreadable = matches!(outcome, Err(TlsError::Unreadable { .. }));
        }
    }

    /// What a listener needs.
    ///
    /// # Errors
    /// [`TlsError::Refused`] when the provider lacks what TLS 1.2 or 1.3 needs.
    pub fn server_config(self: &Arc<Self>) -> Result<Arc<ServerConfig>, TlsError> {
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl ResolvesServerCert for ReloadingCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.served.load_full())
    }
}

struct Pair {
    cert: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

impl Pair {
    fn read(files: &CertificateFiles) -> Result<Self, TlsError> {
        let read = |path: &Path| {
            std::fs::read(path).map_err(|source| TlsError::Unreadable {
                path: path.to_owned(),
                source,
            })
        };
        Ok(Self {
            cert: read(&files.cert)?,
            key: Zeroizing::new(read(&files.key)?),
        })
    }

    fn digest(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update((self.cert.len() as u64).to_be_bytes());
        hasher.update(&self.cert);
        hasher.update(&self.key[..]);
        hasher.finalize().into()
    }

    fn certified(&self, files: &CertificateFiles) -> Result<CertifiedKey, TlsError> {
        let not_pem = |path: &Path, what, reason: String| TlsError::NotPem {
            path: path.to_owned(),
            what,
            reason,
        };
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&self.cert)
            .collect::<Result<_, _>>()
            .map_err(|e| not_pem(&files.cert, "certificate", e.to_string()))?;
        if chain.is_empty() {
            return Err(not_pem(&files.cert, "certificate", "none found".into()));
        }
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|e| not_pem(&files.key, "private key", e.to_string()))?;
        CertifiedKey::from_der(chain, key, &provider()).map_err(|e| TlsError::Unusable {
            cert: files.cert.clone(),
            key: files.key.clone(),
            reason: e.to_string(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_pair(dir: &Path, name: &str) -> CertificateFiles {
        let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        let files = CertificateFiles {
            cert: dir.join("cert.pem"),
            key: dir.join("key.pem"),
        };
        std::fs::write(&files.cert, made.cert.pem()).unwrap();
        std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        files
    }

    #[test]
    fn changed_pair_is_served_and_a_bad_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let files = write_pair(dir.path(), "one.example");
        let certificate = ReloadingCertificate::load(files.clone()).unwrap();
        let first = certificate.served.load().cert.clone();
        assert!(!certificate.reload().unwrap());

        let old_key = std::fs::read(&files.key).unwrap();
        write_pair(dir.path(), "two.example");
        let new_key = std::fs::read(&files.key).unwrap();
        std::fs::write(&files.key, old_key).unwrap();
        let refused = certificate.reload().unwrap_err();
        assert!(matches!(refused, TlsError::Unusable { .. }), "{refused}");
        assert_eq!(certificate.served.load().cert, first);
        assert!(!certificate.reload().unwrap(), "reported once");

        std::fs::write(&files.key, new_key).unwrap();
        assert!(certificate.reload().unwrap());
        assert_ne!(certificate.served.load().cert, first);
    }

    #[test]
    fn errors_name_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let files = write_pair(dir.path(), "one.example");
        let error = |files: &CertificateFiles| {
            ReloadingCertificate::load(files.clone())
                .unwrap_err()
                .to_string()
        };
        std::fs::write(&files.key, "not a key").unwrap();
        assert!(error(&files).contains("key.pem"), "{}", error(&files));
        std::fs::write(&files.cert, "").unwrap();
        assert!(error(&files).contains("cert.pem"), "{}", error(&files));
        std::fs::remove_file(&files.cert).unwrap();
        assert!(error(&files).contains("reading"), "{}", error(&files));
    }
}
