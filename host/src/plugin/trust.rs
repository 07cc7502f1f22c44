//! Whom a component comes from: Ed25519 signatures by keys that lie on this machine, and digest pins.
//!
//! A signature stands beside the component, in `FILE.wasm.sig`: one line a key, `sluicegate-signature KEY-ID
//! SIGNATURE`, both in lower-case hexadecimal. What is signed is a fixed prefix and the component's SHA-256,
//! so that a signature made for anything else means nothing here. No service is asked.

use std::{
    fmt::Write as _,
    fs,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail, ensure};
use aws_lc_rs::{
    encoding::AsBigEndian as _,
    signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey},
};
use serde::{Deserialize, Serialize};

use crate::{
    config::Problems,
    digest::{hex, sha256, unhex},
    text::shown,
};

/// First word of each file, so that nobody takes one for another.
const PRIVATE: &str = "sluicegate-private-key";
const PUBLIC: &str = "sluicegate-public-key";
const SIGNATURE: &str = "sluicegate-signature";
/// What is signed begins with this.
const DOMAIN: &[u8] = b"sluicegate plugin signature 1\0";
/// Bytes that a file of keys or signatures has at most.
const MAX_FILE: u64 = 64 << 10;

/// Who must have signed a plugin: the section `[trust]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Files of public keys. Every plugin must be signed by one of them. Default none: a plugin need not be
    /// signed.
    pub require_signed_by: Vec<PathBuf>,
}

impl Settings {
    /// Reports what cannot be; `at` is the section's path.
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        let nameless = |path: &PathBuf| path.as_os_str().is_empty();
        if self.require_signed_by.iter().any(nameless) {
            problems.push(format!(
                "{at}.require_signed_by must name files of public keys, got an empty name"
            ));
        }
    }

    /// Reads the keys.
    ///
    /// # Errors
    /// Names the file that cannot be read or is no public key.
    pub fn signers(&self) -> anyhow::Result<Signers> {
        let keys = self
            .require_signed_by
            .iter()
            .map(|path| PublicKey::read(path));
        Ok(Signers(keys.collect::<anyhow::Result<_>>()?))
    }
}

/// The keys of which one must have signed a plugin; without any, none has to be signed.
#[derive(Clone, Debug, Default)]
pub struct Signers(Vec<PublicKey>);

impl Signers {
    /// Holds a component against the signatures that stand beside it. Returns the name of the key that
    /// signed it; none where no signature is asked for.
    ///
    /// # Errors
    /// When it is not signed, by none of the keys, or was altered after it was signed.
    pub fn check(&self, component: &Path, digest: &[u8; 32]) -> anyhow::Result<Option<String>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let path = beside(component);
        ensure!(
            path.exists(),
            "is not signed: there is no {}; `trust.require_signed_by` asks for a signature",
            path.display()
        );
        let signatures = signatures(&path)?;
        for key in &self.0 {
            if let Some((_, signature)) = signatures.iter().find(|(id, _)| *id == key.id) {
                ensure!(
                    key.fits(digest, signature),
                    "was altered after it was signed: the signature by key {} does not fit it",
                    key.id
                );
                return Ok(Some(key.id.clone()));
            }
        }
        let by: Vec<_> = signatures.iter().map(|(id, _)| id.as_str()).collect();
        bail!(
            "is signed by {} and by none of the keys in `trust.require_signed_by`",
            by.join(", ")
        )
    }
}

/// A public key, named by the first 16 digits of its SHA-256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    id: String,
    key: Vec<u8>,
}

impl PublicKey {
    fn new(key: &[u8]) -> Self {
        Self {
            id: hex(&sha256(&[key])[..8]),
            key: key.to_vec(),
        }
    }

    /// Reads a file that [`PrivateKey::generate`] has written.
    ///
    /// # Errors
    /// When it cannot be read, or is no public key.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = text(path)?;
        let key = text
            .trim()
            .strip_prefix(PUBLIC)
            .and_then(|key| unhex(key.trim()))
            .filter(|key| key.len() == 32)
            .with_context(|| format!("{} is no public key of a signer", path.display()))?;
        Ok(Self::new(&key))
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    fn fits(&self, digest: &[u8; 32], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.key)
            .verify(&signed(digest), signature)
            .is_ok()
    }
}

