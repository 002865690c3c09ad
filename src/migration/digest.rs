//! The digest of a migration: the hash of what its source says, however it is written down.
//!
//! It is the BLAKE3 of a *canonical form* of the syntax tree. The form is ours and fixed: neither the version of a
//! Python interpreter nor the names in the parser's own structures take part, so a digest stays the same for as
//! long as [`FORMAT`] does. Whoever changes the form changes that line.
//!
//! What makes no difference: comments, line endings, line breaks, indentation, spaces, redundant parentheses and
//! trailing commas; quotes, prefix and escapes of a string that has the same value; joined or separate
//! neighbouring literals; the spelling of a number; `elif` or `else: if`; docstrings; and the top-level statement
//! that assigns `metadata`. Everything else does, also names, annotations, imports and the order of statements.
//!
//! The form is text. A node is `(Name field field)` with the names and the order of fields of Python's own grammar
//! (<https://docs.python.org/3/library/ast.html>), a list `[item item]`, an absent field `-`, a flag `0` or `1`, a
//! text `length:text` with its length in bytes, bytes and floats hexadecimal digits (floats as IEEE 754 bits).

use std::fmt::Write;

use num_bigint::BigUint;
use num_traits::Num;
use ruff_python_ast as ast;
use ruff_python_ast::{Expr, InterpolatedStringElement as Piece, Pattern, Stmt};
use ruff_text_size::Ranged;

use super::source::python::{Module, docstring};
use crate::object::ObjectId;

/// The first line of every canonical form.
const FORMAT: &str = "ckstore migration 1\n";

/// Longest number that is turned into decimal digits, as long as CPython's own limit for decimal ones.
const MAX_DIGITS: usize = 4300;

/// The digest of a parsed module, leaving out the top-level statements that `skip` chooses.
pub(crate) fn digest(module: &Module<'_>, skip: impl Fn(&Stmt) -> bool) -> ObjectId {
    ObjectId::of(canonical_form(module, skip).as_bytes())
}

fn canonical_form(module: &Module<'_>, skip: impl Fn(&Stmt) -> bool) -> String {
    let mut form = Form { module, out: FORMAT.to_owned() };
    let body = without_docstring(&module.syntax.body);
    form.list(body.iter().filter(|stmt| !skip(stmt)), Form::stmt);
    form.out
}

fn without_docstring(body: &[Stmt]) -> &[Stmt] {
    if docstring(body).is_some() { &body[1..] } else { body }
}

/// Writes the canonical form. It recurses as deep as the tree is nested, which the parser has bounded.
struct Form<'m, 'a> {
    module: &'m Module<'a>,
    out: String,
}

impl Form<'_, '_> {
    fn node(&mut self, name: &str, fields: impl FnOnce(&mut Self)) {
        self.out.push('(');
        self.out.push_str(name);
        fields(self);
        self.out.push(')');
    }

    fn list<T>(&mut self, items: impl IntoIterator<Item = T>, item: impl Fn(&mut Self, T)) {
        self.out.push('[');
        items.into_iter().for_each(|value| item(self, value));
        self.out.push(']');
    }

    fn option<T>(&mut self, value: Option<T>, some: impl FnOnce(&mut Self, T)) {
        match value {
            Some(value) => some(self, value),
            None => self.out.push('-'),
        }
    }

    fn flag(&mut self, flag: bool) {
        self.out.push(if flag { '1' } else { '0' });
    }

    fn text(&mut self, text: &str) {
        write!(self.out, "{}:{text}", text.len()).expect("a string takes all text");
    }

    fn name(&mut self, name: &ast::Identifier) {
        self.text(&name.id);
    }

    fn names(&mut self, names: &[ast::Identifier]) {
        self.list(names, Form::name);
    }

    fn maybe_name(&mut self, name: Option<&ast::Identifier>) {
        self.option(name, Form::name);
    }

    fn exprs(&mut self, exprs: &[Expr]) {
        self.list(exprs, Form::expr);
    }

    fn maybe(&mut self, expr: Option<&Expr>) {
        self.option(expr, Form::expr);
    }

    fn body(&mut self, body: &[Stmt]) {
        self.list(body, Form::stmt);
    }

