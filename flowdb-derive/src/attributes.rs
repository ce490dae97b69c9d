//! What `#[store(…)]` and `#[index(…)]` say.

use syn::meta::ParseNestedMeta;
use syn::punctuated::Punctuated;
use syn::{Attribute, Error, Lit, LitStr, Meta, Result, Token};

/// One path, or several that make one key.
pub(crate) struct Paths {
    pub(crate) paths: Vec<LitStr>,
    /// Whether they were given as a list: the key is an array then, be it of one element.
    pub(crate) is_list: bool,
}

/// `#[store(…)]`.
#[derive(Default)]
pub(crate) struct StoreAttribute {
    pub(crate) name: Option<LitStr>,
    pub(crate) key_path: Option<Paths>,
    pub(crate) auto_increment: bool,
    pub(crate) default_ttl_ms: Option<u64>,
}

/// `#[index(…)]`.
#[derive(Default)]
pub(crate) struct IndexAttribute {
    pub(crate) name: Option<LitStr>,
    pub(crate) paths: Option<Paths>,
    pub(crate) unique: bool,
    pub(crate) multi_entry: bool,
}

impl StoreAttribute {
    pub(crate) fn read(attribute: &Attribute) -> Result<Self> {
        let mut store = Self::default();
        attribute.parse_nested_meta(|meta| store.take(&meta))?;
        Ok(store)
    }

    fn take(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        if meta.path.is_ident("name") {
            once(meta, &mut self.name, meta.value()?.parse()?)
        } else if meta.path.is_ident("key_path") {
            once(meta, &mut self.key_path, paths(meta)?)
        } else if meta.path.is_ident("auto_increment") {
            flag(meta, &mut self.auto_increment)
        } else if meta.path.is_ident("default_ttl_ms") {
            once(meta, &mut self.default_ttl_ms, milliseconds(meta)?)
        } else {
            Err(meta.error("a store has `name`, `key_path`, `auto_increment` and `default_ttl_ms`"))
        }
    }
}

impl IndexAttribute {
    pub(crate) fn read(attribute: &Attribute) -> Result<Self> {
        let mut index = Self::default();
        if !matches!(attribute.meta, Meta::Path(_)) {
            attribute.parse_nested_meta(|meta| index.take(&meta))?;
        }
        Ok(index)
    }

    fn take(&mut self, meta: &ParseNestedMeta<'_>) -> Result<()> {
        if meta.path.is_ident("name") {
            once(meta, &mut self.name, meta.value()?.parse()?)
        } else if meta.path.is_ident("path") && meta.input.peek(Token![=])
            || meta.path.is_ident("paths") && meta.input.peek(syn::token::Paren)
        {
            once(meta, &mut self.paths, paths(meta)?)
        } else if meta.path.is_ident("path") || meta.path.is_ident("paths") {
            Err(meta.error("paths are given as `path = \"a.b\"` or `paths(\"a.b\", \"c\")`"))
        } else if meta.path.is_ident("unique") {
            flag(meta, &mut self.unique)
        } else if meta.path.is_ident("multi_entry") {
            flag(meta, &mut self.multi_entry)
        } else {
            Err(meta.error("an index has `name`, `path` or `paths`, `unique` and `multi_entry`"))
        }
    }
}

/// Takes `= "path"` or `("path", "path")`.
fn paths(meta: &ParseNestedMeta<'_>) -> Result<Paths> {
    if meta.input.peek(Token![=]) {
        return Ok(Paths { paths: vec![meta.value()?.parse()?], is_list: false });
    }
    let list;
    syn::parenthesized!(list in meta.input);
    let paths = Punctuated::<LitStr, Token![,]>::parse_terminated(&list)?;
    if paths.is_empty() {
        return Err(meta.error("a list of paths has at least one"));
    }
    Ok(Paths { paths: paths.into_iter().collect(), is_list: true })
}

fn milliseconds(meta: &ParseNestedMeta<'_>) -> Result<u64> {
    let number: Lit = meta.value()?.parse()?;
    let value = if let Lit::Int(number) = &number { number.base10_parse().ok() } else { None };
    value.ok_or_else(|| Error::new(number.span(), "this takes a whole number of milliseconds"))
}

fn once<T>(meta: &ParseNestedMeta<'_>, place: &mut Option<T>, value: T) -> Result<()> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(meta.error("this was said before")),
    }
}

fn flag(meta: &ParseNestedMeta<'_>, place: &mut bool) -> Result<()> {
    if std::mem::replace(place, true) { Err(meta.error("this was said before")) } else { Ok(()) }
}