/// A key that signs.
pub struct PrivateKey(Ed25519KeyPair);

impl PrivateKey {
    /// Makes a new pair of keys: `NAME.key`, which only this user may read, and `NAME.pub`.
    ///
    /// # Errors
    /// When one of the files is there already, or cannot be written.
    pub fn generate(name: &Path) -> anyhow::Result<PublicKey> {
        let pair =
            Ed25519KeyPair::generate().map_err(|_| anyhow::anyhow!("failed to make a key"))?;
        let seed = pair
            .seed()
            .and_then(|seed| seed.as_be_bytes())
            .map_err(|_| anyhow::anyhow!("failed to read the new key"))?;
        let public = PublicKey::new(pair.public_key().as_ref());
        create(
            &with(name, "key"),
            &format!("{PRIVATE} {}\n", hex(seed.as_ref())),
            0o600,
        )?;
        create(
            &with(name, "pub"),
            &format!("{PUBLIC} {}\n", hex(&public.key)),
            0o644,
        )?;
        Ok(public)
    }

    /// Reads a file that [`PrivateKey::generate`] has written.
    ///
    /// # Errors
    /// When it cannot be read, or is no private key.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        text(path)?
            .trim()
            .strip_prefix(PRIVATE)
            .and_then(|seed| unhex(seed.trim()))
            .and_then(|seed| Ed25519KeyPair::from_seed_unchecked(&seed).ok())
            .map(Self)
            .with_context(|| format!("{} is no private key of a signer", path.display()))
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey::new(self.0.public_key().as_ref())
    }

    /// Signs a component: writes or completes the file beside it, in which other keys may have signed too.
    ///
    /// # Errors
    /// When the component cannot be read or the file not be written.
    pub fn sign(&self, component: &Path) -> anyhow::Result<PathBuf> {
        let wasm = fs::read(component)
            .with_context(|| format!("failed to read {}", component.display()))?;
        let path = beside(component);
        let (own, mut lines) = (self.public().id, String::new());
        let others = if path.exists() {
            signatures(&path)?
        } else {
            Vec::new()
        };
        let signature = self.0.sign(&signed(&sha256(&[&wasm])));
        let all = others
            .into_iter()
            .filter(|(id, _)| *id != own)
            .chain([(own.clone(), signature.as_ref().to_vec())]);
        for (id, signature) in all {
            writeln!(lines, "{SIGNATURE} {id} {}", hex(&signature))
                .expect("a String takes every write");
        }
        fs::write(&path, lines).with_context(|| format!("failed to write {}", path.display()))?;
        Ok(path)
    }
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// Whether a component is signed by this key; the name of the key.
///
/// # Errors
/// Says what is wrong.
pub fn verify(component: &Path, key: &Path) -> anyhow::Result<String> {
    let wasm =
        fs::read(component).with_context(|| format!("failed to read {}", component.display()))?;
    let key = PublicKey::read(key)?;
    let id = key.id.clone();
    Signers(vec![key])
        .check(component, &sha256(&[&wasm]))
        .with_context(|| format!("{}", component.display()))?;
    Ok(id)
}

/// Where the signatures of a component stand.
#[must_use]
pub fn beside(component: &Path) -> PathBuf {
    let mut name = component.as_os_str().to_owned();
    name.push(".sig");
    name.into()
}

fn signed(digest: &[u8; 32]) -> Vec<u8> {
    [DOMAIN, digest].concat()
}

/// Key and signature of each line.
fn signatures(path: &Path) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let text = text(path)?;
    let mut all = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let parts: Vec<_> = line.split_whitespace().collect();
        let (id, signature) = match parts[..] {
            [SIGNATURE, id, signature] => (id, unhex(signature)),
            _ => ("", None),
        };
        let signature = signature
            .filter(|signature| signature.len() == 64)
            .with_context(|| format!("{}:{number} is no signature", path.display()))?;
        all.push((shown(id), signature));
    }
    ensure!(!all.is_empty(), "{} has no signature in it", path.display());
    Ok(all)
}

fn text(path: &Path) -> anyhow::Result<String> {
    let name = || format!("failed to read {}", path.display());
    let size = fs::metadata(path).with_context(name)?.len();
    ensure!(
        size <= MAX_FILE,
        "{} has {size} bytes, keys and signatures have at most {MAX_FILE}",
        path.display()
    );
    fs::read_to_string(path).with_context(name)
}

