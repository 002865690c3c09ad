//! The signature that anemoi-models gives a migration: the SHA-256 of CPython's `ast.dump(ast.parse(source))`.
//!
//! It is a label for upstream's tools, which warn when the one in a checkpoint's history is not that of the script
//! they have; nothing here is decided by it (that is what the digest is for). The text that `ast.dump` makes
//! changed in CPython 3.12 and 3.13; this is the form of 3.9 to 3.11
//! (<https://docs.python.org/3.11/library/ast.html>, `Lib/ast.py`).

use std::fmt::Write;

use ruff_python_ast as ast;
use ruff_python_ast::{Expr, ExprContext, InterpolatedStringElement as Piece, Pattern, Stmt};
use ruff_text_size::Ranged;
use sha2::{Digest, Sha256};

use super::digest::decimal;
use super::source::python::{Module, with_module};

/// The signature of a script's source, as 64 hexadecimal digits.
///
/// `None` for what CPython 3.11 cannot read, or holds text that has no place in UTF-8.
pub fn signature(source: &str) -> Option<String> {
    let dumped = with_module(source, dump).ok()?.ok()??;
    Some(Sha256::digest(dumped.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect())
}

fn dump(module: &Module<'_>) -> Option<String> {
    let mut dump = Dump { module, out: String::new(), is_known: true };
    dump.node("Module", |d| {
        d.field("body", |d| d.list(&module.syntax.body, Dump::stmt));
        d.field("type_ignores", |d| d.out.push_str("[]"));
    });
    dump.is_known.then_some(dump.out)
}

/// Writes the text. It recurses as deep as the tree is nested, which the parser has bounded.
struct Dump<'m, 'a> {
    module: &'m Module<'a>,
    out: String,
    /// Whether all that was met so far is something that CPython 3.11 reads.
    is_known: bool,
}

impl Dump<'_, '_> {
    fn node(&mut self, name: &str, fields: impl FnOnce(&mut Self)) {
        self.out.push_str(name);
        self.out.push('(');
        fields(self);
        self.out.push(')');
    }

    fn field(&mut self, name: &str, value: impl FnOnce(&mut Self)) {
        if !self.out.ends_with('(') {
            self.out.push_str(", ");
        }
        self.out.push_str(name);
        self.out.push('=');
        value(self);
    }

    fn list<T>(&mut self, items: impl IntoIterator<Item = T>, item: impl Fn(&mut Self, T)) {
        self.out.push('[');
        for (place, value) in items.into_iter().enumerate() {
            if place > 0 {
                self.out.push_str(", ");
            }
            item(self, value);
        }
        self.out.push(']');
    }

    fn name(&mut self, field: &str, name: &str) {
        self.field(field, |d| push_text(&mut d.out, name));
    }

    fn names<'n>(&mut self, field: &str, names: impl IntoIterator<Item = &'n ast::Identifier>) {
        self.field(field, |d| d.list(names, |d, name| push_text(&mut d.out, &name.id)));
    }

    fn maybe_name(&mut self, field: &str, name: Option<&ast::Identifier>) {
        if let Some(name) = name {
            self.name(field, &name.id);
        }
    }

    fn expr_in(&mut self, field: &str, expr: &Expr) {
        self.field(field, |d| d.expr(expr));
    }

    fn maybe_in(&mut self, field: &str, expr: Option<&Expr>) {
        if let Some(expr) = expr {
            self.expr_in(field, expr);
        }
    }

    fn exprs_in<'e>(&mut self, field: &str, exprs: impl IntoIterator<Item = &'e Expr>) {
        self.field(field, |d| d.list(exprs, Dump::expr));
    }

    fn body_in(&mut self, field: &str, body: &[Stmt]) {
        self.field(field, |d| d.list(body, Dump::stmt));
    }

    fn word(&mut self, field: &str, word: &str) {
        self.field(field, |d| d.out.push_str(word));
    }

    fn flag(&mut self, field: &str, flag: bool) {
        self.word(field, if flag { "1" } else { "0" });
    }

    fn context(&mut self, context: ExprContext) {
        self.word(
            "ctx",
            match context {
                ExprContext::Store => "Store()",
                ExprContext::Del => "Del()",
                ExprContext::Load | ExprContext::Invalid => "Load()",
            },
        );
    }

    fn unknown(&mut self) {
        self.is_known = false;
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match stmt {
            Stmt::FunctionDef(s) => {
                if s.type_params.is_some() {
                    self.unknown();
                }
                self.node(if s.is_async { "AsyncFunctionDef" } else { "FunctionDef" }, |d| {
                    d.name("name", &s.name.id);
                    d.field("args", |d| d.parameters(Some(&s.parameters)));
                    d.body_in("body", &s.body);
                    d.exprs_in(
                        "decorator_list",
                        s.decorator_list.iter().map(|decorator| &decorator.expression),
                    );
                    d.maybe_in("returns", s.returns.as_deref());
                });
            }
            Stmt::ClassDef(s) => {
                if s.type_params.is_some() {
                    self.unknown();
                }
                self.node("ClassDef", |d| {
                    d.name("name", &s.name.id);
                    d.arguments("bases", s.arguments.as_deref());
                    d.body_in("body", &s.body);
                    d.exprs_in(
                        "decorator_list",
                        s.decorator_list.iter().map(|decorator| &decorator.expression),
                    );
                });
            }
            Stmt::Return(s) => self.node("Return", |d| d.maybe_in("value", s.value.as_deref())),
            Stmt::Delete(s) => self.node("Delete", |d| d.exprs_in("targets", &s.targets)),
            Stmt::TypeAlias(_) | Stmt::IpyEscapeCommand(_) => self.unknown(),
            Stmt::Assign(s) => self.node("Assign", |d| {
                d.exprs_in("targets", &s.targets);
                d.expr_in("value", &s.value);
            }),
            Stmt::AugAssign(s) => self.node("AugAssign", |d| {
                d.expr_in("target", &s.target);
                d.word("op", operator(s.op));
                d.expr_in("value", &s.value);
            }),
            Stmt::AnnAssign(s) => self.node("AnnAssign", |d| {
                d.expr_in("target", &s.target);
                d.expr_in("annotation", &s.annotation);
                d.maybe_in("value", s.value.as_deref());
                d.flag("simple", s.simple);
            }),
            Stmt::For(s) => self.node(if s.is_async { "AsyncFor" } else { "For" }, |d| {
                d.expr_in("target", &s.target);
                d.expr_in("iter", &s.iter);
                d.body_in("body", &s.body);
                d.body_in("orelse", &s.orelse);
            }),
            Stmt::While(s) => self.node("While", |d| {
                d.expr_in("test", &s.test);
                d.body_in("body", &s.body);
                d.body_in("orelse", &s.orelse);
            }),
            Stmt::If(s) => self.branches(s),
            Stmt::With(s) => self.node(if s.is_async { "AsyncWith" } else { "With" }, |d| {
                d.field("items", |d| {
                    d.list(&s.items, |d, item| {
                        d.node("withitem", |d| {
                            d.expr_in("context_expr", &item.context_expr);
                            d.maybe_in("optional_vars", item.optional_vars.as_deref());
                        });
                    });
                });
                d.body_in("body", &s.body);
            }),
            Stmt::Match(s) => self.node("Match", |d| {
                d.expr_in("subject", &s.subject);
                d.field("cases", |d| {
                    d.list(&s.cases, |d, case| {
                        d.node("match_case", |d| {
                            d.field("pattern", |d| d.pattern(&case.pattern));
                            d.maybe_in("guard", case.guard.as_deref());
                            d.body_in("body", &case.body);
                        });
                    });
                });
            }),
            Stmt::Raise(s) => self.node("Raise", |d| {
                d.maybe_in("exc", s.exc.as_deref());
                d.maybe_in("cause", s.cause.as_deref());
            }),
            Stmt::Try(s) => self.node(if s.is_star { "TryStar" } else { "Try" }, |d| {
                d.body_in("body", &s.body);
                d.field("handlers", |d| {
                    d.list(&s.handlers, |d, ast::ExceptHandler::ExceptHandler(handler)| {
                        d.node("ExceptHandler", |d| {
                            d.maybe_in("type", handler.type_.as_deref());
                            d.maybe_name("name", handler.name.as_ref());
                            d.body_in("body", &handler.body);
                        });
                    });
                });
                d.body_in("orelse", &s.orelse);
                d.body_in("finalbody", &s.finalbody);
            }),
            Stmt::Assert(s) => self.node("Assert", |d| {
                d.expr_in("test", &s.test);
                d.maybe_in("msg", s.msg.as_deref());
            }),
            Stmt::Import(s) => {
                if s.is_lazy {
                    self.unknown();
                }
                self.node("Import", |d| d.aliases(&s.names));
            }
            Stmt::ImportFrom(s) => {
                if s.is_lazy {
                    self.unknown();
                }
                self.node("ImportFrom", |d| {
                    d.maybe_name("module", s.module.as_ref());
                    d.aliases(&s.names);
                    d.word("level", &s.level.to_string());
                });
            }
            Stmt::Global(s) => self.node("Global", |d| d.names("names", &s.names)),
            Stmt::Nonlocal(s) => self.node("Nonlocal", |d| d.names("names", &s.names)),
            Stmt::Expr(s) => self.node("Expr", |d| d.expr_in("value", &s.value)),
            Stmt::Pass(_) => self.node("Pass", |_| ()),
            Stmt::Break(_) => self.node("Break", |_| ()),
            Stmt::Continue(_) => self.node("Continue", |_| ()),
        }
    }

    /// An `if` with its branches, each `elif` as an `if` inside of the `else` before it. A loop: a chain can be
    /// long.
    fn branches(&mut self, s: &ast::StmtIf) {
        self.out.push_str("If(");
        self.expr_in("test", &s.test);
        self.body_in("body", &s.body);
        let mut open = 0;
        let mut closed_by_else = false;
        for clause in &s.elif_else_clauses {
            match &clause.test {
                Some(test) => {
                    self.out.push_str(", orelse=[If(");
                    self.expr_in("test", test);
                    self.body_in("body", &clause.body);
                    open += 1;
                }
                None => {
                    self.body_in("orelse", &clause.body);
                    closed_by_else = true;
                }
            }
        }
        if !closed_by_else {
            self.out.push_str(", orelse=[]");
        }
        self.out.push(')');
        self.out.push_str(&"])".repeat(open));
    }

    fn aliases(&mut self, names: &[ast::Alias]) {
        self.field("names", |d| {
            d.list(names, |d, alias| {
                d.node("alias", |d| {
                    d.name("name", &alias.name.id);
                    d.maybe_name("asname", alias.asname.as_ref());
                });
            });
        });
    }

    /// The positional arguments under the name that the node has for them, and the keywords.
    fn arguments(&mut self, positional: &str, arguments: Option<&ast::Arguments>) {
        self.exprs_in(positional, arguments.map_or(&[][..], |a| &a.args));
        self.field("keywords", |d| {
            d.list(arguments.map_or(&[][..], |a| &a.keywords), |d, keyword| {
                d.node("keyword", |d| {
                    d.maybe_name("arg", keyword.arg.as_ref());
                    d.expr_in("value", &keyword.value);
                });
            });
        });
    }

    fn parameters(&mut self, parameters: Option<&ast::Parameters>) {
        let empty = ast::Parameters::default();
        let p = parameters.unwrap_or(&empty);
        self.node("arguments", |d| {
            let plain = |d: &mut Self, p: &ast::ParameterWithDefault| d.parameter(&p.parameter);
            d.field("posonlyargs", |d| d.list(&p.posonlyargs, plain));
            d.field("args", |d| d.list(&p.args, plain));
            if let Some(vararg) = &p.vararg {
                d.field("vararg", |d| d.parameter(vararg));
            }
            d.field("kwonlyargs", |d| d.list(&p.kwonlyargs, plain));
            d.field("kw_defaults", |d| {
                d.list(&p.kwonlyargs, |d, p| match &p.default {
                    Some(default) => d.expr(default),
                    None => d.out.push_str("None"),
                });
            });
            if let Some(kwarg) = &p.kwarg {
                d.field("kwarg", |d| d.parameter(kwarg));
            }
            let positional = p.posonlyargs.iter().chain(&p.args);
            d.exprs_in("defaults", positional.filter_map(|p| p.default.as_deref()));
        });
    }

    fn parameter(&mut self, parameter: &ast::Parameter) {
        self.node("arg", |d| {
            d.name("arg", &parameter.name.id);
            d.maybe_in("annotation", parameter.annotation.as_deref());
        });
    }

    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::BoolOp(e) => self.node("BoolOp", |d| {
                d.word(
                    "op",
                    match e.op {
                        ast::BoolOp::And => "And()",
                        ast::BoolOp::Or => "Or()",
                    },
                );
                d.exprs_in("values", &e.values);
            }),
            Expr::Named(e) => self.node("NamedExpr", |d| {
                d.expr_in("target", &e.target);
                d.expr_in("value", &e.value);
            }),
            Expr::BinOp(e) => self.node("BinOp", |d| {
                d.expr_in("left", &e.left);
                d.word("op", operator(e.op));
                d.expr_in("right", &e.right);
            }),
            Expr::UnaryOp(e) => self.node("UnaryOp", |d| {
                d.word(
                    "op",
                    match e.op {
                        ast::UnaryOp::Invert => "Invert()",
                        ast::UnaryOp::Not => "Not()",
                        ast::UnaryOp::UAdd => "UAdd()",
                        ast::UnaryOp::USub => "USub()",
                    },
                );
                d.expr_in("operand", &e.operand);
            }),
            Expr::Lambda(e) => self.node("Lambda", |d| {
                d.field("args", |d| d.parameters(e.parameters.as_deref()));
                d.expr_in("body", &e.body);
            }),
            Expr::If(e) => self.node("IfExp", |d| {
                d.expr_in("test", &e.test);
                d.expr_in("body", &e.body);
                d.expr_in("orelse", &e.orelse);
            }),
            Expr::Dict(e) => self.node("Dict", |d| {
                d.field("keys", |d| {
                    d.list(&e.items, |d, item| match &item.key {
                        Some(key) => d.expr(key),
                        None => d.out.push_str("None"),
                    });
                });
                d.exprs_in("values", e.items.iter().map(|item| &item.value));
            }),
            Expr::Set(e) => self.node("Set", |d| d.exprs_in("elts", &e.elts)),
            Expr::ListComp(e) => {
                self.node("ListComp", |d| d.comprehension(&[("elt", &e.elt)], &e.generators))
            }
            Expr::SetComp(e) => self.node("SetComp", |d| d.comprehension(&[("elt", &e.elt)], &e.generators)),
            Expr::DictComp(e) => self.node("DictComp", |d| {
                d.comprehension(&[("key", &e.key), ("value", &e.value)], &e.generators);
            }),
            Expr::Generator(e) => {
                self.node("GeneratorExp", |d| d.comprehension(&[("elt", &e.elt)], &e.generators));
            }
            Expr::Await(e) => self.node("Await", |d| d.expr_in("value", &e.value)),
            Expr::Yield(e) => self.node("Yield", |d| d.maybe_in("value", e.value.as_deref())),
            Expr::YieldFrom(e) => self.node("YieldFrom", |d| d.expr_in("value", &e.value)),
            Expr::Compare(e) => self.node("Compare", |d| {
                d.expr_in("left", &e.left);
                d.field("ops", |d| d.list(&e.ops, |d, op| d.out.push_str(comparison(*op))));
                d.exprs_in("comparators", &e.comparators);
            }),
            Expr::Call(e) => self.node("Call", |d| {
                d.expr_in("func", &e.func);
                d.arguments("args", Some(&e.arguments));
            }),
            Expr::FString(e) => {
                let is_u = self.is_u(e);
                let mut pieces = Vec::new();
                for part in &e.value {
                    match part {
                        ast::FStringPart::Literal(literal) => {
                            let text = self.literal(&literal.value, literal);
                            push_literal(&mut pieces, &text);
                        }
                        ast::FStringPart::FString(string) => self.pieces(&string.elements, &mut pieces),
                    }
                }
                self.joined(&pieces, is_u);
            }
            Expr::TString(_) | Expr::IpyEscapeCommand(_) => self.unknown(),
            Expr::StringLiteral(e) => {
                let mut text = String::new();
                for part in &e.value {
                    text.push_str(&self.literal(&part.value, part));
                }
                let is_u = self.is_u(e);
                self.text(&text, is_u);
            }
            Expr::BytesLiteral(e) => {
                let bytes: Vec<u8> = e.value.bytes().collect();
                self.constant(|out| push_bytes(out, &bytes));
            }
            Expr::NumberLiteral(e) => self.constant(|out| match &e.value {
                ast::Number::Int(int) => out.push_str(&decimal(&int.to_string())),
                ast::Number::Float(float) => push_float(out, *float, ".0"),
                ast::Number::Complex { imag, .. } => {
                    push_float(out, *imag, "");
                    out.push('j');
                }
            }),
            Expr::BooleanLiteral(e) => {
                self.constant(|out| out.push_str(if e.value { "True" } else { "False" }))
            }
            Expr::NoneLiteral(_) => self.constant(|out| out.push_str("None")),
            Expr::EllipsisLiteral(_) => self.constant(|out| out.push_str("Ellipsis")),
            Expr::Attribute(e) => self.node("Attribute", |d| {
                d.expr_in("value", &e.value);
                d.name("attr", &e.attr.id);
                d.context(e.ctx);
            }),
            Expr::Subscript(e) => self.node("Subscript", |d| {
                d.expr_in("value", &e.value);
                d.expr_in("slice", &e.slice);
                d.context(e.ctx);
            }),
            Expr::Starred(e) => self.node("Starred", |d| {
                d.expr_in("value", &e.value);
                d.context(e.ctx);
            }),
            Expr::Name(e) => self.node("Name", |d| {
                d.name("id", &e.id);
                d.context(e.ctx);
            }),
            Expr::List(e) => self.node("List", |d| {
                d.exprs_in("elts", &e.elts);
                d.context(e.ctx);
            }),
            Expr::Tuple(e) => self.node("Tuple", |d| {
                d.exprs_in("elts", &e.elts);
                d.context(e.ctx);
            }),
            Expr::Slice(e) => self.node("Slice", |d| {
                d.maybe_in("lower", e.lower.as_deref());
                d.maybe_in("upper", e.upper.as_deref());
                d.maybe_in("step", e.step.as_deref());
            }),
        }
    }

    fn comprehension(&mut self, elements: &[(&str, &Expr)], generators: &[ast::Comprehension]) {
        for (field, element) in elements {
            self.expr_in(field, element);
        }
        self.field("generators", |d| {
            d.list(generators, |d, generator| {
                d.node("comprehension", |d| {
                    d.expr_in("target", &generator.target);
                    d.expr_in("iter", &generator.iter);
                    d.exprs_in("ifs", &generator.ifs);
                    d.flag("is_async", generator.is_async);
                });
            });
        });
    }

    fn constant(&mut self, value: impl FnOnce(&mut String)) {
        self.node("Constant", |d| d.field("value", |d| value(&mut d.out)));
    }

    fn text(&mut self, text: &str, is_u: bool) {
        self.node("Constant", |d| {
            d.field("value", |d| push_text(&mut d.out, text));
            if is_u {
                d.word("kind", "'u'");
            }
        });
    }

    /// Whether a string begins with the prefix `u`, which CPython keeps of the first of joined literals.
    fn is_u(&self, string: impl Ranged) -> bool {
        self.module.text(string).starts_with('u')
    }

    /// The value of a literal. The parser reads half a surrogate pair (`\ud800`), which Rust's text cannot hold, as
    /// the replacement character.
    fn literal(&mut self, value: &str, literal: impl Ranged) -> String {
        if value.contains(char::REPLACEMENT_CHARACTER) {
            let written = self.module.text(literal).to_ascii_lowercase();
            if written.contains("\\ud") || written.contains("\\u0000d") {
                self.unknown();
            }
        }
        value.to_owned()
    }

    /// Adds the pieces of one string, neighbouring literals joined.
    fn pieces<'p>(&mut self, elements: &'p [Piece], pieces: &mut Vec<JoinedPiece<'p>>) {
        for element in elements {
            match element {
                Piece::Literal(literal) => {
                    let text = self.literal(&literal.value, literal);
                    push_literal(pieces, &text);
                }
                Piece::Interpolation(field) => {
                    if let Some(debug) = &field.debug_text {
                        // `{a + b = }` shows its own text.
                        let shown = self.module.text(&*field.expression);
                        push_literal(pieces, &format!("{}{shown}{}", debug.leading, debug.trailing));
                    }
                    pieces.push(JoinedPiece::Field(field));
                }
            }
        }
    }

    fn joined(&mut self, pieces: &[JoinedPiece<'_>], is_u: bool) {
        self.node("JoinedStr", |d| {
            d.field("values", |d| {
                d.list(pieces, |d, piece| match piece {
                    JoinedPiece::Literal(text) => d.text(text, is_u),
                    JoinedPiece::Field(field) => d.interpolation(field, is_u),
                });
            });
        });
    }

    fn interpolation(&mut self, field: &ast::InterpolatedElement, is_u: bool) {
        self.node("FormattedValue", |d| {
            d.expr_in("value", &field.expression);
            // `{a = }` shows the value as `{a!r}` does.
            let shows_itself = field.debug_text.is_some() && field.format_spec.is_none();
            let conversion = match field.conversion {
                ast::ConversionFlag::None if shows_itself => "114",
                ast::ConversionFlag::None => "-1",
                ast::ConversionFlag::Str => "115",
                ast::ConversionFlag::Ascii => "97",
                ast::ConversionFlag::Repr => "114",
            };
            d.word("conversion", conversion);
            if let Some(spec) = field.format_spec.as_deref() {
                let mut pieces = Vec::new();
                d.pieces(&spec.elements, &mut pieces);
                d.field("format_spec", |d| d.joined(&pieces, is_u));
            }
        });
    }

    fn pattern(&mut self, pattern: &Pattern) {
        match pattern {
            Pattern::MatchValue(p) => self.node("MatchValue", |d| d.expr_in("value", &p.value)),
            Pattern::MatchSingleton(p) => self.node("MatchSingleton", |d| {
                d.word(
                    "value",
                    match p.value {
                        ast::Singleton::None => "None",
                        ast::Singleton::True => "True",
                        ast::Singleton::False => "False",
                    },
                );
            }),
            Pattern::MatchSequence(p) => self.node("MatchSequence", |d| d.patterns("patterns", &p.patterns)),
            Pattern::MatchMapping(p) => self.node("MatchMapping", |d| {
                d.exprs_in("keys", &p.keys);
                d.patterns("patterns", &p.patterns);
                d.maybe_name("rest", p.rest.as_ref());
            }),
            Pattern::MatchClass(p) => self.node("MatchClass", |d| {
                d.expr_in("cls", &p.cls);
                d.patterns("patterns", &p.arguments.patterns);
                d.names("kwd_attrs", p.arguments.keywords.iter().map(|keyword| &keyword.attr));
                d.patterns("kwd_patterns", p.arguments.keywords.iter().map(|keyword| &keyword.pattern));
            }),
            Pattern::MatchStar(p) => self.node("MatchStar", |d| d.maybe_name("name", p.name.as_ref())),
            Pattern::MatchAs(p) => self.node("MatchAs", |d| {
                if let Some(pattern) = &p.pattern {
                    d.field("pattern", |d| d.pattern(pattern));
                }
                d.maybe_name("name", p.name.as_ref());
            }),
            Pattern::MatchOr(p) => self.node("MatchOr", |d| d.patterns("patterns", &p.patterns)),
        }
    }

    fn patterns<'p>(&mut self, field: &str, patterns: impl IntoIterator<Item = &'p Pattern>) {
        self.field(field, |d| d.list(patterns, Dump::pattern));
    }
}