    /// The body of a function or class.
    fn documented_body(&mut self, body: &[Stmt]) {
        self.body(without_docstring(body));
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match stmt {
            Stmt::FunctionDef(s) => {
                self.node(if s.is_async { "AsyncFunctionDef" } else { "FunctionDef" }, |f| {
                    f.name(&s.name);
                    f.parameters(&s.parameters);
                    f.documented_body(&s.body);
                    f.list(&s.decorator_list, |f, decorator| f.expr(&decorator.expression));
                    f.maybe(s.returns.as_deref());
                    f.type_params(s.type_params.as_deref());
                });
            }
            Stmt::ClassDef(s) => self.node("ClassDef", |f| {
                f.name(&s.name);
                f.arguments(s.arguments.as_deref());
                f.documented_body(&s.body);
                f.list(&s.decorator_list, |f, decorator| f.expr(&decorator.expression));
                f.type_params(s.type_params.as_deref());
            }),
            Stmt::Return(s) => self.node("Return", |f| f.maybe(s.value.as_deref())),
            Stmt::Delete(s) => self.node("Delete", |f| f.exprs(&s.targets)),
            Stmt::TypeAlias(s) => self.node("TypeAlias", |f| {
                f.expr(&s.name);
                f.type_params(s.type_params.as_deref());
                f.expr(&s.value);
            }),
            Stmt::Assign(s) => self.node("Assign", |f| {
                f.exprs(&s.targets);
                f.expr(&s.value);
            }),
            Stmt::AugAssign(s) => self.node("AugAssign", |f| {
                f.expr(&s.target);
                f.out.push_str(operator(s.op));
                f.expr(&s.value);
            }),
            Stmt::AnnAssign(s) => self.node("AnnAssign", |f| {
                f.expr(&s.target);
                f.expr(&s.annotation);
                f.maybe(s.value.as_deref());
                f.flag(s.simple);
            }),
            Stmt::For(s) => self.node(if s.is_async { "AsyncFor" } else { "For" }, |f| {
                f.expr(&s.target);
                f.expr(&s.iter);
                f.body(&s.body);
                f.body(&s.orelse);
            }),
            Stmt::While(s) => self.node("While", |f| {
                f.expr(&s.test);
                f.body(&s.body);
                f.body(&s.orelse);
            }),
            Stmt::If(s) => self.branches(s),
            Stmt::With(s) => self.node(if s.is_async { "AsyncWith" } else { "With" }, |f| {
                f.list(&s.items, |f, item| {
                    f.expr(&item.context_expr);
                    f.maybe(item.optional_vars.as_deref());
                });
                f.body(&s.body);
            }),
            Stmt::Match(s) => self.node("Match", |f| {
                f.expr(&s.subject);
                f.list(&s.cases, |f, case| {
                    f.pattern(&case.pattern);
                    f.maybe(case.guard.as_deref());
                    f.body(&case.body);
                });
            }),
            Stmt::Raise(s) => self.node("Raise", |f| {
                f.maybe(s.exc.as_deref());
                f.maybe(s.cause.as_deref());
            }),
            Stmt::Try(s) => self.node(if s.is_star { "TryStar" } else { "Try" }, |f| {
                f.body(&s.body);
                f.list(&s.handlers, |f, ast::ExceptHandler::ExceptHandler(handler)| {
                    f.maybe(handler.type_.as_deref());
                    f.maybe_name(handler.name.as_ref());
                    f.body(&handler.body);
                });
                f.body(&s.orelse);
                f.body(&s.finalbody);
            }),
            Stmt::Assert(s) => self.node("Assert", |f| {
                f.expr(&s.test);
                f.maybe(s.msg.as_deref());
            }),
            Stmt::Import(s) => self.node("Import", |f| {
                f.aliases(&s.names);
                f.flag(s.is_lazy);
            }),
            Stmt::ImportFrom(s) => self.node("ImportFrom", |f| {
                f.maybe_name(s.module.as_ref());
                f.aliases(&s.names);
                f.text(&s.level.to_string());
                f.flag(s.is_lazy);
            }),
            Stmt::Global(s) => self.node("Global", |f| f.names(&s.names)),
            Stmt::Nonlocal(s) => self.node("Nonlocal", |f| f.names(&s.names)),
            Stmt::Expr(s) => self.node("Expr", |f| f.expr(&s.value)),
            Stmt::Pass(_) => self.node("Pass", |_| ()),
            Stmt::Break(_) => self.node("Break", |_| ()),
            Stmt::Continue(_) => self.node("Continue", |_| ()),
            // No module has one, only notebooks do.
            Stmt::IpyEscapeCommand(s) => self.node("Escape", |f| f.text(&s.value)),
        }
    }

