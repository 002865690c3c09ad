//! The canonical form of the steps, of which the digest is the hash.
//!
//! A text, fixed for as long as [`FORMAT`] is: an operation is `(name field field)`; a field is `length:text` with
//! its length in bytes, a row `[field field]`, an absent field `-`, a flag `0` or `1`. Fields that were left out
//! stand there with the value that they then have, so it makes no difference whether they are written.

use std::fmt::Write;

/// The first line of every canonical form.
const FORMAT: &str = "ckstore declarative 1\n";

/// A canonical form under construction.
#[derive(Debug)]
pub(super) struct Canonical {
    out: String,
}

impl Canonical {
    pub fn new() -> Canonical {
        Canonical { out: FORMAT.to_owned() }
    }

    pub fn finish(self) -> String {
        self.out
    }

    pub fn node(&mut self, name: &str, fields: impl FnOnce(&mut Canonical)) {
        self.out.push('(');
        self.out.push_str(name);
        fields(self);
        self.out.push(')');
    }

    pub fn text(&mut self, text: &str) {
        write!(self.out, "{}:{text}", text.len()).expect("a string takes all text");
    }

    pub fn maybe(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.text(text),
            None => self.out.push('-'),
        }
    }

    pub fn flag(&mut self, flag: bool) {
        self.out.push(if flag { '1' } else { '0' });
    }

    pub fn row<T>(&mut self, items: impl IntoIterator<Item = T>, item: impl Fn(&mut Canonical, T)) {
        self.out.push('[');
        items.into_iter().for_each(|value| item(self, value));
        self.out.push(']');
    }

    pub fn numbers(&mut self, numbers: Option<&[i64]>) {
        match numbers {
            Some(numbers) => self.row(numbers, |form, number| form.text(&number.to_string())),
            None => self.out.push('-'),
        }
    }
}
