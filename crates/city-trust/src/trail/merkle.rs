//! The tree over the trail: hashes come in, roots and proofs go out (RFC 6962 section 2, C2SP tlog-tiles).
//!
//! Values in, values out. Nodes are asked for by level and number, so that a tree of any size needs no more
//! of it at hand than its right edge.

use ring::digest::{Context, SHA256};

/// SHA-256.
pub type Hash = [u8; 32];

/// The root of a tree without leaves.
#[must_use]
pub fn empty_root() -> Hash {
    finish(Context::new(&SHA256))
}

fn finish(context: Context) -> Hash {
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash {
    let mut context = Context::new(&SHA256);
    context.update(&[0]);
    context.update(entry);
    finish(context)
}

#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut context = Context::new(&SHA256);
    context.update(&[1]);
    context.update(left);
    context.update(right);
    finish(context)
}

/// Where the hashes of full subtrees come from: the `number`th one over 2^level leaves.
pub trait Nodes {
    type Error;
    fn node(&self, level: u32, number: u64) -> Result<Hash, Self::Error>;
}

/// The hash over the leaves from `from` up to `to`, which must not be empty.
fn range<N: Nodes>(nodes: &N, from: u64, to: u64) -> Result<Hash, N::Error> {
    let count = to - from;
    if count.is_power_of_two() && from.is_multiple_of(count) {
        return nodes.node(count.trailing_zeros(), from / count);
    }
    let left = split(count);
    Ok(node_hash(&range(nodes, from, from + left)?, &range(nodes, from + left, to)?))
}

/// The largest power of two that is smaller.
fn split(count: u64) -> u64 {
    1 << (63 - (count - 1).leading_zeros())
}

/// The root of the tree over the first `size` leaves.
pub fn root<N: Nodes>(nodes: &N, size: u64) -> Result<Hash, N::Error> {
    if size == 0 { Ok(empty_root()) } else { range(nodes, 0, size) }
}