    /// An `if` with its branches, each `elif` as an `if` inside of the `else` before it. A loop: a chain can be
    /// long.
    fn branches(&mut self, s: &ast::StmtIf) {
        self.out.push_str("(If");
        self.expr(&s.test);
        self.body(&s.body);
        let mut open = 0;
        let mut closed_by_else = false;
        for clause in &s.elif_else_clauses {
            match &clause.test {
                Some(test) => {
                    self.out.push_str("[(If");
                    self.expr(test);
                    self.body(&clause.body);
                    open += 1;
                }
                None => {
                    self.body(&clause.body);
                    closed_by_else = true;
                }
            }
        }
        if !closed_by_else {
            self.out.push_str("[]");
        }
        self.out.push_str(&")]".repeat(open));
        self.out.push(')');
    }

    fn aliases(&mut self, names: &[ast::Alias]) {
        self.list(names, |f, alias| {
            f.name(&alias.name);
            f.maybe_name(alias.asname.as_ref());
        });
    }

    fn arguments(&mut self, arguments: Option<&ast::Arguments>) {
        self.exprs(arguments.map_or(&[], |a| &a.args));
        self.list(arguments.map_or(&[][..], |a| &a.keywords), |f, keyword| {
            f.maybe_name(keyword.arg.as_ref());
            f.expr(&keyword.value);
        });
    }

    fn parameters(&mut self, p: &ast::Parameters) {
        self.node("arguments", |f| {
            for group in [&p.posonlyargs, &p.args, &p.kwonlyargs] {
                f.list(group, |f, parameter| {
                    f.parameter(&parameter.parameter);
                    f.maybe(parameter.default.as_deref());
                });
            }
            f.option(p.vararg.as_deref(), Form::parameter);
            f.option(p.kwarg.as_deref(), Form::parameter);
        });
    }

    fn parameter(&mut self, parameter: &ast::Parameter) {
        self.name(&parameter.name);
        self.maybe(parameter.annotation.as_deref());
    }