fn with(name: &Path, ending: &str) -> PathBuf {
    let mut path = name.as_os_str().to_owned();
    path.push(".");
    path.push(ending);
    path.into()
}

fn create(path: &Path, text: &str, mode: u32) -> anyhow::Result<()> {
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(mode).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("failed to write {}", path.display()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    struct Desk(tempfile::TempDir);

    impl Desk {
        /// A component, and the keys `ours` and `theirs`.
        fn new() -> Self {
            let desk = Self(tempfile::tempdir().unwrap());
            fs::write(desk.at("p.wasm"), "a component").unwrap();
            PrivateKey::generate(&desk.at("ours")).unwrap();
            PrivateKey::generate(&desk.at("theirs")).unwrap();
            desk
        }

        fn at(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn sign(&self, key: &str) {
            let key = PrivateKey::read(&self.at(key)).unwrap();
            key.sign(&self.at("p.wasm")).unwrap();
        }

        fn verify(&self, key: &str) -> Result<String, String> {
            verify(&self.at("p.wasm"), &self.at(key))
                .map_err(|error| error.root_cause().to_string())
        }
    }

    #[test]
    fn what_was_signed_is_known_by_its_key_and_no_other() {
        let desk = Desk::new();
        assert!(
            desk.verify("ours.pub")
                .unwrap_err()
                .starts_with("is not signed: ")
        );
        desk.sign("theirs.key");
        assert!(
            desk.verify("ours.pub")
                .unwrap_err()
                .contains("by none of the keys")
        );
        desk.sign("ours.key");
        let ours = PublicKey::read(&desk.at("ours.pub")).unwrap();
        assert_eq!(desk.verify("ours.pub").unwrap(), ours.id());
        assert!(desk.verify("theirs.pub").is_ok(), "both have signed");
    }

    #[test]
    fn what_was_altered_afterwards_is_refused() {
        let desk = Desk::new();
        desk.sign("ours.key");
        fs::write(desk.at("p.wasm"), "another component").unwrap();
        assert!(
            desk.verify("ours.pub")
                .unwrap_err()
                .starts_with("was altered after")
        );
        desk.sign("ours.key");
        assert!(
            desk.verify("ours.pub").is_ok(),
            "signing again replaces the line"
        );
    }

    #[test]
    fn a_signature_under_anothers_name_does_not_count() {
        let desk = Desk::new();
        desk.sign("theirs.key");
        let theirs = fs::read_to_string(desk.at("p.wasm.sig")).unwrap();
        let id = |name: &str| PublicKey::read(&desk.at(name)).unwrap().id().to_owned();
        let forged = theirs.replace(&id("theirs.pub"), &id("ours.pub"));
        fs::write(desk.at("p.wasm.sig"), forged).unwrap();
        assert!(
            desk.verify("ours.pub")
                .unwrap_err()
                .starts_with("was altered after")
        );
    }

    #[test]
    fn keys_are_not_overwritten_and_the_private_one_is_closed_to_others() {
        let desk = Desk::new();
        assert!(PrivateKey::generate(&desk.at("ours")).is_err());
        assert_eq!(
            fs::metadata(desk.at("ours.key")).unwrap().mode() & 0o777,
            0o600
        );
        assert!(
            PublicKey::read(&desk.at("ours.key")).is_err(),
            "one is not the other"
        );
        assert!(PrivateKey::read(&desk.at("ours.pub")).is_err());
    }

    #[test]
    fn damaged_signatures_are_named_by_file_and_line() {
        let desk = Desk::new();
        for text in [
            "",
            "sluicegate-signature 00 zz\n",
            "hello\n",
            "sluicegate-signature a b c\n",
        ] {
            fs::write(desk.at("p.wasm.sig"), text).unwrap();
            let error = desk.verify("ours.pub").unwrap_err();
            assert!(error.contains("p.wasm.sig"), "{error}");
        }
        fs::write(desk.at("p.wasm.sig"), vec![b'a'; 1 << 20]).unwrap();
        assert!(desk.verify("ours.pub").unwrap_err().contains("at most"));
    }
}
