//! A rename by a regex, turned round.

/// A piece of a simple regex.
#[derive(Debug, PartialEq, Eq)]
enum Piece {
    /// Text, unescaped.
    Text(String),
    /// A group: its whole source, and its name if it has one.
    Group { source: String, name: Option<String> },
}

/// The regex and the template that undo a rename by a regex, where the regex is a row of plain text and groups and the
/// template has each of the groups once.
pub(super) fn turned(regex: &str, template: &str) -> Option<(String, String)> {
    let pieces = pieces(regex)?;
    let groups: Vec<(&String, &Option<String>)> = pieces
        .iter()
        .filter_map(|piece| match piece {
            Piece::Group { source, name } => Some((source, name)),
            Piece::Text(_) => None,
        })
        .collect();
    let mut used: Vec<usize> = Vec::new();
    let mut undo = String::new();
    let mut rest = template;
    while let Some((text, after)) = rest.split_once('$') {
        undo.push_str(&regex::escape(text));
        if let Some(left) = after.strip_prefix('$') {
            undo.push_str("\\$");
            rest = left;
            continue;
        }
        let is_name = |c: char| c == '_' || c.is_ascii_alphanumeric();
        let (reference, left) = match after.strip_prefix('{') {
            Some(braced) => braced.split_once('}')?,
            None => after.split_at(after.find(|c| !is_name(c)).unwrap_or(after.len())),
        };
        let place = match reference.parse::<usize>() {
            Ok(number) => number.checked_sub(1)?,
            Err(_) => groups.iter().position(|(_, name)| name.as_deref() == Some(reference))?,
        };
        if used.contains(&place) {
            return None;
        }
        undo.push_str(groups.get(place)?.0);
        used.push(place);
        rest = left;
    }
    undo.push_str(&regex::escape(rest));
    if used.len() != groups.len() {
        return None;
    }
    let mut back = String::new();
    let mut group = 0;
    for piece in &pieces {
        match piece {
            Piece::Text(text) => back.push_str(&text.replace('$', "$$")),
            Piece::Group { .. } => {
                let place = used.iter().position(|place| *place == group)?;
                back.push_str(&format!("${{{}}}", place + 1));
                group += 1;
            }
        }
    }
    Some((undo, back))
}

/// The pieces of a regex that is nothing but plain text and groups without groups inside.
fn pieces(regex: &str) -> Option<Vec<Piece>> {
    let regex = regex.strip_prefix('^').unwrap_or(regex);
    // An escaped dollar is text.
    let regex = match regex.strip_suffix('$') {
        Some(inner) if inner.bytes().rev().take_while(|b| *b == b'\\').count() % 2 == 0 => inner,
        _ => regex,
    };
    let mut pieces = Vec::new();
    let mut text = String::new();
    let mut rest = regex.chars();
    while let Some(c) = rest.next() {
        match c {
            '(' => {
                if !text.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut text)));
                }
                let (source, name) = group(&mut rest)?;
                // What is repeated or optional is no single group.
                if rest.as_str().starts_with(['*', '+', '?', '{']) {
                    return None;
                }
                pieces.push(Piece::Group { source, name });
            }
            '\\' => match rest.next()? {
                // Classes and assertions, such as `\d` and `\b`.
                c if c.is_alphanumeric() => return None,
                c => text.push(c),
            },
            '.' | '*' | '+' | '?' | '|' | '[' | ']' | '{' | '}' | ')' | '^' | '$' => return None,
            c => text.push(c),
        }
    }
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    Some(pieces)
}

/// Reads a group, whose opening bracket was read: its whole source and its name.
fn group(rest: &mut std::str::Chars<'_>) -> Option<(String, Option<String>)> {
    let inside = rest.as_str();
    let mut end = None;
    let (mut is_escaped, mut in_class) = (false, false);
    for (place, c) in inside.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '[' => in_class = true,
            ']' => in_class = false,
            '(' if !in_class => return None,
            // An anchor inside means something else at another place.
            '^' | '$' if !in_class => return None,
            ')' if !in_class => {
                end = Some(place);
                break;
            }
            _ => {}
        }
    }
    let end = end?;
    let body = &inside[..end];
    let name = match body.strip_prefix('?') {
        None => None,
        Some(head) => {
            let named = head.strip_prefix("P<").or_else(|| head.strip_prefix('<'))?;
            Some(named.split_once('>')?.0.to_owned())
        }
    };
    let source = format!("({body})");
    *rest = inside[end + 1..].chars();
    Some((source, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_text_and_groups_are_turned_round() {
        let cases = [
            (r"layer\.(\d+)\.(w|b)", "block.$1.$2", Some((r"block\.(\d+)\.(w|b)", "layer.${1}.${2}"))),
            (r"^(?<a>[ac)])\.x$", "w_${a}", Some((r"w_(?<a>[ac)])", "${1}.x"))),
            (r"(\d+)-(?P<k>[a-z]+)", "${k}.$1", Some((r"(?P<k>[a-z]+)\.(\d+)", "${2}-${1}"))),
            (r"a\$(x)", "$$b$1", Some((r"\$b(x)", "a$$${1}"))),
            // A group that is lost, or told twice, cannot be led back from.
            (r"(\d+)\.(w)", "x.$2", None),
            (r"(\d+)", "$1.$1", None),
            (r".*\.(w)", "x.$1", None),
            (r"(a)?b", "$1c", None),
            (r"((a)b)", "$1$2", None),
            (r"(^a)b", "$1", None),
            (r"a|(b)", "$1", None),
        ];
        for (regex, template, expected) in cases {
            let expected = expected.map(|(undo, back)| (undo.to_owned(), back.to_owned()));
            assert_eq!(turned(regex, template), expected, "{regex} {template}");
        }
    }
}