    fn type_params(&mut self, params: Option<&ast::TypeParams>) {
        self.list(params.map_or(&[][..], |p| &p.type_params), |f, param| match param {
            ast::TypeParam::TypeVar(p) => f.node("TypeVar", |f| {
                f.name(&p.name);
                f.maybe(p.bound.as_deref());
                f.maybe(p.default.as_deref());
            }),
            ast::TypeParam::TypeVarTuple(p) => f.node("TypeVarTuple", |f| {
                f.name(&p.name);
                f.maybe(p.default.as_deref());
            }),
            ast::TypeParam::ParamSpec(p) => f.node("ParamSpec", |f| {
                f.name(&p.name);
                f.maybe(p.default.as_deref());
            }),
        });
    }

    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::BoolOp(e) => self.node("BoolOp", |f| {
                f.out.push_str(match e.op {
                    ast::BoolOp::And => " And",
                    ast::BoolOp::Or => " Or",
                });
                f.exprs(&e.values);
            }),
            Expr::Named(e) => self.node("NamedExpr", |f| {
                f.expr(&e.target);
                f.expr(&e.value);
            }),
            Expr::BinOp(e) => self.node("BinOp", |f| {
                f.expr(&e.left);
                f.out.push_str(operator(e.op));
                f.expr(&e.right);
            }),
            Expr::UnaryOp(e) => self.node("UnaryOp", |f| {
                f.out.push_str(match e.op {
                    ast::UnaryOp::Invert => " Invert",
                    ast::UnaryOp::Not => " Not",
                    ast::UnaryOp::UAdd => " UAdd",
                    ast::UnaryOp::USub => " USub",
                });
                f.expr(&e.operand);
            }),
            Expr::Lambda(e) => self.node("Lambda", |f| {
                f.option(e.parameters.as_deref(), Form::parameters);
                f.expr(&e.body);
            }),
            Expr::If(e) => self.node("IfExp", |f| {
                f.expr(&e.test);
                f.expr(&e.body);
                f.expr(&e.orelse);
            }),
            Expr::Dict(e) => self.node("Dict", |f| {
                f.list(&e.items, |f, item| {
                    f.maybe(item.key.as_ref());
                    f.expr(&item.value);
                });
            }),
            Expr::Set(e) => self.node("Set", |f| f.exprs(&e.elts)),
            Expr::ListComp(e) => self.node("ListComp", |f| f.comprehension(&[&e.elt], &e.generators)),
            Expr::SetComp(e) => self.node("SetComp", |f| f.comprehension(&[&e.elt], &e.generators)),
            Expr::DictComp(e) => {
                self.node("DictComp", |f| f.comprehension(&[&e.key, &e.value], &e.generators));
            }
            Expr::Generator(e) => self.node("GeneratorExp", |f| f.comprehension(&[&e.elt], &e.generators)),
            Expr::Await(e) => self.node("Await", |f| f.expr(&e.value)),
            Expr::Yield(e) => self.node("Yield", |f| f.maybe(e.value.as_deref())),
            Expr::YieldFrom(e) => self.node("YieldFrom", |f| f.expr(&e.value)),
            Expr::Compare(e) => self.node("Compare", |f| {
                f.expr(&e.left);
                f.list(&e.ops, |f, op| f.out.push_str(comparison(*op)));
                f.exprs(&e.comparators);
            }),
            Expr::Call(e) => self.node("Call", |f| {
                f.expr(&e.func);
                f.arguments(Some(&e.arguments));
            }),
            Expr::FString(e) => {
                let mut pieces = Vec::new();
                for part in &e.value {
                    match part {
                        ast::FStringPart::Literal(literal) => {
                            push_literal(&mut pieces, self.literal(&literal.value, literal));
                        }
                        ast::FStringPart::FString(string) => {
                            self.pieces(&string.elements, &mut pieces, false)
                        }
                    }
                }
                self.interpolated("JoinedStr", &pieces);
            }
            Expr::TString(e) => {
                let mut pieces = Vec::new();
                for part in &e.value {
                    self.pieces(&part.elements, &mut pieces, true);
                }
                self.interpolated("TemplateStr", &pieces);
            }
            Expr::StringLiteral(e) => {
                let parts: String = e.value.iter().map(|part| self.literal(&part.value, part)).collect();
                self.node("Str", |f| f.text(&parts));
            }
            Expr::BytesLiteral(e) => self.node("Bytes", |f| {
                for byte in e.value.bytes() {
                    write!(f.out, "{byte:02x}").expect("a string takes all text");
                }
            }),
            Expr::NumberLiteral(e) => self.number(&e.value),
            Expr::BooleanLiteral(e) => self.node("Bool", |f| f.flag(e.value)),
            Expr::NoneLiteral(_) => self.node("None", |_| ()),
            Expr::EllipsisLiteral(_) => self.node("Ellipsis", |_| ()),
            Expr::Attribute(e) => self.node("Attribute", |f| {
                f.expr(&e.value);
                f.name(&e.attr);
            }),
            Expr::Subscript(e) => self.node("Subscript", |f| {
                f.expr(&e.value);
                f.expr(&e.slice);
            }),
            Expr::Starred(e) => self.node("Starred", |f| f.expr(&e.value)),
            Expr::Name(e) => self.node("Name", |f| f.text(&e.id)),
            Expr::List(e) => self.node("List", |f| f.exprs(&e.elts)),
            Expr::Tuple(e) => self.node("Tuple", |f| f.exprs(&e.elts)),
            Expr::Slice(e) => self.node("Slice", |f| {
                f.maybe(e.lower.as_deref());
                f.maybe(e.upper.as_deref());
                f.maybe(e.step.as_deref());
            }),
            Expr::IpyEscapeCommand(e) => self.node("Escape", |f| f.text(&e.value)),
        }
    }

    fn comprehension(&mut self, elements: &[&Expr], generators: &[ast::Comprehension]) {
        elements.iter().for_each(|element| self.expr(element));
        self.list(generators, |f, generator| {
            f.expr(&generator.target);
            f.expr(&generator.iter);
            f.exprs(&generator.ifs);
            f.flag(generator.is_async);
        });
    }

    fn number(&mut self, number: &ast::Number) {
        match number {
            ast::Number::Int(int) => self.node("Int", |f| f.text(&decimal(&int.to_string()))),
            ast::Number::Float(float) => self.node("Float", |f| f.float(*float)),
            ast::Number::Complex { real, imag } => self.node("Complex", |f| {
                f.float(*real);
                f.float(*imag);
            }),
        }
    }

    fn float(&mut self, float: f64) {
        write!(self.out, "{:016x}", float.to_bits()).expect("a string takes all text");
    }

    /// The value of a literal. The parser reads half a surrogate pair (`\ud800`), which Rust's text cannot hold,
    /// as the replacement character; then the literal's own text tells it from others.
    fn literal(&self, value: &str, literal: impl Ranged) -> String {
        if value.contains(char::REPLACEMENT_CHARACTER) {
            let written = self.module.text(literal);
            let lower = written.to_ascii_lowercase();
            if lower.contains("\\ud") || lower.contains("\\u0000d") {
                return format!("{value}\0{written}");
            }
        }
        value.to_owned()
    }

    /// Adds the pieces of one string, neighbouring literals joined.
    fn pieces<'p>(&self, elements: &'p [Piece], pieces: &mut Vec<JoinedPiece<'p>>, with_source: bool) {
        for element in elements {
            match element {
                Piece::Literal(literal) => push_literal(pieces, self.literal(&literal.value, literal)),
                Piece::Interpolation(field) => {
                    if let Some(debug) = &field.debug_text {
                        // `{a + b = }` shows its own text.
                        let shown = self.module.text(&*field.expression);
                        push_literal(pieces, format!("{}{shown}{}", debug.leading, debug.trailing));
                    }
                    let source = with_source.then(|| self.module.text(&*field.expression).to_owned());
                    pieces.push(JoinedPiece::Field { field, source });
                }
            }
        }
    }

    fn interpolated(&mut self, name: &str, pieces: &[JoinedPiece<'_>]) {
        self.node(name, |f| {
            f.list(pieces, |f, piece| match piece {
                JoinedPiece::Literal(text) => f.text(text),
                JoinedPiece::Field { field, source } => f.node("FormattedValue", |f| {
                    f.expr(&field.expression);
                    f.option(source.as_deref(), Form::text);
                    f.out.push_str(match field.conversion {
                        // `{a = }` shows the value as `{a!r}` does.
                        ast::ConversionFlag::None
                            if field.debug_text.is_some() && field.format_spec.is_none() =>
                        {
                            "r"
                        }
                        ast::ConversionFlag::None => "-",
                        ast::ConversionFlag::Str => "s",
                        ast::ConversionFlag::Ascii => "a",
                        ast::ConversionFlag::Repr => "r",
                    });
                    f.option(field.format_spec.as_deref(), |f, spec| {
                        let mut pieces = Vec::new();
                        f.pieces(&spec.elements, &mut pieces, source.is_some());
                        f.interpolated("JoinedStr", &pieces);
                    });
                }),
            });
        });
    }

    fn pattern(&mut self, pattern: &Pattern) {
        match pattern {
            Pattern::MatchValue(p) => self.node("MatchValue", |f| f.expr(&p.value)),
            Pattern::MatchSingleton(p) => self.node("MatchSingleton", |f| {
                f.out.push_str(match p.value {
                    ast::Singleton::None => " None",
                    ast::Singleton::True => " True",
                    ast::Singleton::False => " False",
                });
            }),
            Pattern::MatchSequence(p) => self.node("MatchSequence", |f| f.list(&p.patterns, Form::pattern)),
            Pattern::MatchMapping(p) => self.node("MatchMapping", |f| {
                f.exprs(&p.keys);
                f.list(&p.patterns, Form::pattern);
                f.maybe_name(p.rest.as_ref());
            }),
            Pattern::MatchClass(p) => self.node("MatchClass", |f| {
                f.expr(&p.cls);
                f.list(&p.arguments.patterns, Form::pattern);
                f.list(&p.arguments.keywords, |f, keyword| {
                    f.name(&keyword.attr);
                    f.pattern(&keyword.pattern);
                });
            }),
            Pattern::MatchStar(p) => self.node("MatchStar", |f| f.maybe_name(p.name.as_ref())),
            Pattern::MatchAs(p) => self.node("MatchAs", |f| {
                f.option(p.pattern.as_deref(), Form::pattern);
                f.maybe_name(p.name.as_ref());
            }),
            Pattern::MatchOr(p) => self.node("MatchOr", |f| f.list(&p.patterns, Form::pattern)),
        }
    }
}

