//! TLS for webhooks: the watcher's certificate, and the authority that must have signed that of whoever sends.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use firedrill_core::problem::Problem;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use crate::failure::Failure;

/// The files, as PEM.
#[derive(Clone, Debug)]
pub struct Files {
    /// The watcher's certificate, and those that lead from it to its authority.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authority of those who may send; `None`: certificates are not asked for.
    pub client_authority: Option<PathBuf>,
}

/// What takes connections by these files.
///
/// # Errors
/// A file cannot be read, holds no certificate or key, or they do not belong together.
pub fn acceptor(files: &Files) -> Result<TlsAcceptor, Failure> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let chain = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_reader(&mut reader(&files.key)?)
        .map_err(|error| wrong(&files.key, &format!("there is no private key in it: {error}")))?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(&files.certificate, &error.to_string()))?;
    let builder = match &files.client_authority {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(file)? {
                roots.add(certificate).map_err(|error| wrong(file, &format!("it is no authority: {error}")))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.map_err(|error| wrong(file, &error.to_string()))?)
        }
    };
    let mut config = builder
        .with_single_cert(chain, key)
        .map_err(|error| wrong(&files.certificate, &format!("it cannot be used with its key: {error}")))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_reader_iter(&mut reader(file)?).collect();
    let certificates = read.map_err(|error| wrong(file, &error.to_string()))?;
    if certificates.is_empty() {
        return Err(wrong(file, "there is no certificate in it"));
    }
    Ok(certificates)
}

fn reader(file: &Path) -> Result<io::BufReader<File>, Failure> {
    File::open(file).map(io::BufReader::new).map_err(|error| wrong(file, &format!("it cannot be read: {error}")))
}

fn wrong(file: &Path, message: &str) -> Failure {
    vec![
        Problem::in_file("FD0842", &file.display().to_string(), message)
            .remedy("name PEM files: `--tls-cert` with `--tls-key`, and `--client-ca`"),
    ]
    .into()
}