/// A piece of an interpolated string.
enum JoinedPiece<'p> {
    Literal(String),
    Field(&'p ast::InterpolatedElement),
}

fn push_literal(pieces: &mut Vec<JoinedPiece<'_>>, text: &str) {
    if let Some(JoinedPiece::Literal(last)) = pieces.last_mut() {
        last.push_str(text);
    } else if !text.is_empty() {
        pieces.push(JoinedPiece::Literal(text.to_owned()));
    }
}

/// Python's `repr` of a text.
fn push_text(out: &mut String, text: &str) {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if is_printable(c) => out.push(c),
            c => {
                let code = u32::from(c);
                let written = match code {
                    0..=0xff => write!(out, "\\x{code:02x}"),
                    0x100..=0xffff => write!(out, "\\u{code:04x}"),
                    _ => write!(out, "\\U{code:08x}"),
                };
                written.expect("a string takes all text");
            }
        }
    }
    out.push(quote);
}

/// Whether Python prints a character as itself: all but separators, controls and what no standard assigns.
fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return !c.is_ascii_control();
    }
    // The standard library escapes by the same categories; a mark that joins the letter before it only in front.
    format!("a{c}").escape_debug().eq(['a', c])
}

/// Python's `repr` of bytes.
fn push_bytes(out: &mut String, bytes: &[u8]) {
    let quote = if bytes.contains(&b'\'') && !bytes.contains(&b'"') { b'"' } else { b'\'' };
    out.push('b');
    out.push(char::from(quote));
    for &byte in bytes {
        match byte {
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            byte if byte == quote => {
                out.push('\\');
                out.push(char::from(byte));
            }
            b' '..=b'~' => out.push(char::from(byte)),
            byte => write!(out, "\\x{byte:02x}").expect("a string takes all text"),
        }
    }
    out.push(char::from(quote));
}

