//! Patterns of places, and what their captures are put into.

use regex::{Regex, RegexBuilder};

use crate::value::Path;

use super::turned::turned;

/// Largest compiled pattern, in bytes.
const MAX_COMPILED_BYTES: usize = 1 << 20;

/// Longest pattern, in bytes.
const MAX_PATTERN_BYTES: usize = 4096;

/// Longest place that a template may make, in bytes: what a pattern captured can be put in many times.
const MAX_EXPANDED_BYTES: usize = 1 << 16;

/// Largest product of the lengths of a key and of a template for a regex.
const MAX_EXPANSION_WORK: usize = 1 << 24;

/// A pattern of places below a container.
///
/// A *glob* is a place in which `*` stands for any text inside one step, `?` for one character and `**` for any
/// number of steps; a backslash takes the next character as it is. A *regex* is matched against whole keys of the
/// container. Both capture.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    /// As it was written.
    pub text: String,
    matcher: Matcher,
    wildcards: Vec<Wildcard>,
}

#[derive(Debug, Clone)]
enum Matcher {
    /// One place, with its steps.
    Literal(Vec<String>),
    /// One expression for each step.
    Steps(Vec<Regex>),
    /// One expression for the whole place.
    Deep(Regex),
    /// An expression for a key.
    Key(Regex),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wildcard {
    Any,
    One,
    Steps,
}

/// One character of a glob.
enum Token {
    Text(char),
    Wildcard(Wildcard),
}

/// How far a pattern has matched on the way down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Progress {
    /// Not this place, and nothing below it.
    No,
    /// Perhaps something below it.
    Below,
    /// This place, with what was captured.
    Here(Vec<String>),
}

impl Pattern {
    /// Reads a glob.
    pub fn glob(text: &str) -> Result<Pattern, String> {
        let tokens = tokens(text)?;
        let wildcards: Vec<Wildcard> = wildcards(&tokens);
        let is_deep = wildcards.contains(&Wildcard::Steps);
        let mut steps = vec![String::new()];
        let mut literal = vec![String::new()];
        for token in &tokens {
            let step = steps.last_mut().expect("there is always one");
            match token {
                Token::Text('/') if !is_deep => {
                    steps.push(String::new());
                    literal.push(String::new());
                }
                Token::Text(c) => {
                    step.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
                    literal.last_mut().expect("there is always one").push(*c);
                }
                Token::Wildcard(Wildcard::Any) => step.push_str("([^/]*)"),
                Token::Wildcard(Wildcard::One) => step.push_str("([^/])"),
                Token::Wildcard(Wildcard::Steps) => step.push_str("(.*)"),
            }
        }
        let matcher = match steps.as_slice() {
            _ if wildcards.is_empty() => Matcher::Literal(literal),
            [whole] if is_deep => Matcher::Deep(compile(whole)?),
            steps => Matcher::Steps(steps.iter().map(|step| compile(step)).collect::<Result<_, _>>()?),
        };
        Ok(Pattern { text: text.to_owned(), matcher, wildcards })
    }

    /// Reads a regular expression. It is matched against whole keys.
    pub fn regex(text: &str) -> Result<Pattern, String> {
        check_length(text)?;
        Ok(Pattern { text: text.to_owned(), matcher: Matcher::Key(compile(text)?), wildcards: Vec::new() })
    }

    /// The pattern and the template that lead back from what a template makes of this one's captures, if any do.
    pub fn turned(&self, to: &Template) -> Option<(Pattern, Template)> {
        if self.is_regex() {
            let (undo, back) = turned(&self.text, &to.text)?;
            let undo = Pattern::regex(&undo).ok()?;
            let back = Template::of(&undo, &back).ok()?;
            return Some((undo, back));
        }
        let undo = to.as_pattern().ok()?;
        let back = Template::of(&undo, &self.text).ok()?;
        Some((undo, back))
    }

    /// Whether it can match one place only.
    pub fn is_literal(&self) -> bool {
        matches!(self.matcher, Matcher::Literal(_))
    }

    /// Whether it is a regular expression.
    pub fn is_regex(&self) -> bool {
        matches!(self.matcher, Matcher::Key(_))
    }

    /// The place that a literal pattern is, as one path.
    pub fn literal(&self) -> Option<Path> {
        match &self.matcher {
            Matcher::Literal(steps) => Some(Path::parse(&steps.join("/"))),
            _ => None,
        }
    }

