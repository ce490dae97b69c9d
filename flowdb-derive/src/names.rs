//! The names that serde gives to fields.
//!
//! Whatever of serde's attributes is of no concern is passed over: serde itself says what is wrong in them.

use syn::ext::IdentExt;
use syn::meta::ParseNestedMeta;
use syn::{Attribute, Expr, Field, Ident, LitStr, Result, Token};

/// What serde is told of a struct.
#[derive(Default)]
pub(crate) struct Container {
    rule: Option<String>,
    /// The name of the member that says which type it is.
    pub(crate) tag: Option<String>,
    /// Another type is written in its place, so that its fields say nothing of the document.
    pub(crate) is_replaced: bool,
}

/// What serde makes of a field.
pub(crate) enum Written {
    /// A member of this name.
    As(String),
    /// The members of its value.
    Flattened,
    /// Nothing.
    Not,
}

impl Container {
    pub(crate) fn read(attributes: &[Attribute]) -> Result<Self> {
        let mut container = Self::default();
        for_each_of_serde(attributes, |meta| {
            if meta.path.is_ident("rename_all") {
                container.rule = name(meta)?.or(container.rule.take());
            } else if meta.path.is_ident("tag") {
                container.tag = name(meta)?;
            } else {
                let replaces = ["into", "transparent", "remote"];
                container.is_replaced |= replaces.iter().any(|word| meta.path.is_ident(word));
                pass(meta)?;
            }
            Ok(())
        })?;
        Ok(container)
    }

    /// What serde makes of `field`, which is called `ident`.
    pub(crate) fn written(&self, ident: &Ident, field: &Field) -> Result<Written> {
        let (mut renamed, mut is_flattened, mut is_skipped) = (None, false, false);
        for_each_of_serde(&field.attrs, |meta| {
            if meta.path.is_ident("rename") {
                renamed = name(meta)?.or(renamed.take());
                return Ok(());
            }
            is_flattened |= meta.path.is_ident("flatten");
            is_skipped |= meta.path.is_ident("skip") || meta.path.is_ident("skip_serializing");
            pass(meta)
        })?;
        if is_skipped || is_flattened {
            return Ok(if is_skipped { Written::Not } else { Written::Flattened });
        }
        let plain = ident.unraw().to_string();
        Ok(Written::As(
            renamed.unwrap_or_else(|| self.rule.as_deref().map_or(plain.clone(), |rule| apply(rule, &plain))),
        ))
    }
}

fn for_each_of_serde(
    attributes: &[Attribute],
    mut take: impl FnMut(&ParseNestedMeta<'_>) -> Result<()>,
) -> Result<()> {
    let of_serde = attributes.iter().filter(|attribute| attribute.path().is_ident("serde"));
    of_serde.into_iter().try_for_each(|attribute| attribute.parse_nested_meta(|meta| take(&meta)))
}

/// Takes `= "name"`, or what serializing has of `(serialize = "name", deserialize = "other")`.
fn name(meta: &ParseNestedMeta<'_>) -> Result<Option<String>> {
    if meta.input.peek(Token![=]) {
        return Ok(Some(meta.value()?.parse::<LitStr>()?.value()));
    }
    let mut name = None;
    meta.parse_nested_meta(|meta| {
        let value = meta.value()?.parse::<LitStr>()?.value();
        if meta.path.is_ident("serialize") {
            name = Some(value);
        }
        Ok(())
    })?;
    Ok(name)
}

/// Passes whatever follows the name of an attribute.
fn pass(meta: &ParseNestedMeta<'_>) -> Result<()> {
    if meta.input.peek(Token![=]) {
        meta.value()?.parse::<Expr>()?;
    } else if meta.input.peek(syn::token::Paren) {
        let inner;
        syn::parenthesized!(inner in meta.input);
        inner.parse::<proc_macro2::TokenStream>()?;
    }
    Ok(())
}

/// A field's name by one of serde's rules, which begin with a name in `snake_case`.
fn apply(rule: &str, field: &str) -> String {
    let pascal = || field.split('_').map(capitalized).collect::<String>();
    match rule {
        "UPPERCASE" | "SCREAMING_SNAKE_CASE" => field.to_ascii_uppercase(),
        "PascalCase" => pascal(),
        "camelCase" => uncapitalized(&pascal()),
        "kebab-case" => field.replace('_', "-"),
        "SCREAMING-KEBAB-CASE" => field.to_ascii_uppercase().replace('_', "-"),
        // "lowercase" and "snake_case"; of others serde says that they are none.
        _ => field.to_owned(),
    }
}

fn capitalized(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + chars.as_str())
}

fn uncapitalized(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| first.to_ascii_lowercase().to_string() + chars.as_str())
}
