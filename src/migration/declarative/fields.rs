//! The fields of one operation as they are written in TOML, each with its line.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// What is wrong with a text, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::migration) struct Flaw {
    /// The line, from 1.
    pub line: u32,
    /// What is wrong.
    pub message: String,
}

/// The text of a migration, to tell lines of.
#[derive(Debug, Clone, Copy)]
pub(in crate::migration) struct Text<'t>(pub &'t str);

impl Text<'_> {
    /// The line, from 1, of a place.
    pub fn line(self, span: Range<usize>) -> u32 {
        let before = self.0.as_bytes().get(..span.start).unwrap_or(self.0.as_bytes());
        let newlines = before.iter().filter(|byte| **byte == b'\n').count();
        u32::try_from(newlines).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// A flaw at a place.
    pub fn flaw(self, span: Range<usize>, message: impl Into<String>) -> Flaw {
        Flaw { line: self.line(span), message: message.into() }
    }
}

/// The fields of a table that are not read yet.
#[derive(Debug)]
pub(in crate::migration) struct Fields<'t> {
    text: Text<'t>,
    span: Range<usize>,
    /// What the table is, for messages.
    what: &'static str,
    left: Vec<(&'t Spanned<std::borrow::Cow<'t, str>>, &'t Spanned<DeValue<'t>>)>,
}

impl<'t> Fields<'t> {
    /// The fields of a table that lies at `span`.
    pub fn new(text: Text<'t>, span: Range<usize>, table: &'t DeTable<'t>, what: &'static str) -> Fields<'t> {
        Fields { text, span, what, left: table.iter().collect() }
    }

    /// The line of the table.
    pub fn line(&self) -> u32 {
        self.text.line(self.span.clone())
    }

    /// A flaw of the table as a whole.
    pub fn flaw(&self, message: impl Into<String>) -> Flaw {
        self.text.flaw(self.span.clone(), message)
    }

    /// Whether a field is there.
    pub fn has(&self, name: &str) -> bool {
        self.left.iter().any(|(key, _)| key.get_ref() == name)
    }

    /// Takes a field.
    pub fn take(&mut self, name: &str) -> Option<&'t Spanned<DeValue<'t>>> {
        let place = self.left.iter().position(|(key, _)| key.get_ref() == name)?;
        Some(self.left.swap_remove(place).1)
    }

    /// Takes a field that holds text and reads it further.
    pub fn read<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<T>, Flaw> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let text = value.get_ref().as_str().ok_or_else(|| self.wrong(value, name, "text"))?;
        read(text).map(Some).map_err(|message| self.text.flaw(value.span(), message))
    }

    /// Takes a field that holds text.
    pub fn text(&mut self, name: &str) -> Result<Option<String>, Flaw> {
        self.read(name, |text| Ok(text.to_owned()))
    }

    /// Takes a field that must be there.
    pub fn required<T>(&self, name: &str, value: Option<T>) -> Result<T, Flaw> {
        value.ok_or_else(|| self.flaw(format!("{} lacks `{name}`", self.what)))
    }

    /// Takes a truth value; false where there is none.
    pub fn flag(&mut self, name: &str) -> Result<Option<bool>, Flaw> {
        let Some(value) = self.take(name) else { return Ok(None) };
        value.get_ref().as_bool().map(Some).ok_or_else(|| self.wrong(value, name, "`true` or `false`"))
    }

    /// Takes a whole number.
    pub fn int(&mut self, name: &str) -> Result<Option<i64>, Flaw> {
        let Some(value) = self.take(name) else { return Ok(None) };
        int(value.get_ref()).map(Some).ok_or_else(|| self.wrong(value, name, "a whole number"))
    }

    /// Takes a row of whole numbers.
    pub fn ints(&mut self, name: &str) -> Result<Option<Vec<i64>>, Flaw> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let wrong = || self.wrong(value, name, "a row of whole numbers");
        let items = value.get_ref().as_array().ok_or_else(wrong)?;
        items.iter().map(|item| int(item.get_ref()).ok_or_else(wrong)).collect::<Result<_, _>>().map(Some)
    }

    /// Takes a row of texts, each read further.
    pub fn texts<T>(
        &mut self,
        name: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<Vec<T>>, Flaw> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let items: &DeArray<'_> =
            value.get_ref().as_array().ok_or_else(|| self.wrong(value, name, "a row of texts"))?;
        let item = |item: &Spanned<DeValue<'_>>| {
            let text = item.get_ref().as_str().ok_or_else(|| self.wrong(item, name, "a row of texts"))?;
            read(text).map_err(|message| self.text.flaw(item.span(), message))
        };
        items.iter().map(item).collect::<Result<_, _>>().map(Some)
    }

    /// A flaw of a field's value.
    pub fn wrong(&self, value: &Spanned<DeValue<'_>>, name: &str, wanted: &str) -> Flaw {
        self.text.flaw(value.span(), format!("`{name}` is not {wanted}"))
    }

    /// Ends the reading: what is left is known to nobody.
    pub fn finish(self) -> Result<(), Flaw> {
        match self.left.iter().min_by_key(|(key, _)| key.span().start) {
            None => Ok(()),
            Some((key, _)) => {
                Err(self.text.flaw(key.span(), format!("{} has no field `{}`", self.what, key.get_ref())))
            }
        }
    }
}

/// A whole number of 64 bits.
pub(super) fn int(value: &DeValue<'_>) -> Option<i64> {
    let number = value.as_integer()?;
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

/// A float. TOML's spellings are Rust's.
pub(super) fn float(value: &DeValue<'_>) -> Option<f64> {
    value.as_float()?.as_str().parse().ok()
}