    /// Tells whether a place, so many steps below the container, matches. `step` is its last step as a path
    /// writes it, `captured` what the steps before it gave.
    pub fn advance(&self, depth: usize, path: &str, step: &str, captured: &[String]) -> Progress {
        let texts = |found: regex::Captures<'_>| -> Vec<String> {
            found.iter().skip(1).map(|group| group.map_or("", |group| group.as_str()).to_owned()).collect()
        };
        match &self.matcher {
            Matcher::Literal(steps) => match steps.get(depth) {
                Some(wanted) if wanted == step && depth + 1 == steps.len() => Progress::Here(Vec::new()),
                Some(wanted) if wanted == step => Progress::Below,
                _ => Progress::No,
            },
            Matcher::Steps(steps) => match steps.get(depth).and_then(|wanted| wanted.captures(step)) {
                None => Progress::No,
                Some(_) if depth + 1 < steps.len() => Progress::Below,
                Some(found) => {
                    let mut all = captured.to_vec();
                    all.extend(texts(found));
                    Progress::Here(all)
                }
            },
            Matcher::Deep(whole) => match whole.captures(path) {
                Some(found) => Progress::Here(texts(found)),
                None => Progress::Below,
            },
            Matcher::Key(key) => {
                let plain = Path::parse(step).steps().last().unwrap_or_default();
                match key.captures(&plain) {
                    Some(found) if depth == 0 => Progress::Here(texts(found)),
                    _ => Progress::No,
                }
            }
        }
    }

    /// What the step at this depth captures on the way down.
    pub fn captures_of_step(&self, depth: usize, step: &str) -> Vec<String> {
        let Matcher::Steps(steps) = &self.matcher else { return Vec::new() };
        let found = steps.get(depth).and_then(|wanted| wanted.captures(step));
        let groups = found.map(|found| {
            let texts = found.iter().skip(1).map(|group| group.map_or("", |g| g.as_str()).to_owned());
            texts.collect()
        });
        groups.unwrap_or_default()
    }
}

/// A place to be, into which captures are put.
#[derive(Debug, Clone)]
pub(super) struct Template {
    /// As it was written.
    pub text: String,
    /// Whether `$1` stands for a capture, and not a wildcard.
    is_regex: bool,
    wildcards: Vec<Wildcard>,
}

impl Template {
    /// Reads what a pattern's captures are put into.
    ///
    /// For a glob its wildcards must be those of the pattern, in their order. For a regex `$1` or `${name}` stands
    /// for a capture.
    pub fn of(pattern: &Pattern, text: &str) -> Result<Template, String> {
        check_length(text)?;
        if let Matcher::Key(regex) = &pattern.matcher {
            check_groups(regex, text)?;
            return Ok(Template { text: text.to_owned(), is_regex: true, wildcards: Vec::new() });
        }
        let tokens = tokens(text)?;
        let wildcards = wildcards(&tokens);
        if wildcards != pattern.wildcards {
            return Err(format!("`{text}` has not the wildcards of `{}`", pattern.text));
        }
        Ok(Template { text: text.to_owned(), is_regex: false, wildcards })
    }

    /// The place that captures make. `matched` is the key, for a regex, which may name its groups.
    pub fn expand(&self, pattern: &Pattern, matched: &str, captures: &[String]) -> Result<String, String> {
        let mut out = String::new();
        if self.is_regex {
            let Matcher::Key(regex) = &pattern.matcher else { return Err("it is no regex".into()) };
            // A capture can be named as often as the template is long.
            if matched.len().saturating_mul(self.text.len()) > MAX_EXPANSION_WORK {
                return Err(format!("`{}` makes a key that is too long", self.text));
            }
            if let Some(found) = regex.captures(matched) {
                found.expand(&self.text, &mut out);
            }
        } else {
            let mut captures = captures.iter();
            for token in tokens(&self.text)? {
                match token {
                    Token::Text(c) => out.push(c),
                    Token::Wildcard(_) => out.push_str(captures.next().map_or("", String::as_str)),
                }
                if out.len() > MAX_EXPANDED_BYTES {
                    break;
                }
            }
        }
        if out.len() > MAX_EXPANDED_BYTES {
            return Err(format!("`{}` makes a key that is too long", self.text));
        }
        Ok(out)
    }

    /// This template as a pattern: what undoes it.
    pub fn as_pattern(&self) -> Result<Pattern, String> {
        if self.is_regex {
            return Err("a regex cannot be turned round".into());
        }
        Pattern::glob(&self.text)
    }

    /// Whether it has no wildcard.
    pub fn is_literal(&self) -> bool {
        !self.is_regex && self.wildcards.is_empty()
    }
}

/// Refuses a template that names a group which the regex has not: it would stand for nothing.
fn check_groups(regex: &Regex, text: &str) -> Result<(), String> {
    let is_name = |c: char| c == '_' || c.is_ascii_alphanumeric();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('$') {
        let (name, left) = if let Some(left) = after.strip_prefix('$') {
            rest = left;
            continue;
        } else if let Some(braced) = after.strip_prefix('{') {
            braced.split_once('}').ok_or_else(|| format!("`{text}` has an open brace"))?
        } else {
            after.split_at(after.find(|c| !is_name(c)).unwrap_or(after.len()))
        };
        let known = match name.parse::<usize>() {
            Ok(number) => number < regex.captures_len(),
            Err(_) => regex.capture_names().flatten().any(|known| known == name),
        };
        if !known {
            return Err(format!(
                "there is no group `{name}` (`${{1}}` sets the first apart from what follows)"
            ));
        }
        rest = left;
    }
    Ok(())
}

