//! Places in a checkpoint.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A place in a checkpoint, from its root.
///
/// Written as the steps joined by `/`, for instance `state_dict/model.encoder.weight` or
/// `optimizer_states/0/state/3/exp_avg`. A `/` or `~` inside a step is written `~1` or `~0`, as JSON
/// Pointer (RFC 6901) does.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Path(String);

impl Path {
    /// The root.
    pub fn root() -> Path {
        Path::default()
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads a path as written.
    pub fn parse(text: &str) -> Path {
        Path(text.to_owned())
    }

    /// The place one step below this one.
    pub fn join(&self, step: &str) -> Path {
        let mut text = String::with_capacity(self.0.len() + step.len() + 1);
        text.push_str(&self.0);
        if !self.0.is_empty() {
            text.push('/');
        }
        // An empty first step must not read as the root.
        if self.0.is_empty() && step.is_empty() {
            text.push_str("~2");
        }
        for c in step.chars() {
            match c {
                '~' => text.push_str("~0"),
                '/' => text.push_str("~1"),
                c => text.push(c),
            }
        }
        Path(text)
    }

    /// The steps from the root, as they were joined.
    pub fn steps(&self) -> impl Iterator<Item = String> + '_ {
        let text = if self.0.is_empty() { None } else { Some(self.0.as_str()) };
        text.into_iter()
            .flat_map(|text| text.split('/'))
            .map(|step| step.replace("~2", "").replace("~1", "/").replace("~0", "~"))
    }

    /// The place as torch names it: `_modules/head/_modules/0/_parameters/weight` of a pickled module is
    /// `head.0.weight`, and an attribute of a module inside of it is `head.0.in_features`.
    pub fn torch_name(&self) -> Path {
        if !["_modules", "_parameters", "_buffers"].iter().any(|word| self.0.contains(word)) {
            return self.clone();
        }
        let mut out = Path::root();
        let mut module: Option<String> = None;
        let mut steps = self.steps().peekable();
        while let Some(step) = steps.next() {
            let inner = match step.as_str() {
                "_modules" | "_parameters" | "_buffers" => steps.next(),
                _ => None,
            };
            let is_module = step == "_modules" && inner.is_some();
            let leaf = inner.unwrap_or(step);
            let name = match module.take() {
                Some(module) => format!("{module}.{leaf}"),
                None => leaf,
            };
            if is_module {
                module = Some(name);
            } else {
                out = out.join(&name);
            }
        }
        module.map_or_else(|| out.clone(), |module| out.join(&module))
    }

    /// The path as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `other` is this place or below it.
    pub fn contains(&self, other: &Path) -> bool {
        match other.0.strip_prefix(&self.0) {
            Some(rest) => self.is_root() || rest.is_empty() || rest.starts_with('/'),
            None => false,
        }
    }

    /// The place that has the same steps below `to` as this one has below `from`.
    ///
    /// # Panics
    ///
    /// If this place is not `from` or below it.
    pub fn rebase(&self, from: &Path, to: &Path) -> Path {
        assert!(from.contains(self), "`{self}` is not below `{from}`");
        let rest = &self.0[from.0.len()..];
        let rest = rest.strip_prefix('/').unwrap_or(rest);
        match (to.is_root(), self.0.len() == from.0.len()) {
            (_, true) => to.clone(),
            (true, false) => Path(rest.to_owned()),
            (false, false) => Path(format!("{to}/{rest}")),
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_come_back_as_joined() {
        let steps = ["a/b", "~", "", "model.x", "~1"];
        let path = steps.iter().fold(Path::root(), |path, step| path.join(step));
        assert_eq!(path.as_str(), "a~1b/~0//model.x/~01");
        assert_eq!(path.steps().collect::<Vec<_>>(), steps);
        assert!(!Path::root().join("").is_root());
        assert_eq!(Path::root().join("").steps().collect::<Vec<_>>(), [""]);
    }

    #[test]
    fn a_place_is_rebased_with_its_steps() {
        let rebase =
            |path, from, to| Path::parse(path).rebase(&Path::parse(from), &Path::parse(to)).to_string();
        assert_eq!(rebase("a/b/c", "a", "x/y"), "x/y/b/c");
        assert_eq!(rebase("a/b", "", "x"), "x/a/b");
        assert_eq!(rebase("a/b", "a", ""), "b");
        assert_eq!(rebase("a", "a", "x"), "x");
    }

    #[test]
    fn a_sibling_with_the_same_beginning_is_not_below() {
        assert!(Path::parse("a/b").contains(&Path::parse("a/b/c")));
        assert!(!Path::parse("a/b").contains(&Path::parse("a/bc")));
    }

    #[test]
    fn modules_are_named_as_in_a_state_dict() {
        let named = |path| Path::parse(path).torch_name().to_string();
        assert_eq!(named("_modules/head/_modules/0/_parameters/weight"), "head.0.weight");
        assert_eq!(named("ema/_modules/net/_buffers/scale"), "ema/net.scale");
        assert_eq!(named("_buffers/scale"), "scale");
        assert_eq!(named("_modules/head/in_features"), "head.in_features");
        assert_eq!(named("_modules/head/config/wide"), "head.config/wide");
        assert_eq!(named("_modules/head"), "head");
        assert_eq!(named("state_dict/model.weight"), "state_dict/model.weight");
        assert_eq!(named("_parameters"), "_parameters");
    }
}
