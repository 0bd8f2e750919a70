//! Checkpoints: the size and root of a tree in a text that is signed (C2SP tlog-checkpoint, signed-note).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use super::merkle::Hash;

/// Signature type of Ed25519 in a key's name (C2SP signed-note).
const ED25519_TYPE: u8 = 1;

/// What a checkpoint says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log it is of.
    pub origin: String,
    pub size: u64,
    pub root: Hash,
}

/// A key that signs under a name.
pub struct Signer {
    pair: Ed25519KeyPair,
}

/// The public half of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verifier {
    name: String,
    key: Vec<u8>,
}

impl Signer {
    /// A new key, as it is kept (PKCS #8).
    #[must_use]
    pub fn generate() -> Option<Vec<u8>> {
        let document = Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()).ok()?;
        Some(document.as_ref().to_vec())
    }

    #[must_use]
    pub fn from_kept(bytes: &[u8]) -> Option<Self> {
        Ed25519KeyPair::from_pkcs8(bytes).ok().map(|pair| Self { pair })
    }

    #[must_use]
    pub fn verifier(&self, name: &str) -> Verifier {
        Verifier { name: name.to_owned(), key: self.pair.public_key().as_ref().to_vec() }
    }

    /// Eight hexadecimal digits that tell this key from others.
    #[must_use]
    pub fn short_id(&self) -> String {
        let digest = ring::digest::digest(&ring::digest::SHA256, self.pair.public_key().as_ref());
        digest.as_ref()[..4].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The checkpoint's text with its signature.
    #[must_use]
    pub fn sign(&self, checkpoint: &Checkpoint) -> String {
        let text = checkpoint.text();
        let mut signature = self.verifier(&checkpoint.origin).key_hash().to_vec();
        signature.extend_from_slice(self.pair.sign(text.as_bytes()).as_ref());
        format!("{text}\n\u{2014} {} {}\n", checkpoint.origin, STANDARD.encode(signature))
    }
}

impl Checkpoint {
    fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root))
    }
}

impl Verifier {
    /// As it is published: `NAME+HASH+KEY`.
    #[must_use]
    pub fn published(&self) -> String {
        let hash: String = self.key_hash().iter().map(|byte| format!("{byte:02x}")).collect();
        let mut typed = vec![ED25519_TYPE];
        typed.extend_from_slice(&self.key);
        format!("{}+{hash}+{}", self.name, STANDARD.encode(typed))
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (name, rest) = text.trim().split_once('+')?;
        let (hash, key) = rest.split_once('+')?;
        let typed = STANDARD.decode(key).ok()?;
        let (kind, key) = typed.split_first()?;
        let verifier = Self { name: name.to_owned(), key: key.to_vec() };
        let own: String = verifier.key_hash().iter().map(|byte| format!("{byte:02x}")).collect();
        (*kind == ED25519_TYPE && own == hash && verifier.key.len() == 32).then_some(verifier)
    }

    fn key_hash(&self) -> [u8; 4] {
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        context.update(self.name.as_bytes());
        context.update(&[b'\n', ED25519_TYPE]);
        context.update(&self.key);
        let mut hash = [0; 4];
        hash.copy_from_slice(&context.finish().as_ref()[..4]);
        hash
    }

    /// The checkpoint in a signed text; `None` where it is not one that this key signed.
    #[must_use]
    pub fn open(&self, signed: &str) -> Option<Checkpoint> {
        let (text, signatures) = signed.split_once("\n\n")?;
        let text = format!("{text}\n");
        let ours = |line: &str| {
            let (name, signature) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
            let signature = STANDARD.decode(signature).ok()?;
            let (hash, signature) = signature.split_at_checked(4)?;
            let matches = name == self.name && hash == self.key_hash();
            let key = UnparsedPublicKey::new(&ED25519, &self.key);
            (matches && key.verify(text.as_bytes(), signature).is_ok()).then_some(())
        };
        signatures.lines().find_map(ours)?;
        let mut lines = text.lines();
        let (origin, size, root) = (lines.next()?, lines.next()?, lines.next()?);
        let root: Hash = STANDARD.decode(root).ok()?.try_into().ok()?;
        // A number that is written in another way would be another text.
        let size = size.parse().ok().filter(|number: &u64| number.to_string() == size)?;
        (origin == self.name).then(|| Checkpoint { origin: origin.to_owned(), size, root })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_is_opened_by_its_own_key_alone() {
        let signer = Signer::from_kept(&Signer::generate().unwrap()).unwrap();
        let other = Signer::from_kept(&Signer::generate().unwrap()).unwrap();
        let checkpoint = Checkpoint { origin: "renkei/1/default".to_owned(), size: 7, root: [3; 32] };
        let signed = signer.sign(&checkpoint);
        let verifier = Verifier::parse(&signer.verifier("renkei/1/default").published()).unwrap();
        assert_eq!(verifier.open(&signed), Some(checkpoint.clone()));
        assert_eq!(other.verifier("renkei/1/default").open(&signed), None);
        assert_eq!(signer.verifier("renkei/1/koto").open(&signed), None, "a key signs for one log");
        for (from, to) in [("\n7\n", "\n8\n"), ("\n7\n", "\n07\n"), ("default\n7", "koto\n7"), ("AwMD", "BAMD")] {
            assert_eq!(verifier.open(&signed.replacen(from, to, 1)), None, "{from}");
        }
        assert!(Verifier::parse("renkei/1/default+00000000+AQ==").is_none());
    }
}
