//! The keys of persons. What is personal is sealed with the key of the person it belongs to before it is
//! written anywhere; whoever destroys the key has erased it, wherever copies of the sealed bytes lie.
//!
//! A person is an entity that has personal values. The keys lie in one file of slots, which goes into no
//! backup. Slots are filled with random keys well ahead and synced, so a new person costs no sync of their
//! own; which slot is whose is written with the first value that it seals.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use parking_lot::{Mutex, RwLock};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};

use crate::Error;

/// The slot of a key; dense from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyNo(pub u32);

/// An entity of a tenant, both by number.
pub type Person = (u32, u32);

/// Most keys that are ever given in one data folder.
pub const PERSON_KEYS_MAX: u32 = 1 << 26;
/// Name of the file, beside the other secrets.
pub const PERSON_KEYS: &str = "persons.keys";

const HEADER: &[u8; SLOT_BYTES] =
    b"renkei keys of persons 1\n\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
/// No slot lies across two sectors of a disk.
const SLOT_BYTES: usize = 64;
const KEY_BYTES: usize = 32;
/// Keys made ready with one sync.
const FILLED_AT_ONCE: u32 = 4_096;

/// All keys of a data folder. Which key is whose only the commit thread asks; anybody unseals.
#[derive(Debug, Default)]
pub struct PersonKeys {
    /// `None`: nothing can be sealed, and nothing was.
    path: Option<PathBuf>,
    file: RwLock<Option<File>>,
    given: Mutex<Given>,
}

#[derive(Debug, Default)]
struct Given {
    of: HashMap<Person, KeyNo>,
    /// To be destroyed: that they are is durable already.
    doomed: Vec<KeyNo>,
    /// The last slot that was given.
    last: u32,
}

