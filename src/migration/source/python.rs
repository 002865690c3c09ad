//! Python source, parsed but never run.

use std::borrow::Cow;
use std::io;
use std::thread;

use ruff_python_ast::token::TokenKind;
use ruff_python_ast::{Expr, ModModule, Stmt, StmtExpr};
use ruff_python_parser::{Mode, lexer, parse_module};
use ruff_text_size::{Ranged, TextSize};

/// Deepest nesting that is parsed. The parser, the syntax tree and everything that walks it recurse.
const MAX_DEPTH: usize = 1000;

/// Deepest indentation, the same as CPython's (`MAXINDENT` in its tokenizer).
const MAX_INDENT: usize = 100;

/// Stack of the thread that parses, in bytes: ten times what [`MAX_DEPTH`] was seen to need.
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

/// The docstring of a module's, class's or function's body.
pub(crate) fn docstring(body: &[Stmt]) -> Option<&str> {
    match body.first()? {
        Stmt::Expr(StmtExpr { value, .. }) => value.as_string_literal_expr().map(|text| text.value.to_str()),
        _ => None,
    }
}

/// Whether a top-level statement gives the module this attribute, other than as `None`.
pub(crate) fn binds(stmt: &Stmt, name: &str) -> bool {
    match stmt {
        Stmt::FunctionDef(function) => function.name.id == name,
        Stmt::Assign(assign) => {
            !assign.value.is_none_literal_expr() && assign.targets.iter().any(|target| is_name(target, name))
        }
        Stmt::ImportFrom(import) => {
            import.names.iter().any(|alias| alias.asname.as_ref().unwrap_or(&alias.name).id == name)
        }
        _ => false,
    }
}

pub(crate) fn is_name(expr: &Expr, name: &str) -> bool {
    expr.as_name_expr().is_some_and(|found| found.id == name)
}

/// The first line of a module's docstring.
pub(crate) fn summary(body: &[Stmt]) -> Option<String> {
    let text = docstring(body)?;
    text.lines().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned)
}

/// Whether a module brings a rollback that undoes something.
///
/// Script generators write `def rollback(ckpt): return ckpt`. Running that would leave the checkpoint as it is and
/// say that it was undone, so it is no rollback.
pub(crate) fn has_rollback(body: &[Stmt]) -> bool {
    body.iter().rev().find(|stmt| binds(stmt, "rollback")).is_some_and(|stmt| !is_identity(stmt))
}