/// A piece of an interpolated string.
enum JoinedPiece<'p> {
    Literal(String),
    Field {
        field: &'p ast::InterpolatedElement,
        /// The text of the expression, which a template string shows to the program.
        source: Option<String>,
    },
}

fn push_literal(pieces: &mut Vec<JoinedPiece<'_>>, text: String) {
    if let Some(JoinedPiece::Literal(last)) = pieces.last_mut() {
        last.push_str(&text);
    } else if !text.is_empty() {
        pieces.push(JoinedPiece::Literal(text));
    }
}

/// A whole number in decimal digits. The parser keeps large ones as they are written, and so does this from
/// [`MAX_DIGITS`] on, as turning a number into another base takes time in the square of its length.
pub(super) fn decimal(written: &str) -> String {
    let digits = written.replace('_', "").to_ascii_lowercase();
    let radix = match digits.get(..2).filter(|_| digits.len() <= MAX_DIGITS) {
        Some("0x") => 16,
        Some("0o") => 8,
        Some("0b") => 2,
        _ => return digits,
    };
    BigUint::from_str_radix(&digits[2..], radix).map_or(digits, |value| value.to_string())
}

fn operator(operator: ast::Operator) -> &'static str {
    match operator {
        ast::Operator::Add => " Add ",
        ast::Operator::Sub => " Sub ",
        ast::Operator::Mult => " Mult ",
        ast::Operator::MatMult => " MatMult ",
        ast::Operator::Div => " Div ",
        ast::Operator::Mod => " Mod ",
        ast::Operator::Pow => " Pow ",
        ast::Operator::LShift => " LShift ",
        ast::Operator::RShift => " RShift ",
        ast::Operator::BitOr => " BitOr ",
        ast::Operator::BitXor => " BitXor ",
        ast::Operator::BitAnd => " BitAnd ",
        ast::Operator::FloorDiv => " FloorDiv ",
    }
}

