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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use rustls::pki_types::ServerName;
    use rustls::{ClientConfig, ClientConnection, ServerConnection};

    use super::*;

    fn file(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls").join(name)
    }

    /// Who shows the certificate of this name to a watcher, or none; what of a word comes through.
    fn heard(sender: Option<&str>, client_authority: Option<&str>) -> Result<String, rustls::Error> {
        let files = Files { certificate: file("server.pem"), key: file("server.key"), client_authority: client_authority.map(file) };
        let acceptor = acceptor(&files).unwrap_or_else(|failure| panic!("{failure:?}"));
        let mut roots = RootCertStore::empty();
        roots.add(certificates(&file("ca.pem")).unwrap().remove(0)).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
        let config = match sender {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let key = PrivateKeyDer::from_pem_file(file(&format!("{name}.key"))).unwrap();
                builder.with_client_auth_cert(certificates(&file(&format!("{name}.pem"))).unwrap(), key).unwrap()
            }
        };
        let mut client = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
        let mut server = ServerConnection::new(Arc::clone(acceptor.config())).unwrap();
        client.writer().write_all(b"down").unwrap();
        for _ in 0..8 {
            let (mut there, mut back) = (Vec::new(), Vec::new());
            client.write_tls(&mut there).unwrap();
            let mut rest = there.as_slice();
            while !rest.is_empty() && server.read_tls(&mut rest).unwrap() > 0 {
                server.process_new_packets()?;
            }
            server.write_tls(&mut back).unwrap();
            let mut rest = back.as_slice();
            while !rest.is_empty() && client.read_tls(&mut rest).unwrap() > 0 {
                client.process_new_packets()?;
            }
        }
        let mut word = [0; 4];
        server.reader().read_exact(&mut word).unwrap();
        Ok(String::from_utf8(word.to_vec()).unwrap())
    }

    #[test]
    fn only_who_shows_a_certificate_of_the_authority_is_heard_where_one_is_named() {
        assert_eq!(heard(None, None), Ok("down".to_owned()));
        assert_eq!(heard(Some("sender"), Some("ca.pem")), Ok("down".to_owned()));
        assert!(heard(None, Some("ca.pem")).is_err());
        assert!(heard(Some("stranger"), Some("ca.pem")).is_err());
    }

    #[test]
    fn files_that_are_no_certificates_are_refused_by_name() {
        for (certificate, key) in
            [("none.pem", "server.key"), ("server.key", "server.key"), ("server.pem", "server.pem"), ("server.pem", "sender.key")]
        {
            let Err(Failure::Input(problems)) = acceptor(&Files { certificate: file(certificate), key: file(key), client_authority: None })
            else {
                panic!("{certificate} and {key}")
            };
            assert_eq!(problems[0].code, "FD0842");
        }
    }
}