/// Python's `repr` of a float: the shortest digits that read back, with an exponent below 1e-4 and from 1e16 on.
/// `whole` is what follows a number without fraction.
fn push_float(out: &mut String, float: f64, whole: &str) {
    if !float.is_finite() {
        out.push_str("inf");
        return;
    }
    let shortest = format!("{float:e}");
    let (digits, exponent) = shortest.split_once('e').expect("the format writes an exponent");
    let exponent: i32 = exponent.parse().expect("the exponent is a number");
    if (-4..16).contains(&exponent) {
        let plain = format!("{float}");
        out.push_str(&plain);
        if !plain.contains('.') {
            out.push_str(whole);
        }
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        write!(out, "{digits}e{sign}{:02}", exponent.abs()).expect("a string takes all text");
    }
}

fn operator(operator: ast::Operator) -> &'static str {
    match operator {
        ast::Operator::Add => "Add()",
        ast::Operator::Sub => "Sub()",
        ast::Operator::Mult => "Mult()",
        ast::Operator::MatMult => "MatMult()",
        ast::Operator::Div => "Div()",
        ast::Operator::Mod => "Mod()",
        ast::Operator::Pow => "Pow()",
        ast::Operator::LShift => "LShift()",
        ast::Operator::RShift => "RShift()",
        ast::Operator::BitOr => "BitOr()",
        ast::Operator::BitXor => "BitXor()",
        ast::Operator::BitAnd => "BitAnd()",
        ast::Operator::FloorDiv => "FloorDiv()",
    }
}