impl PersonKeys {
    /// The keys in a file. It need not be there: it comes with the first person.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let keys = Self { path: Some(path.to_owned()), ..Self::default() };
        match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => {
                let mut header = [0; SLOT_BYTES];
                let read = file.read_exact_at(&mut header, 0);
                if read.is_err() || header != *HEADER {
                    return Err(keys.damaged("it does not begin as a file of keys does"));
                }
                *keys.file.write() = Some(file);
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io("cannot open", path.display().to_string())(error)),
        }
        Ok(keys)
    }

    /// Takes in whose a key is, as it was written.
    pub fn learn(&self, person: Person, key: KeyNo) {
        let mut given = self.given.lock();
        given.last = given.last.max(key.0);
        given.of.insert(person, key);
    }

    /// Takes in that a key was destroyed, and sees to it that it is.
    pub fn learn_destroyed(&self, key: KeyNo) -> Result<(), Error> {
        let mut given = self.given.lock();
        given.last = given.last.max(key.0);
        given.of.retain(|_, own| *own != key);
        drop(given);
        self.destroy(key)
    }

    /// How many persons have a key.
    #[must_use]
    pub fn persons(&self) -> usize {
        self.given.lock().of.len()
    }

    #[must_use]
    pub fn find(&self, person: Person) -> Option<KeyNo> {
        self.given.lock().of.get(&person).copied()
    }

    /// The key of a person, a new one if they have none. It is durable when this returns.
    pub fn give(&self, person: Person) -> Result<KeyNo, Error> {
        let mut given = self.given.lock();
        // One that a copy of the file has lost seals nothing any more.
        if let Some(key) = given.of.get(&person).copied()
            && self.key(key)?.is_some()
        {
            return Ok(key);
        }
        loop {
            if given.last >= PERSON_KEYS_MAX {
                return Err(Error::TooManyPersons);
            }
            given.last += 1;
            if self.filled()? <= given.last {
                self.fill(given.last)?;
            }
            // One that a crash tore while it was being written is passed over.
            if matches!(self.key(KeyNo(given.last)), Ok(Some(_))) {
                break;
            }
        }
        let key = KeyNo(given.last);
        given.of.insert(person, key);
        Ok(key)
    }

    /// From here on the person has no key: the next value gets another. What is sealed can still be read.
    pub fn part(&self, person: Person) -> Option<KeyNo> {
        self.given.lock().of.remove(&person)
    }

    /// Notes that what this key sealed is to be erased.
    pub fn doom(&self, key: KeyNo) {
        self.given.lock().doomed.push(key);
    }

    /// Destroys every key that was doomed. One that cannot be destroyed stays doomed.
    pub fn destroy_doomed(&self) -> Result<(), Error> {
        let mut given = self.given.lock();
        while let Some(key) = given.doomed.last() {
            self.destroy(*key)?;
            given.doomed.pop();
        }
        Ok(())
    }

    /// What this key sealed is erased when this returns.
    pub fn destroy(&self, key: KeyNo) -> Result<(), Error> {
        let file = self.file.read();
        let Some(file) = file.as_ref() else { return Ok(()) };
        let is_there = file.metadata().map_err(self.io("cannot look at"))?.len() > offset(key);
        if is_there && self.slot(file, key)? != [0; SLOT_BYTES] {
            file.write_all_at(&[0; SLOT_BYTES], offset(key)).map_err(self.io("cannot overwrite a key in"))?;
            file.sync_data().map_err(self.io("cannot sync"))?;
        }
        Ok(())
    }

    /// Seals content; `header` stays in the clear and cannot be exchanged.
    pub fn seal(&self, key: KeyNo, header: &[u8], mut content: Vec<u8>) -> Result<Vec<u8>, Error> {
        let Some(secret) = self.key(key)? else { return Err(self.damaged("a key is gone that was just given")) };
        let nonce = random::<NONCE_LEN>()?;
        let tag = cipher(&secret)?
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(header), &mut content)
            .map_err(|_| undecodable("a value is too large to be sealed"))?;
        let mut sealed = Vec::with_capacity(NONCE_LEN + content.len() + tag.as_ref().len());
        sealed.extend_from_slice(&nonce);
        sealed.append(&mut content);
        sealed.extend_from_slice(tag.as_ref());
        Ok(sealed)
    }

    /// What was sealed; `None` where the key is gone.
    pub fn unseal(&self, key: KeyNo, header: &[u8], sealed: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let Some(secret) = self.key(key)? else { return Ok(None) };
        let (nonce, rest) =
            sealed.split_first_chunk::<NONCE_LEN>().ok_or_else(|| undecodable("a sealed value ends too early"))?;
        let mut content = rest.to_vec();
        let opened = cipher(&secret)?
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(header), &mut content)
            .map_err(|_| undecodable("a sealed value does not fit the key of its person; is persons.keys another's?"))?
            .len();
        content.truncate(opened);
        Ok(Some(content))
    }

    fn key(&self, key: KeyNo) -> Result<Option<[u8; KEY_BYTES]>, Error> {
        let file = self.file.read();
        let Some(file) = file.as_ref() else { return Ok(None) };
        let slot = self.slot(file, key)?;
        if slot == [0; SLOT_BYTES] {
            return Ok(None);
        }
        let (secret, rest) = slot.split_first_chunk::<KEY_BYTES>().ok_or_else(|| self.damaged("a slot is short"))?;
        if rest[..4] != crc32c::crc32c(secret).to_le_bytes() {
            return Err(self.damaged(&format!("key {} does not match its checksum", key.0)));
        }
        Ok(Some(*secret))
    }

    /// What stands in a slot; nothing beyond the end of the file.
    fn slot(&self, file: &File, key: KeyNo) -> Result<[u8; SLOT_BYTES], Error> {
        let mut slot = [0; SLOT_BYTES];
        match file.read_exact_at(&mut slot, offset(key)) {
            Ok(()) => Ok(slot),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok([0; SLOT_BYTES]),
            Err(error) => Err(self.io("cannot read")(error)),
        }
    }

    /// The first slot that was not filled yet.
    fn filled(&self) -> Result<u32, Error> {
        let file = self.file.read();
        let Some(file) = file.as_ref() else { return Ok(0) };
        let len = file.metadata().map_err(self.io("cannot look at"))?.len();
        Ok(u32::try_from(len / SLOT_BYTES as u64).unwrap_or(u32::MAX))
    }

    /// Makes keys ready from `first` on. Slots before it that were never filled stay empty: a copy of the
    /// file that is older than the data has lost them.
    fn fill(&self, first: u32) -> Result<(), Error> {
        let Some(path) = &self.path else { return Err(self.damaged("this store has no place for keys")) };
        let mut file = self.file.write();
        if file.is_none() {
            *file = Some(create(path).map_err(self.io("cannot make"))?);
        }
        let Some(file) = file.as_ref() else { return Ok(()) };
        let mut slots = vec![0; FILLED_AT_ONCE as usize * SLOT_BYTES];
        for slot in slots.chunks_exact_mut(SLOT_BYTES) {
            let secret = random::<KEY_BYTES>()?;
            slot[..KEY_BYTES].copy_from_slice(&secret);
            slot[KEY_BYTES..KEY_BYTES + 4].copy_from_slice(&crc32c::crc32c(&secret).to_le_bytes());
        }
        let written = file.write_all_at(&slots, offset(KeyNo(first))).and_then(|()| file.sync_all());
        written.map_err(self.io("cannot write"))
    }

    fn io(&self, what: &'static str) -> impl FnOnce(std::io::Error) -> Error {
        Error::io(what, self.shown())
    }

    fn damaged(&self, what: &str) -> Error {
        Error::KeysDamaged { file: self.shown(), what: what.to_owned() }
    }

    fn shown(&self) -> String {
        self.path.as_ref().map_or_else(|| PERSON_KEYS.to_owned(), |path| path.display().to_string())
    }
}

fn create(path: &Path) -> std::io::Result<File> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all_at(HEADER, 0)?;
    file.sync_all()?;
    File::open(folder)?.sync_all()?;
    Ok(file)
}

