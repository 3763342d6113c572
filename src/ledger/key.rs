//! Keys by which entries are signed: ed25519, as `openssl genpkey -algorithm ed25519` makes them.

use std::fmt;

use ed25519_dalek::pkcs8::{DecodePrivateKey, DecodePublicKey};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

/// What stands before every key and signature.
const KIND: &str = "ed25519:";

/// Whose entries these are: the public part of a key, `ed25519:` and 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PublicKey(String);

/// A text is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is no private key.
    #[error("it holds no ed25519 private key in PEM (PKCS #8)")]
    NotPrivate,
    /// It is no public key.
    #[error("it is no ed25519 public key: `ed25519:` and 64 hexadecimal digits, or PEM")]
    NotPublic,
}

/// Signs entries.
#[derive(Clone)]
pub struct Key(SigningKey);

impl Key {
    /// Reads a private key in PEM (PKCS #8), as `openssl genpkey -algorithm ed25519` writes it.
    ///
    /// # Errors
    /// It is none.
    pub fn read(pem: &str) -> Result<Self, KeyError> {
        SigningKey::from_pkcs8_pem(pem.trim()).map(Self).map_err(|_| KeyError::NotPrivate)
    }

    /// The public part.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(format!("{KIND}{}", hex(self.0.verifying_key().as_bytes())))
    }

    /// The signature of a text.
    #[must_use]
    pub fn sign(&self, text: &str) -> String {
        format!("{KIND}{}", hex(&self.0.sign(text.as_bytes()).to_bytes()))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.public())
    }
}

impl PublicKey {
    /// Reads `ed25519:…`, or PEM as `openssl pkey -pubout` writes it.
    ///
    /// # Errors
    /// It is neither.
    pub fn read(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        if let Ok(key) = VerifyingKey::from_public_key_pem(text) {
            return Ok(Self(format!("{KIND}{}", hex(key.as_bytes()))));
        }
        let key = Self(text.to_ascii_lowercase());
        key.verifying().map(|_| key).ok_or(KeyError::NotPublic)
    }

    /// Whether a signature of a text was made by the private part.
    #[must_use]
    pub fn verifies(&self, text: &str, signature: &str) -> bool {
        let bytes = signature.strip_prefix(KIND).and_then(unhex::<64>);
        let (Some(key), Some(bytes)) = (self.verifying(), bytes) else { return false };
        key.verify_strict(text.as_bytes(), &Signature::from_bytes(&bytes)).is_ok()
    }

    fn verifying(&self) -> Option<VerifyingKey> {
        VerifyingKey::from_bytes(&unhex::<32>(self.0.strip_prefix(KIND)?)?).ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; N];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * index..2 * index + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Made by `openssl genpkey -algorithm ed25519` for these tests, and used nowhere else.
    pub(crate) const PRIVATE: &str = include_str!("test-key.pem");
    const PUBLIC: &str = include_str!("test-key.pub.pem");

    #[test]
    fn keys_are_those_of_openssl() {
        let key = Key::read(PRIVATE).unwrap();
        assert_eq!(PublicKey::read(PUBLIC).unwrap(), key.public());
        assert_eq!(PublicKey::read(&key.public().to_string()).unwrap(), key.public());
        let signature = key.sign("text");
        assert!(key.public().verifies("text", &signature));
        assert!(!key.public().verifies("texts", &signature));
        assert!(!key.public().verifies("text", &signature.replace("ed25519:", "ed25519:0")));
    }

    #[test]
    fn what_is_no_key_is_none() {
        assert_eq!(Key::read(PUBLIC).unwrap_err(), KeyError::NotPrivate);
        assert_eq!(Key::read("").unwrap_err(), KeyError::NotPrivate);
        for text in ["", "ed25519:", "ed25519:00", &format!("ed25519:{}", "zz".repeat(32)), PRIVATE] {
            assert_eq!(PublicKey::read(text).unwrap_err(), KeyError::NotPublic, "{text}");
        }
        assert_eq!(format!("{:?}", Key::read(PRIVATE).unwrap()).len(), "Key(ed25519:)".len() + 64, "the private part is not shown");
    }
}
