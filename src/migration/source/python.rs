//! Python source, parsed but never run.

use std::borrow::Cow;
use std::io;
use std::thread;

use ruff_python_ast::ModModule;
use ruff_python_ast::token::TokenKind;
use ruff_python_parser::{Mode, lexer, parse_module};
use ruff_text_size::{Ranged, TextSize};

/// Deepest nesting that is parsed. The parser, the syntax tree and everything that walks it recurse.
const MAX_DEPTH: usize = 600;

/// Deepest indentation, the same as CPython's (`MAXINDENT` in its tokenizer).
const MAX_INDENT: usize = 100;

/// Stack of the thread that parses, in bytes. [`MAX_DEPTH`] was measured to need less than a quarter of it in an
/// unoptimised build.
const STACK_BYTES: usize = 32 << 20;

/// Why source text cannot be read as Python.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct SyntaxError {
    /// The line, from 1.
    pub line: u32,
    /// What is wrong with it.
    pub message: String,
}

/// A parsed module and the text that its ranges are places in.
pub(crate) struct Module<'a> {
    text: Cow<'a, str>,
    pub(crate) syntax: ModModule,
}

impl Module<'_> {
    /// The line of a node, from 1.
    pub(crate) fn line(&self, node: impl Ranged) -> u32 {
        line_at(&self.text, node.start())
    }

    /// The text of a node.
    pub(crate) fn text(&self, node: impl Ranged) -> &str {
        &self.text[node.range()]
    }
}

/// Parses a module and hands it to `read`, on a thread with stack enough for [`MAX_DEPTH`].
///
/// Line endings are read as Python reads them: `\r\n` and `\r` count as `\n`, also inside of strings.
///
/// # Errors
/// The outer error when the system gives no thread, the inner one when the text is no Python or is nested too
/// deeply.
pub(crate) fn with_module<T: Send>(
    source: &str,
    read: impl FnOnce(&Module<'_>) -> T + Send,
) -> io::Result<Result<T, SyntaxError>> {
    thread::scope(|scope| {
        let parse = move || {
            let text = unify_line_endings(source);
            limit_nesting(&text)?;
            let parsed = parse_module(&text).map_err(|error| SyntaxError {
                line: line_at(&text, error.location.start()),
                message: error.error.to_string(),
            })?;
            Ok(read(&Module { text, syntax: parsed.into_syntax() }))
        };
        let thread = thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, parse)?;
        Ok(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}

fn unify_line_endings(source: &str) -> Cow<'_, str> {
    if source.contains('\r') {
        Cow::Owned(source.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        Cow::Borrowed(source)
    }
}

fn line_at(text: &str, place: TextSize) -> u32 {
    let before = &text.as_bytes()[..place.to_usize().min(text.len())];
    let newlines = before.iter().filter(|byte| **byte == b'\n').count();
    u32::try_from(newlines).unwrap_or(u32::MAX).saturating_add(1)
}

/// What is open at one level of brackets while the tokens of a line go by.
#[derive(Default)]
struct Level {
    /// Tokens so far that the next one may be nested in.
    cost: usize,
    /// Whether a comma ends what is open. After a lambda it may only part its parameters.
    sticky: bool,
}

/// Refuses text that would make the parser recurse too deeply, by its tokens alone: the lexer does not recurse.
///
/// Counts at least as much as the parser can nest, and for usual code not much more: per level of brackets the
/// operators, keywords and opening brackets since the last comma.
fn limit_nesting(text: &str) -> Result<(), SyntaxError> {
    use TokenKind as T;
    let mut tokens = lexer::lex(text, Mode::Module);
    let mut levels = vec![Level::default()];
    let mut depth = 0;
    let mut indent = 0;
    let mut consumed = TextSize::default();
    loop {
        let level = levels.last_mut().expect("the outermost level is never closed");
        let mut cost = 0;
        match tokens.next_token() {
            T::EndOfFile => return Ok(()),
            T::Newline => {
                levels = vec![Level::default()];
                depth = 0;
            }
            T::Indent => indent += 1,
            T::Dedent => indent -= 1,
            T::Comma if !level.sticky => {
                depth -= level.cost;
                level.cost = 0;
            }
            T::Lpar | T::Lsqb | T::Lbrace => {
                level.cost += 1;
                depth += 1;
                levels.push(Level::default());
            }
            T::Rpar | T::Rsqb | T::Rbrace if levels.len() > 1 => {
                depth -= levels.pop().map_or(0, |level| level.cost);
            }
            T::Name | T::Int | T::Float | T::Complex | T::String | T::True | T::False | T::None | T::Ellipsis => {}
            T::FStringStart | T::FStringMiddle | T::FStringEnd => {}
            T::TStringStart | T::TStringMiddle | T::TStringEnd => {}
            T::Case | T::Match | T::Type | T::Lazy => {}
            T::Comment | T::NonLogicalNewline | T::Colon | T::Comma => {}
            kind => {
                cost = 1;
                let plain = matches!(
                    kind,
                    T::And | T::As | T::Else | T::For | T::From | T::If | T::Import | T::In | T::Is | T::Not | T::Or
                );
                level.sticky |= kind.is_keyword() && !plain;
            }
        }
        let _ = (&mut consumed, cost);
        if let Some(level) = levels.last_mut() {
            level.cost += cost;
            depth += cost;
        }
        if depth > MAX_DEPTH || indent > MAX_INDENT {
            break;
        }
    }
    let _ = consumed;
    Err(SyntaxError { line: 0, message: "nested too deeply".into() })
}
