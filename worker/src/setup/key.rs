//! What a setup is keyed by (P4): its command, its inputs as they stand in the tree, its environment, and
//! the platform. A lever that edits an input gets a setup of its own; nothing else of a lever matters.

use super::folder::Shape;
use windlass_engine::gate::editable::Editable;
use windlass_shared::attempt::Order;
use windlass_shared::digest::Hash;
use windlass_shared::machine::Setup;
use windlass_shared::tree::{Manifest, Node};

/// Counted up when what a setup leaves is used in another way.
const VERSION: &str = "windlass setup 1";

/// The key, as a folder name.
pub fn key(order: &Order, setup: &Setup, inputs: &Editable, tree: &Manifest, shape: Shape) -> String {
    let mut hasher = blake3::Hasher::new();
    // Each part with its length, so that no two lists run together.
    let mut add = |part: &str| {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
    };
    // A machine that stops or begins to mount overlays needs it in the other shape.
    for part in [VERSION, std::env::consts::OS, std::env::consts::ARCH, shape.as_str(), &setup.run] {
        add(part);
    }
    for (path, node) in tree.entries.iter().filter(|(path, _)| inputs.allows(path)) {
        add(path.as_str());
        match node {
            Node::File { digest, executable } => add(&format!("file {digest} {executable}")),
            Node::Link { target } => add(&format!("link {target}")),
        }
    }
    for (name, value) in &order.env {
        add(&format!("env {name}"));
        add(value);
    }
    order.secrets.iter().for_each(|name| add(&format!("secret {name}")));
    // What it leaves may point into the campaign's own caches.
    order.caches.iter().for_each(|cache| add(&format!("cache {} {}", order.key.id.campaign, cache.name)));
    Hash(*hasher.finalize().as_bytes()).to_string()[..32].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use windlass_shared::digest::Digest;
    use windlass_shared::path::TreePath;
    use windlass_shared::time::Span;

    #[test]
    fn p4_only_command_inputs_and_environment_make_another_setup() {
        let setup = Setup {
            run: "uv sync --frozen".to_owned(),
            inputs: vec!["uv.lock".to_owned(), "requirements/*.txt".to_owned()],
            time_limit: Span::from_secs(60),
        };
        let node = |text: &str, executable| Node::File { digest: Digest::of(text.as_bytes()), executable };
        let tree = |lock: &str, executable, train: &str| {
            let mut tree = Manifest::default();
            for (path, node) in [
                ("uv.lock", node(lock, executable)),
                ("train.py", node(train, false)),
                ("requirements/base.txt", node("numpy", false)),
            ] {
                tree.entries.insert(TreePath::parse(path).expect("a path"), node);
            }
            tree
        };
        let order = crate::shop::tests::order();
        let of = |order: &Order, setup: &Setup, tree: &Manifest| {
            key(order, setup, &Editable::new(&setup.inputs).expect("patterns"), tree, Shape::Layer)
        };
        let base = of(&order, &setup, &tree("lock", false, "train"));
        let same = |order: &Order, setup: &Setup, tree: &Manifest| assert_eq!(of(order, setup, tree), base);
        let other = |order: &Order, setup: &Setup, tree: &Manifest| assert_ne!(of(order, setup, tree), base);
        same(&order, &setup, &tree("lock", false, "another train.py is no input"));
        same(
            &order,
            &Setup { time_limit: Span::from_secs(9), ..setup.clone() },
            &tree("lock", false, "train"),
        );
        other(&order, &setup, &tree("lock 2", false, "train"));
        other(&order, &setup, &tree("lock", true, "train"));
        other(&order, &Setup { run: "uv sync".to_owned(), ..setup.clone() }, &tree("lock", false, "train"));
        let mut without = tree("lock", false, "train");
        without.entries.remove(&TreePath::parse("requirements/base.txt").expect("a path"));
        other(&order, &setup, &without);
        let env = BTreeMap::from([("PIP_INDEX_URL".to_owned(), "elsewhere".to_owned())]);
        other(&Order { env, ..order.clone() }, &setup, &tree("lock", false, "train"));
    }
}
