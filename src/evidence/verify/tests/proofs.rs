//! The proof of one entry.

use super::*;
use crate::evidence::{LogError, prove};

#[test]
fn every_entry_can_be_proved_and_no_other() {
    let made = made(200);
    let (dir, key) = (made.log(), made.key());
    let origin = made.anchor().origin;
    let key = key.signer(&origin).unwrap().verifier().clone();
    let entries = made.entries();
    for seq in [0, 1, 254, 255, 256, 511, 512, 800, 801] {
        let proof = prove(&dir, seq).unwrap();
        assert_eq!(proof.entry, entries[usize::try_from(seq).unwrap()]);
        let head = proof.verify(&key).unwrap();
        assert_eq!((head.size, &head.origin), (802, &origin));
    }
    let beyond = prove(&dir, 802).unwrap_err();
    assert!(matches!(beyond, LogError::Unprovable { seq: 802, .. }));
}

#[test]
fn no_proof_is_made_of_what_was_changed() {
    let made = made(200);
    let dir = made.log();
    let tile = dir.join("tile/0/001");
    let mut bytes = fs::read(&tile).unwrap();
    bytes[40] ^= 1;
    fs::write(&tile, bytes).unwrap();
    assert!(prove(&dir, 300).unwrap_err().is_damage());
}