fn check_length(text: &str) -> Result<(), String> {
    match text.len() {
        0 => Err("a place cannot be empty".into()),
        1..=MAX_PATTERN_BYTES => Ok(()),
        _ => Err(format!("longer than {MAX_PATTERN_BYTES} bytes")),
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    check_length(text)?;
    let mut out = Vec::new();
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        out.push(match c {
            '\\' => Token::Text(characters.next().ok_or_else(|| format!("`{text}` ends in a backslash"))?),
            '*' if characters.next_if_eq(&'*').is_some() => Token::Wildcard(Wildcard::Steps),
            '*' => Token::Wildcard(Wildcard::Any),
            '?' => Token::Wildcard(Wildcard::One),
            c => Token::Text(c),
        });
    }
    Ok(out)
}

fn wildcards(tokens: &[Token]) -> Vec<Wildcard> {
    let wildcard = |token: &Token| match token {
        Token::Text(_) => None,
        Token::Wildcard(wildcard) => Some(*wildcard),
    };
    tokens.iter().filter_map(wildcard).collect()
}

fn compile(text: &str) -> Result<Regex, String> {
    RegexBuilder::new(&format!("^(?:{text})$"))
        .dot_matches_new_line(true)
        .size_limit(MAX_COMPILED_BYTES)
        .dfa_size_limit(MAX_COMPILED_BYTES)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => format!("`{text}` is too large a pattern"),
            other => {
                let told = other.to_string();
                let last = told.lines().last().unwrap_or_default();
                format!("`{text}` is no regular expression: {}", last.trim_start_matches("error: "))
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> Option<Vec<String>> {
        let pattern = Pattern::glob(pattern).unwrap();
        let mut captured = Vec::new();
        let steps: Vec<&str> = path.split('/').collect();
        for (depth, step) in steps.iter().enumerate() {
            let so_far = steps[..=depth].join("/");
            match pattern.advance(depth, &so_far, step, &captured) {
                Progress::No => return None,
                Progress::Here(found) => return (depth + 1 == steps.len()).then_some(found),
                Progress::Below => captured.extend(pattern.captures_of_step(depth, step)),
            }
        }
        None
    }

    #[test]
    fn a_star_stays_inside_a_step_and_two_cross_steps() {
        let found = |texts: &[&str]| Some(texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>());
        assert_eq!(matches("*.emb.*", "model.emb.weight"), found(&["model", "weight"]));
        assert_eq!(matches("state/*.emb", "state/a.b.emb"), found(&["a.b"]));
        assert_eq!(matches("*.emb", "a/b.emb"), None);
        assert_eq!(matches("**.emb", "a/b.emb"), found(&["a/b"]));
        assert_eq!(matches("a/*/c/?", "a/x/c/y"), found(&["x", "y"]));
        assert_eq!(matches("a.b", "axb"), None);
        assert_eq!(matches(r"a\*b", "a*b"), found(&[]));
        assert_eq!(matches(r"a\*b", "axb"), None);
    }

    #[test]
    fn captures_go_where_the_template_says() {
        let pattern = Pattern::glob("*.emb.*").unwrap();
        let template = Template::of(&pattern, "*.embed.*").unwrap();
        let captures = ["m".to_owned(), "w".to_owned()];
        assert_eq!(template.expand(&pattern, "m.emb.w", &captures).unwrap(), "m.embed.w");
        assert!(Template::of(&pattern, "*.embed").is_err());
        let regex = Pattern::regex(r"(.*)\.emb\.(?<last>.*)").unwrap();
        let template = Template::of(&regex, "$1.embed.$last").unwrap();
        assert_eq!(template.expand(&regex, "m.emb.w", &[]).unwrap(), "m.embed.w");
    }

    #[test]
    fn patterns_without_bounds_are_refused() {
        assert!(Pattern::regex(&"a".repeat(5000)).is_err());
        assert!(Pattern::regex(r"\w{1000}{100}").unwrap_err().contains("too large"));
        assert!(Pattern::regex("(").unwrap_err().contains("no regular expression"));
        let pattern = Pattern::regex("(a)(?<b>.)").unwrap();
        assert!(Template::of(&pattern, "$1_b").unwrap_err().contains("no group `1_b`"));
        assert!(Template::of(&pattern, "${1}_${b}$$x$2").is_ok());
        assert!(Pattern::glob("").is_err());
        assert!(Pattern::glob("a\\").is_err());
        let wide = format!("({})", "a".repeat(3000));
        let pattern = Pattern::regex(&wide).unwrap();
        let template = Template::of(&pattern, &"$1".repeat(1000)).unwrap();
        assert!(template.expand(&pattern, &"a".repeat(3000), &[]).is_err());
    }
}
