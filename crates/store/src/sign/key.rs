//! Keys and signatures: Ed25519 (RFC 8032), strictly verified.

use std::fmt;
use std::str::FromStr;

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use base::digest::{from_hex, write_hex};

/// Prefix of public keys in text form.
const PUBLIC: &str = "ed25519:";

/// Start of the file of a secret key.
const SECRET: &str = "wdpipe-secret-key-1 ";

/// What a signature is for. A signature for another purpose over the same bytes is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// The signer vouches for records ([`super::Batch`]).
    Records,
    /// The signer checked something, and states the result.
    Attestation,
}

impl Purpose {
    /// Returns the signed digest: BLAKE3 of the bytes, with a derived key for the purpose.
    fn digest(self, bytes: &[u8]) -> [u8; 32] {
        let context = match self {
            Self::Records => "wdpipe 2026 record signature v1",
            Self::Attestation => "wdpipe 2026 receipt signature v1",
        };
        blake3::derive_key(context, bytes)
    }
}

/// Why text or bytes are not a public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAKey {
    /// The text has the wrong form.
    #[error("`{0}` is not a public key: `ed25519:` and 64 lower-case hexadecimal digits are expected")]
    Text(String),
    /// The bytes are not a point of the curve, or not its canonical encoding.
    #[error("this public key is invalid: check that it was copied correctly")]
    Invalid,
    /// A point of small order, for which anybody can forge signatures.
    #[error("this public key is weak: its signatures prove nothing")]
    Weak,
}

/// The public key of a signer. It is always a valid point of the curve, and never one of small order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Creates a key from its 32 bytes.
    ///
    /// # Errors
    /// If the bytes are not a point, not its canonical encoding, or a weak point.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, NotAKey> {
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| NotAKey::Invalid)?;
        if key.is_weak() {
            return Err(NotAKey::Weak);
        }
        // Otherwise a revoked key could come back under another text.
        if key.to_edwards().compress().to_bytes() != bytes {
            return Err(NotAKey::Invalid);
        }
        Ok(Self(bytes))
    }

    /// Returns the 32 bytes of the key.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Whether the owner of this key signed these bytes for this purpose.
    pub fn verify(&self, purpose: Purpose, bytes: &[u8], signature: &Signature) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(&signature.0);
        VerifyingKey::from_bytes(&self.0).is_ok_and(|key| key.verify_strict(&purpose.digest(bytes), &signature).is_ok())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PUBLIC)?;
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let bytes = text.strip_prefix(PUBLIC).and_then(from_hex);
        let shown = || text.chars().take(80).flat_map(char::escape_debug).collect();
        Self::from_bytes(bytes.ok_or_else(|| NotAKey::Text(shown()))?)
    }
}

/// A key is serialized as text in human-readable formats (TOML, JSON), and as its 32 bytes in other formats. It is checked
/// when it is read.
impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        if out.is_human_readable() { out.collect_str(self) } else { self.0.serialize(out) }
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let key = if input.is_human_readable() {
            String::deserialize(input)?.parse()
        } else {
            Self::from_bytes(<[u8; 32]>::deserialize(input)?)
        };
        key.map_err(de::Error::custom)
    }
}

/// A secret key for signing. It is never displayed, and is wiped from memory when it is dropped.
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// Generates a new key from the system's random bytes.
    ///
    /// # Errors
    /// If the system cannot provide them.
    pub fn generate() -> Result<Self, std::io::Error> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)?;
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    /// Returns the public key.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs bytes for a purpose; the same bytes always give the same signature.
    pub fn sign(&self, purpose: Purpose, bytes: &[u8]) -> Signature {
        Signature(self.0.sign(&purpose.digest(bytes)).to_bytes())
    }

    /// Returns the text of the key's file: `wdpipe-secret-key-1`, a space, the 32 bytes of RFC 8032's private key as
    /// 64 lower-case hexadecimal digits, and a line feed.
    pub(super) fn to_text(&self) -> String {
        let digits: String = self.0.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{SECRET}{digits}\n")
    }

    /// Parses the text of [`Self::to_text`]; the line feed can be missing.
    pub(super) fn from_text(text: &str) -> Option<Self> {
        let line = text.strip_suffix('\n').unwrap_or(text);
        let seed = from_hex(line.strip_prefix(SECRET)?)?;
        Some(Self(SigningKey::from_bytes(&seed)))
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.public())
    }
}

/// The text is not a signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a signature: 128 lower-case hexadecimal digits are expected")]
pub struct NotASignature;

/// An Ed25519 signature.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; 64]);

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({self})")
    }
}

impl FromStr for Signature {
    type Err = NotASignature;

    fn from_str(text: &str) -> Result<Self, NotASignature> {
        from_hex(text).map(Self).ok_or(NotASignature)
    }
}

/// Serialized as text in human-readable formats, otherwise as its 64 bytes (serde supports arrays of at most 32
/// bytes, so as two of those).
impl Serialize for Signature {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        if out.is_human_readable() {
            return out.collect_str(self);
        }
        let (mut halves, (start, end)) = ([[0; 32]; 2], self.0.split_at(32));
        halves[0].copy_from_slice(start);
        halves[1].copy_from_slice(end);
        halves.serialize(out)
    }
}