/// What shows that a leaf is in the tree over the first `size` leaves, from the leaf up.
pub fn inclusion_proof<N: Nodes>(nodes: &N, index: u64, size: u64) -> Result<Vec<Hash>, N::Error> {
    let mut proof = Vec::new();
    let (mut from, mut to) = (0, size);
    while to - from > 1 {
        let middle = from + split(to - from);
        if index < middle {
            proof.push(range(nodes, middle, to)?);
            to = middle;
        } else {
            proof.push(range(nodes, from, middle)?);
            from = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// What shows that the tree over the first `old` leaves is the beginning of the one over the first `new`.
pub fn consistency_proof<N: Nodes>(nodes: &N, old: u64, new: u64) -> Result<Vec<Hash>, N::Error> {
    let mut proof = Vec::new();
    if old == 0 || old >= new {
        return Ok(proof);
    }
    let (mut from, mut to, mut whole) = (0, new, true);
    while old != to {
        let middle = from + split(to - from);
        if old <= middle {
            proof.push(range(nodes, middle, to)?);
            to = middle;
        } else {
            proof.push(range(nodes, from, middle)?);
            (from, whole) = (middle, false);
        }
    }
    if !whole {
        proof.push(range(nodes, from, to)?);
    }
    proof.reverse();
    Ok(proof)
}

/// The root that a proof of inclusion leads to; `None` where it has not the form of one.
#[must_use]
pub fn root_of_inclusion(leaf: Hash, index: u64, size: u64, proof: &[Hash]) -> Option<Hash> {
    if index >= size {
        return None;
    }
    let (mut hash, mut number, mut last) = (leaf, index, size - 1);
    for own in proof {
        if last == 0 {
            return None;
        }
        if number & 1 == 1 || number == last {
            hash = node_hash(own, &hash);
            while number & 1 == 0 && number != 0 {
                (number, last) = (number >> 1, last >> 1);
            }
        } else {
            hash = node_hash(&hash, own);
        }
        (number, last) = (number >> 1, last >> 1);
    }
    (last == 0).then_some(hash)
}

/// Whether a proof of consistency joins two roots (RFC 9162 section 2.1.4.2).
#[must_use]
pub fn is_consistent(old: u64, old_root: Hash, new: u64, new_root: Hash, proof: &[Hash]) -> bool {
    if old > new || (old == new && old_root != new_root) {
        return false;
    }
    if old == 0 || old == new {
        return proof.is_empty();
    }
    let (mut number, mut last) = (old - 1, new - 1);
    while number & 1 == 1 {
        (number, last) = (number >> 1, last >> 1);
    }
    let mut hashes = proof.iter();
    let first = if number == 0 { Some(&old_root) } else { hashes.next() };
    let Some(first) = first else { return false };
    let (mut of_old, mut of_new) = (*first, *first);
    for own in hashes {
        if last == 0 {
            return false;
        }
        if number & 1 == 1 || number == last {
            of_old = node_hash(own, &of_old);
            of_new = node_hash(own, &of_new);
            while number & 1 == 0 && number != 0 {
                (number, last) = (number >> 1, last >> 1);
            }
        } else {
            of_new = node_hash(&of_new, own);
        }
        (number, last) = (number >> 1, last >> 1);
    }
    last == 0 && of_old == old_root && of_new == new_root
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    /// A tree in memory.
    #[derive(Default)]
    struct Leaves(Vec<Hash>);

    impl Nodes for Leaves {
        type Error = ();
        fn node(&self, level: u32, number: u64) -> Result<Hash, ()> {
            match level {
                0 => self.0.get(number as usize).copied().ok_or(()),
                _ => Ok(node_hash(&self.node(level - 1, 2 * number)?, &self.node(level - 1, 2 * number + 1)?)),
            }
        }
    }

    fn tree(size: u64) -> Leaves {
        Leaves((0..size).map(|number| leaf_hash(&number.to_be_bytes())).collect())
    }

    #[test]
    fn roots_are_those_of_rfc_6962() {
        // The published test vectors of certificate transparency.
        let inputs: [&[u8]; 8] = [
            &[],
            &[0x00],
            &[0x10],
            &[0x20, 0x21],
            &[0x30, 0x31],
            &[0x40, 0x41, 0x42, 0x43],
            &[0x50, 0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57],
            &[0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f],
        ];
        let leaves = Leaves(inputs.iter().map(|input| leaf_hash(input)).collect());
        let hex = |hash: Hash| hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        for (size, expected) in [
            (0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
            (1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
            (2, "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
            (3, "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
            (8, "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
        ] {
            assert_eq!(hex(root(&leaves, size).unwrap()), expected, "{size}");
        }
    }

    #[test]
    fn every_leaf_is_shown_to_be_in_every_tree_and_every_tree_to_be_the_beginning_of_the_next() {
        let leaves = tree(70);
        let roots: Vec<Hash> = (0..=70).map(|size| root(&leaves, size).unwrap()).collect();
        for size in 1..=70u64 {
            for index in 0..size {
                let proof = inclusion_proof(&leaves, index, size).unwrap();
                let leaf = leaves.0[index as usize];
                assert_eq!(root_of_inclusion(leaf, index, size, &proof), Some(roots[size as usize]), "{index} {size}");
                let other = (index + 1) % size;
                assert!(size == 1 || root_of_inclusion(leaf, other, size, &proof) != Some(roots[size as usize]));
                let shorter = &proof[..proof.len().saturating_sub(1)];
                assert!(
                    proof.is_empty() || root_of_inclusion(leaf, index, size, shorter) != Some(roots[size as usize])
                );
            }
            for old in 0..=size {
                let proof = consistency_proof(&leaves, old, size).unwrap();
                let (from, to) = (roots[old as usize], roots[size as usize]);
                assert!(is_consistent(old, from, size, to, &proof), "{old} {size}");
                if old > 0 && old < size {
                    assert!(!is_consistent(old, to, size, to, &proof) && !is_consistent(old, from, size, from, &proof));
                    assert!(!is_consistent(size, to, old, from, &proof), "a tree does not shrink");
                    let mut forged = proof.clone();
                    forged[0][0] ^= 1;
                    assert!(!is_consistent(old, from, size, to, &forged));
                }
            }
        }
    }

    #[test]
    fn a_proof_in_a_tree_of_a_billion_leaves_is_under_a_kibibyte() {
        /// All leaves are alike, so one hash a level is the whole tree.
        struct Alike(HashMap<u32, Hash>);
        impl Nodes for Alike {
            type Error = ();
            fn node(&self, level: u32, _: u64) -> Result<Hash, ()> {
                self.0.get(&level).copied().ok_or(())
            }
        }
        let leaf = leaf_hash(b"leaf");
        let mut levels = HashMap::from([(0, leaf)]);
        for level in 1..=30 {
            let below = levels[&(level - 1)];
            levels.insert(level, node_hash(&below, &below));
        }
        let alike = Alike(levels);
        let size = 1_000_000_000;
        let expected = root(&alike, size).unwrap();
        for index in [0, 1, 123_456_789, size / 2, size - 1] {
            let proof = inclusion_proof(&alike, index, size).unwrap();
            assert!(proof.len() * 32 <= 1_024, "{} hashes", proof.len());
            assert_eq!(root_of_inclusion(leaf, index, size, &proof), Some(expected));
        }
    }
}