fn comparison(operator: ast::CmpOp) -> &'static str {
    match operator {
        ast::CmpOp::Eq => " Eq",
        ast::CmpOp::NotEq => " NotEq",
        ast::CmpOp::Lt => " Lt",
        ast::CmpOp::LtE => " LtE",
        ast::CmpOp::Gt => " Gt",
        ast::CmpOp::GtE => " GtE",
        ast::CmpOp::Is => " Is",
        ast::CmpOp::IsNot => " IsNot",
        ast::CmpOp::In => " In",
        ast::CmpOp::NotIn => " NotIn",
    }
}

#[cfg(test)]
mod tests {
    use super::super::source::python::with_module;
    use super::*;

    fn form(source: &str) -> String {
        with_module(source, |module| canonical_form(module, |_| false))
            .unwrap()
            .unwrap_or_else(|e| panic!("{e}"))
    }

    #[test]
    fn the_form_is_as_documented() {
        let source = "\"doc\"\ndef f(a, /, b: int = -1, *c, d=2.0, **e) -> None:\n    'doc'\n    x[0], y = a.b, f'{a!r:>{b}} {{'\n";
        let expected = concat!(
            "ckstore migration 1\n",
            "[(FunctionDef1:f(arguments[1:a--][1:b(Name3:int)(UnaryOp USub(Int1:1))]",
            "[1:d-(Float4000000000000000)]1:c-1:e-)",
            "[(Assign[(Tuple[(Subscript(Name1:x)(Int1:0))(Name1:y)])]",
            "(Tuple[(Attribute(Name1:a)1:b)",
            "(JoinedStr[(FormattedValue(Name1:a)-r(JoinedStr[1:>(FormattedValue(Name1:b)---)]))2: {])]))]",
            "[](None)[])]",
        );
        assert_eq!(form(source), expected);
    }

    #[test]
    fn a_digest_does_not_change_between_releases() {
        let id = ObjectId::of(form("def migrate(ckpt):\n    return ckpt\n").as_bytes());
        assert_eq!(id.to_string(), "eb04a13d7f332341f502a4cacdd7f4c88524a6a64c4446524fd5b6cb72d52b57");
    }