/// Whether a function does nothing but give back its first parameter.
pub(crate) fn is_identity(stmt: &Stmt) -> bool {
    let Stmt::FunctionDef(function) = stmt else { return false };
    let parameters = &function.parameters;
    let first = parameters.posonlyargs.iter().chain(&parameters.args).next();
    let does_something = |stmt: &&Stmt| match stmt {
        Stmt::Pass(_) => false,
        Stmt::Expr(StmtExpr { value, .. }) => !value.is_literal_expr(),
        _ => true,
    };
    match function.body.iter().filter(does_something).collect::<Vec<_>>().as_slice() {
        [Stmt::Return(returned)] => match (&returned.value, first) {
            (Some(value), Some(first)) => is_name(value, &first.parameter.name.id),
            _ => false,
        },
        _ => false,
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
                message: format!("not valid Python: {}", error.error),
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
    open: usize,
    /// Whether a comma ends them. After `lambda` or `yield` it need not.
    sticky: bool,
}

/// Refuses text that would make the parser recurse too deeply, by its tokens alone: the lexer does not recurse.
fn limit_nesting(text: &str) -> Result<(), SyntaxError> {
    if !nests_too_deeply(text) {
        return Ok(());
    }
    // The lexer does not tell places, so the line is the last of the shortest text that nests too deeply.
    let ends: Vec<usize> = text.match_indices('\n').map(|(at, _)| at + 1).chain([text.len()]).collect();
    let lines = ends.partition_point(|&end| !nests_too_deeply(&text[..end]));
    let line = u32::try_from(lines).unwrap_or(u32::MAX).saturating_add(1);
    Err(SyntaxError { line, message: "nested too deeply".into() })
}

/// Counts at least as much as the parser can nest, and for usual code not much more: per level of brackets the
/// operators, keywords and brackets since the last comma.
fn nests_too_deeply(text: &str) -> bool {
    use TokenKind as T;
    let mut tokens = lexer::lex(text, Mode::Module);
    let mut levels = vec![Level::default()];
    let mut depth = 0_usize;
    let mut indent = 0_usize;
    while depth <= MAX_DEPTH && indent <= MAX_INDENT {
        let kind = tokens.next_token();
        let level = levels.last_mut().expect("the outermost level is not popped");
        match kind {
            T::EndOfFile => return false,
            T::Newline => {
                levels = vec![Level::default()];
                depth = 0;
            }
            T::Indent => indent += 1,
            T::Dedent => indent = indent.saturating_sub(1),
            T::Comma => {
                if !level.sticky {
                    depth -= std::mem::take(&mut level.open);
                }
            }
            T::Rpar | T::Rsqb | T::Rbrace => {
                if levels.len() > 1 {
                    depth -= levels.pop().map_or(0, |level| level.open);
                }
            }
            T::Name
            | T::Case
            | T::Match
            | T::Type
            | T::Lazy
            | T::Colon
            | T::Comment
            | T::NonLogicalNewline => {}
            T::Int | T::Float | T::Complex | T::True | T::False | T::None | T::Ellipsis | T::String => {}
            T::FStringStart | T::FStringMiddle | T::FStringEnd => {}
            T::TStringStart | T::TStringMiddle | T::TStringEnd => {}
            T::Lbrace => {
                // Nothing that stands before a brace is nested in by what follows it.
                depth += 1;
                levels.push(Level { open: 1, sticky: false });
            }
            _ => {
                level.open += 1;
                level.sticky |= kind.is_non_soft_keyword() && !ends_at_comma(kind);
                depth += 1;
                if matches!(kind, T::Lpar | T::Lsqb) {
                    levels.push(Level::default());
                }
            }
        }
    }
    true
}

/// Whether what the keyword opens always ends at the next comma of its level.
fn ends_at_comma(keyword: TokenKind) -> bool {
    use TokenKind as T;
    matches!(
        keyword,
        T::And | T::As | T::Else | T::For | T::From | T::If | T::Import | T::In | T::Is | T::Not | T::Or
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(source: &str) -> Result<(), SyntaxError> {
        with_module(source, |_| ()).unwrap()
    }

    /// Text that nests `n` deep, in each way that the grammar has and some that it has not.
    fn deep(n: usize) -> Vec<String> {
        let wrap = |open: &str, close: &str| format!("x = {}1{}\n", open.repeat(n), close.repeat(n));
        let mut texts = vec![
            wrap("(", ")"),
            wrap("[", "]"),
            wrap("{1: ", "}"),
            wrap("f(", ")"),
            wrap("f(a=", ")"),
            wrap("not ", ""),
            wrap("- ", ""),
            wrap("lambda: ", ""),
            wrap("lambda a, b: ", ""),
            wrap("lambda a=", ": 1"),
            wrap("(yield ", ")"),
            wrap("", " if 1 else 1"),
            wrap("", " ** 1"),
            wrap("", " + 1"),
            wrap("", " @ 1 - 1"),
            wrap("", " and 1 or 1"),
            wrap("", ".a"),
            wrap("", "()"),
            wrap("", "[1]"),
            wrap("(a := ", ")"),
            wrap("[1 for a in ", "]"),
            wrap("await ", ""),
            wrap("*", ""),
            wrap("yield 1, ", ""),
            wrap("[a, ", ""),
            wrap("x = ", ""),
            format!("match x:\n case {}a{}: pass\n", "[".repeat(n), "]".repeat(n)),
            format!("match x:\n case {}a{}: pass\n", "C(a=".repeat(n), ")".repeat(n)),
            format!("with {}a{}: pass\n", "(".repeat(n), ")".repeat(n)),
            format!("{}pass\n", "if x: ".repeat(n)),
            format!("def f{}: pass\n", "[T: ".repeat(n)),
            format!("del {}a{}\n", "(".repeat(n), ")".repeat(n)),
            format!("{}1{}\n", "f'{".repeat(n), "}'".repeat(n)),
            format!("f'{}{}'\n", "{1:".repeat(n), "}".repeat(n)),
        ];
        texts.push(texts.iter().map(|text| format!("(\n{text}")).collect());
        texts
    }

    fn indented(n: usize) -> String {
        let blocks: String = (0..n).map(|level| format!("{}if x:\n", " ".repeat(level))).collect();
        blocks + &" ".repeat(n) + "pass\n"
    }

    #[test]
    fn deep_nesting_of_every_kind_is_refused_or_parsed_but_never_overflows_the_stack() {
        for n in [MAX_DEPTH / 2 - 10, MAX_DEPTH, 20_000] {
            for text in deep(n) {
                let result = parse(&text);
                let start: String = text.chars().take(30).collect();
                assert!(n <= MAX_DEPTH || result.is_err(), "`{start}` {n} times was taken");
            }
        }
        assert_eq!(parse(&indented(99)), Ok(()));
        assert_eq!(parse(&indented(1000)).unwrap_err().message, "nested too deeply");
    }

    #[test]
    fn large_tables_are_not_deep() {
        let rows = "    ('a.b', [1, -2.5, f(x).y], {'k': None}, not x, a if b else c),\n".repeat(5000);
        assert_eq!(parse(&format!("table = [\n{rows}]\n")), Ok(()));
        let strings = "    'text' f'{more}'\n".repeat(5000);
        assert_eq!(parse(&format!("text = (\n{strings})\n")), Ok(()));
        let branches = "elif x == 1:\n    y = 2\n".repeat(5000);
        assert_eq!(parse(&format!("if x:\n    pass\n{branches}")), Ok(()));
    }

    #[test]
    fn an_error_names_its_line() {
        for (source, line) in
            [("a = 1\nb = (\n", 3), ("a\r\nb\rc = = 1\n", 3), ("a = '''\n'''\nb c\n", 3), ("\0", 1)]
        {
            assert_eq!(parse(source).unwrap_err().line, line, "{source:?}");
        }
        let deep = format!("a = 1\nb = '''\n'''\nc = {}\n", "(".repeat(2000));
        assert_eq!(parse(&deep).unwrap_err().line, 4);
    }
}