fn offset(key: KeyNo) -> u64 {
    u64::from(key.0) * SLOT_BYTES as u64
}

fn cipher(secret: &[u8; KEY_BYTES]) -> Result<LessSafeKey, Error> {
    UnboundKey::new(&AES_256_GCM, secret).map(LessSafeKey::new).map_err(|_| undecodable("a key has a wrong length"))
}

fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| undecodable("the system gives no random numbers"))?;
    Ok(bytes)
}

fn undecodable(why: &str) -> Error {
    Error::Undecodable(why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANN: Person = (1, 7);
    const BEN: Person = (1, 8);

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys").join(PERSON_KEYS);
        (folder, path)
    }

    #[test]
    fn a_value_comes_back_with_its_key_and_header_alone() {
        let (_folder, path) = folder();
        let keys = PersonKeys::open(&path).unwrap();
        assert!(!path.exists(), "no file before the first person");
        let (ann, ben) = (keys.give(ANN).unwrap(), keys.give(BEN).unwrap());
        assert_ne!(ann, ben);
        assert_eq!(keys.give(ANN).unwrap(), ann);
        let sealed = keys.seal(ann, b"times", b"1990-04-01".to_vec()).unwrap();
        assert!(!sealed.windows(4).any(|window| window == b"1990"));
        assert_ne!(sealed, keys.seal(ann, b"times", b"1990-04-01".to_vec()).unwrap(), "each seal is its own");
        assert_eq!(keys.unseal(ann, b"times", &sealed).unwrap().unwrap(), b"1990-04-01");
        assert!(keys.unseal(ben, b"times", &sealed).is_err());
        assert!(keys.unseal(ann, b"other", &sealed).is_err());
        let mut flipped = sealed.clone();
        flipped[NONCE_LEN] ^= 1;
        assert!(keys.unseal(ann, b"times", &flipped).is_err());
    }

    #[test]
    fn what_a_destroyed_key_sealed_is_gone_for_good_and_the_others_stay() {
        let (_folder, path) = folder();
        let keys = PersonKeys::open(&path).unwrap();
        let (ann, ben) = (keys.give(ANN).unwrap(), keys.give(BEN).unwrap());
        let (of_ann, of_ben) =
            (keys.seal(ann, b"", b"a".to_vec()).unwrap(), keys.seal(ben, b"", b"b".to_vec()).unwrap());
        assert_eq!(keys.part(ANN), Some(ann));
        keys.destroy(ann).unwrap();
        assert_eq!(keys.unseal(ann, b"", &of_ann).unwrap(), None);
        let again = keys.give(ANN).unwrap();
        assert!(again > ben, "a slot is never given twice");
        drop(keys);

        let keys = PersonKeys::open(&path).unwrap();
        keys.learn(BEN, ben);
        keys.learn(ANN, again);
        assert_eq!(keys.unseal(ann, b"", &of_ann).unwrap(), None);
        assert_eq!(keys.unseal(ben, b"", &of_ben).unwrap().unwrap(), b"b");
        assert!(keys.give((2, 7)).unwrap() > again);
    }

    #[test]
    fn an_older_copy_of_the_keys_lacks_the_newer_ones_and_gives_none_of_them_again() {
        let (_folder, path) = folder();
        let keys = PersonKeys::open(&path).unwrap();
        let ann = keys.give(ANN).unwrap();
        std::fs::remove_file(&path).unwrap();
        let keys = PersonKeys::open(&path).unwrap();
        keys.learn(ANN, ann);
        let ben = keys.give(BEN).unwrap();
        assert!(ben > ann);
        assert_eq!(keys.unseal(ann, b"", &[0; 40]).unwrap(), None);
    }

    #[test]
    fn a_flipped_bit_in_a_key_is_named_and_a_torn_one_passed_over() {
        let (_folder, path) = folder();
        let keys = PersonKeys::open(&path).unwrap();
        let ann = keys.give(ANN).unwrap();
        let sealed = keys.seal(ann, b"", b"a".to_vec()).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[SLOT_BYTES + 3] ^= 8;
        bytes[2 * SLOT_BYTES + 3] ^= 8;
        std::fs::write(&path, bytes).unwrap();
        let keys = PersonKeys::open(&path).unwrap();
        keys.learn(ANN, ann);
        let error = keys.unseal(ann, b"", &sealed).unwrap_err().to_string();
        assert!(error.contains("key 1") && error.contains("persons.keys"), "{error}");
        assert_eq!(keys.give(BEN).unwrap(), KeyNo(3));
    }

    #[test]
    fn what_is_no_file_of_keys_is_refused() {
        let (folder, _) = folder();
        let path = folder.path().join("other");
        std::fs::write(&path, "hello").unwrap();
        assert!(PersonKeys::open(&path).unwrap_err().to_string().contains("STO-027"));
    }
}