    #[test]
    fn only_what_the_source_says_makes_a_difference() {
        let cases: &[(&str, &str, bool)] = &[
            ("f(a, b)", "f(\n  a,  # first\n  b,\n)  # both\n\n", true),
            ("if a:\n  b\n", "if a:\r\n\t b\r\n", true),
            ("x = '''a\nb'''", "x = '''a\r\nb'''", true),
            ("x = a + b", "x = (a + (b))", true),
            ("x = a \\\n + b", "x = a + b", true),
            ("x = 'a\"b'", "x = \"a\\\"b\"", true),
            ("x = u'a' r'\\n'", "x = 'a\\\\n'", true),
            ("x = b'a' b'b'", "x = B'\\x61b'", true),
            ("x = f'a{b}' 'c' f'd'", "x = f\"a{b}cd\"", true),
            ("x = f'{b=}'", "x = f'b={b!r}'", true),
            ("x = 1_000, 0x10, 1e3, 2J", "x = (1000, 16, 1000.0, 2.0j)", true),
            ("x = 0xFFFFFFFFFFFFFFFFFF", "x = 4_722_366_482_869_645_213_695", true),
            ("if a: b\nelif c: d\nelse: e", "if a:\n b\nelse:\n if c:\n  d\n else:\n  e", true),
            ("if a: b\nelif c: d\nelif e: f", "if a:\n b\nelse:\n if c:\n  d\n elif e:\n  f", true),
            ("def f():\n 'doc'\n return 1", "def f():\n \"\"\"Other.\"\"\"\n return 1", true),
            ("'doc'\nx = 1", "x = 1", true),
            ("class A():\n 'doc'\n x = 1", "class A:\n x = 1", true),
            ("x = \"\\N{BULLET}\"", "x = '•'", true),
            ("ﬁ = 1", "fi = 1", true),
            ("match x:\n case [1, *_]: pass", "match x:\n case (1, *_): pass", true),
            ("x[a:b]", "x[a:b:]", true),
            ("x = 'a'", "x = b'a'", false),
            ("x = 'a'", "x = f'a'", false),
            ("x = 'a', 'b'", "x = 'a' 'b'", false),
            ("x = '\\ud800'", "x = '\\ud801'", false),
            ("x = '\\ud800'", "x = '\\ufffd'", false),
            ("x = 1", "x = 1.0", false),
            ("x = 1", "x = True", false),
            ("x = (a)", "x = (a,)", false),
            ("x = a.b", "x = ab", false),
            ("x = a - b - c", "x = a - (b - c)", false),
            ("x = a < b < c", "x = (a < b) < c", false),
            ("x = 'one'\n'two'", "x = 'one'", false),
            ("def f():\n 1\n 'no doc'", "def f():\n 1", false),
            ("def f(): pass", "def f(): return", false),
            ("def f(): pass", "async def f(): pass", false),
            ("def f(a, *, b): pass", "def f(a, b): pass", false),
            ("def f(a, /): pass", "def f(a): pass", false),
            ("def f(a: int): pass", "def f(a): pass", false),
            ("if a:\n b\nc", "if a:\n b\n c", false),
            ("if a: b\nif c: d", "if a: b\nelif c: d", false),
            ("for a in b: c\nelse: d", "for a in b: c\nd", false),
            ("x[a:b]", "x[a, b]", false),
            ("import a.b", "from a import b", false),
            ("from . import a", "from .. import a", false),
            ("x = {**a}", "x = {'a': a}", false),
            ("f(*a)", "f(a)", false),
            ("f(a=b)", "f(a == b)", false),
            ("x: int", "(x): int", false),
            ("x = f'{a!r}'", "x = f'{a!s}'", false),
            ("x = f'{a:b}'", "x = f'{a}b'", false),
            ("x = f'{a=}'", "x = f'{a =}'", false),
            ("match x:\n case A(b=1): pass", "match x:\n case A(c=1): pass", false),
            ("try: a\nexcept B: c", "try: a\nexcept* B: c", false),
            ("a\nb", "b\na", false),
        ];
        for (a, b, same) in cases {
            assert_eq!(form(a) == form(b), *same, "{a}\n---\n{b}\n---\n{}\n{}", form(a), form(b));
        }
    }

    #[test]
    fn a_long_chain_of_branches_is_not_nested() {
        let source = format!("if x: a\n{}else: c\n", "elif y: b\n".repeat(20_000));
        assert_eq!(form(&source).matches("(If").count(), 20_001);
    }
}