fn comparison(operator: ast::CmpOp) -> &'static str {
    match operator {
        ast::CmpOp::Eq => "Eq()",
        ast::CmpOp::NotEq => "NotEq()",
        ast::CmpOp::Lt => "Lt()",
        ast::CmpOp::LtE => "LtE()",
        ast::CmpOp::Gt => "Gt()",
        ast::CmpOp::GtE => "GtE()",
        ast::CmpOp::Is => "Is()",
        ast::CmpOp::IsNot => "IsNot()",
        ast::CmpOp::In => "In()",
        ast::CmpOp::NotIn => "NotIn()",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dumped(source: &str) -> String {
        with_module(source, dump).unwrap().unwrap().unwrap()
    }

    #[test]
    fn the_text_is_that_of_cpython() {
        let source =
            "def f(a, /, b: int = -1, *c, d=2.0, e, **g) -> None:\n    x[0], y = u'é', b'\\x00\\''\n";
        let expected = concat!(
            "Module(body=[FunctionDef(name='f', args=arguments(posonlyargs=[arg(arg='a')], args=[arg(arg='b', ",
            "annotation=Name(id='int', ctx=Load()))], vararg=arg(arg='c'), kwonlyargs=[arg(arg='d'), arg(arg='e')], ",
            "kw_defaults=[Constant(value=2.0), None], kwarg=arg(arg='g'), ",
            "defaults=[UnaryOp(op=USub(), operand=Constant(value=1))]), ",
            "body=[Assign(targets=[Tuple(elts=[Subscript(value=Name(id='x', ctx=Load()), slice=Constant(value=0), ",
            "ctx=Store()), Name(id='y', ctx=Store())], ctx=Store())], ",
            "value=Tuple(elts=[Constant(value='é', kind='u'), Constant(value=b\"\\x00'\")], ctx=Load()))], ",
            "decorator_list=[], returns=Constant(value=None))], type_ignores=[])",
        );
        assert_eq!(dumped(source), expected);
    }

    #[test]
    fn the_signature_is_that_of_cpython() {
        // `hashlib.sha256(ast.dump(ast.parse("x = 1\n")).encode()).hexdigest()`
        let known = "fca9b332ce6ae51aef2d78bba9d0799fc2e0e044610feb034892ee32d0acb479";
        assert_eq!(signature("x = 1\n").as_deref(), Some(known));
    }

    #[test]
    fn numbers_and_text_are_written_as_python_writes_them() {
        for (source, expected) in [
            ("1e16", "1e+16"),
            ("1e15", "1000000000000000.0"),
            ("0.0001", "0.0001"),
            ("0.00001", "1e-05"),
            ("1.5e300", "1.5e+300"),
            ("1e999", "inf"),
            ("2j", "2j"),
            ("1.5j", "1.5j"),
            ("0x_ff", "255"),
            ("'\\u200b\\xa0\\u0301\\U0001f600\"\\''", "'\\u200b\\xa0\u{301}\u{1f600}\"\\''"),
            ("...", "Ellipsis"),
        ] {
            let text = dumped(source);
            let value = text.split("value=Constant(value=").nth(1).unwrap();
            assert_eq!(value.strip_suffix("))], type_ignores=[])"), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_python_3_11_cannot_read_has_no_signature() {
        assert_eq!(signature("type X = int"), None);
        assert_eq!(signature("def f[T](a): pass"), None);
        assert_eq!(signature("'\\ud800'"), None);
        assert_eq!(signature("def"), None);
    }
}
