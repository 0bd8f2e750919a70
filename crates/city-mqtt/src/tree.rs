//! Filters level by level, so that a message is held against those that can match it and no others.

use std::collections::HashMap;

/// Values under filters; a filter may have many.
#[derive(Debug)]
pub struct Tree<V> {
    root: Node<V>,
    len: usize,
}

#[derive(Debug)]
struct Node<V> {
    below: HashMap<Box<str>, Node<V>>,
    here: Vec<V>,
}

impl<V> Default for Node<V> {
    fn default() -> Self {
        Self { below: HashMap::new(), here: Vec::new() }
    }
}

impl<V> Default for Tree<V> {
    fn default() -> Self {
        Self { root: Node::default(), len: 0 }
    }
}

impl<V> Tree<V> {
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn insert(&mut self, path: &str, value: V) {
        let node = path.split('/').fold(&mut self.root, |node, level| node.below.entry(level.into()).or_default());
        node.here.push(value);
        self.len += 1;
    }

    /// Takes away the values of a filter that `is_it` knows.
    pub fn remove(&mut self, path: &str, is_it: impl Fn(&V) -> bool) {
        let levels: Vec<&str> = path.split('/').collect();
        self.len -= remove(&mut self.root, &levels, &is_it);
    }

    /// The first value of a filter that `is_it` knows.
    pub fn find_mut(&mut self, path: &str, is_it: impl Fn(&V) -> bool) -> Option<&mut V> {
        let node = path.split('/').try_fold(&mut self.root, |node, level| node.below.get_mut(level))?;
        node.here.iter_mut().find(|value| is_it(value))
    }

    /// Every value whose filter matches the name of a topic.
    pub fn each_match<'t>(&'t self, name: &str, mut see: impl FnMut(&'t V)) {
        let levels: Vec<&str> = name.split('/').collect();
        each_match(&self.root, &levels, name.starts_with('$'), &mut see);
    }
}

fn remove<V>(node: &mut Node<V>, levels: &[&str], is_it: &impl Fn(&V) -> bool) -> usize {
    let Some((level, rest)) = levels.split_first() else {
        let before = node.here.len();
        node.here.retain(|value| !is_it(value));
        return before - node.here.len();
    };
    let Some(child) = node.below.get_mut(*level) else { return 0 };
    let removed = remove(child, rest, is_it);
    if child.here.is_empty() && child.below.is_empty() {
        node.below.remove(*level);
    }
    removed
}

/// `is_reserved`: the name begins with `$`, so wildcards at the first level leave it alone.
fn each_match<'t, V>(node: &'t Node<V>, levels: &[&str], is_reserved: bool, see: &mut impl FnMut(&'t V)) {
    if !is_reserved && let Some(all) = node.below.get("#") {
        all.here.iter().for_each(&mut *see);
    }
    let Some((level, rest)) = levels.split_first() else {
        node.here.iter().for_each(&mut *see);
        return;
    };
    if let Some(child) = node.below.get(*level) {
        each_match(child, rest, false, see);
    }
    if !is_reserved && let Some(child) = node.below.get("+") {
        each_match(child, rest, false, see);
    }
}