impl<'de> Deserialize<'de> for Signature {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        if input.is_human_readable() {
            return String::deserialize(input)?.parse().map_err(de::Error::custom);
        }
        let halves = <[[u8; 32]; 2]>::deserialize(input)?;
        let mut bytes = [0; 64];
        bytes.copy_from_slice(halves.as_flattened());
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(seed: &str) -> SecretKey {
        SecretKey::from_text(&format!("{SECRET}{seed}")).unwrap()
    }

    #[test]
    fn the_primitive_is_that_of_rfc_8032() {
        // RFC 8032, section 7.1, tests 1 to 3: private key, public key, message, signature.
        let vectors: [(&str, &str, &[u8], &str); 3] = [
            (
                "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
                b"",
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
            ),
            (
                "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
                &[0x72],
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
            ),
            (
                "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
                "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
                &[0xaf, 0x82],
                "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
            ),
        ];
        for (seed, public, message, signature) in vectors {
            let secret = secret(seed);
            assert_eq!(secret.public().to_string(), format!("ed25519:{public}"));
            assert_eq!(Signature(secret.0.sign(message).to_bytes()).to_string(), signature);
        }
    }

    #[test]
    fn a_signature_is_for_one_purpose_key_and_text() {
        let [secret, other] = [SecretKey::generate().unwrap(), SecretKey::generate().unwrap()];
        let signature = secret.sign(Purpose::Records, b"x");
        assert!(secret.public().verify(Purpose::Records, b"x", &signature));
        assert!(!secret.public().verify(Purpose::Attestation, b"x", &signature));
        assert!(!secret.public().verify(Purpose::Records, b"y", &signature));
        assert!(!other.public().verify(Purpose::Records, b"x", &signature));
    }

    #[test]
    fn signatures_stay_what_they_are() {
        // Computed by another implementation of BLAKE3 and Ed25519, in Python. Existing signatures must remain valid:
        // if this fails, the contexts must say v2.
        let secret = secret(&"07".repeat(32));
        let pinned =
            [Purpose::Records, Purpose::Attestation].map(|p| secret.sign(p, b"wdpipe").to_string()[..16].to_owned());
        assert_eq!(pinned, ["38c6b58187e11e70", "6f0adce7b0bdb354"]);
    }

    #[test]
    fn text_and_bytes_round_trip() {
        let secret = SecretKey::generate().unwrap();
        let (public, signature) = (secret.public(), secret.sign(Purpose::Attestation, b""));
        assert_eq!(public.to_string().parse(), Ok(public));
        assert_eq!(signature.to_string().parse(), Ok(signature));
        let json = serde_json::to_string(&(public, signature)).unwrap();
        assert_eq!(json, format!("[\"{public}\",\"{signature}\"]"));
        assert_eq!(serde_json::from_str::<(PublicKey, Signature)>(&json).unwrap(), (public, signature));
        for text in ["", "00", &"g".repeat(128), &"A".repeat(128), &"0".repeat(130)] {
            assert_eq!(text.parse::<Signature>(), Err(NotASignature), "{text}");
        }

        let text = secret.to_text();
        assert_eq!(SecretKey::from_text(&text).unwrap().public(), public);
        for bad in [&text[1..], &text[..text.len() - 2], &format!("{text}\n"), &text.to_uppercase(), ""] {
            assert!(SecretKey::from_text(bad).is_none(), "{bad:?}");
        }
        let digits = &text[SECRET.len()..text.len() - 1];
        assert!(!format!("{secret:?} {secret:#?}").contains(digits));
    }

    #[test]
    fn weak_and_invalid_keys_are_refused() {
        let (zeros, ones) = ("00".repeat(30), "ff".repeat(30));
        // The eight points of small order, and other encodings of them.
        let weak = [
            format!("01{zeros}00"),
            format!("01{zeros}80"),
            format!("ec{ones}7f"),
            format!("ec{ones}ff"),
            format!("ee{ones}7f"),
            format!("00{zeros}00"),
            format!("00{zeros}80"),
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a".to_owned(),
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa".to_owned(),
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05".to_owned(),
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85".to_owned(),
        ];
        for digits in weak {
            let found = format!("ed25519:{digits}").parse::<PublicKey>();
            assert!(matches!(found, Err(NotAKey::Weak | NotAKey::Invalid)), "{digits}: {found:?}");
        }
        // No point has y = 2. Both encodings of y = 3 decode, but only the reduced one is a key.
        let parse = |text: &str| text.parse::<PublicKey>();
        assert_eq!(parse(&format!("ed25519:02{zeros}00")), Err(NotAKey::Invalid));
        assert!(parse(&format!("ed25519:03{zeros}00")).is_ok());
        assert_eq!(parse(&format!("ed25519:f0{ones}7f")), Err(NotAKey::Invalid));
        for text in ["", &"00".repeat(32), "ed25519:", &format!("ed25519:{}", "AB".repeat(32)), "ed25519:é"] {
            assert!(matches!(parse(text), Err(NotAKey::Text(_))), "{text}");
        }
    }
}
