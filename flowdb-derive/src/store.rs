//! A struct's store: its attributes joined with its fields, and checked.

use std::collections::BTreeMap;

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::{Attribute, Data, DeriveInput, Error, Field, Fields, Ident, LitStr, Result};

use crate::attributes::{IndexAttribute, Paths, StoreAttribute};
use crate::names::{Container, Written};

/// A store as it is to be.
pub(crate) struct Store {
    pub(crate) ident: Ident,
    pub(crate) name: LitStr,
    pub(crate) key_path: Option<Paths>,
    pub(crate) auto_increment: bool,
    pub(crate) default_ttl_ms: Option<u64>,
    /// By name.
    pub(crate) indexes: BTreeMap<String, Index>,
}

/// An index as it is to be.
pub(crate) struct Index {
    pub(crate) paths: Paths,
    pub(crate) unique: bool,
    pub(crate) multi_entry: bool,
}

impl Store {
    pub(crate) fn read(input: &DeriveInput) -> Result<Self> {
        let Data::Struct(data) = &input.data else {
            let message = "ObjectStore can be derived for structs only: implement the trait for other types";
            return Err(Error::new(input.ident.span(), message));
        };
        if !input.generics.params.is_empty() {
            let message = "ObjectStore can't be derived for a type with parameters: a store is of one type";
            return Err(Error::new(input.generics.span(), message));
        }
        let members = Members::read(input, &data.fields)?;
        let StoreAttribute { name, key_path, auto_increment, default_ttl_ms } = store_attribute(input)?;
        let name = name.ok_or_else(|| nameless(input))?;
        check_name(&name)?;
        if let Some(paths) = &key_path {
            members.check(paths)?;
            let has_a_place = !paths.is_list && !paths.paths.iter().any(|path| path.value().is_empty());
            if auto_increment && !has_a_place {
                let message = "auto_increment needs one path to a member: a generated key has no place to go";
                return Err(Error::new(paths.span(), message));
            }
        }
        let indexes = indexes(input, &data.fields, &members)?;
        Ok(Self { ident: input.ident.clone(), name, key_path, auto_increment, default_ttl_ms, indexes })
    }
}

fn store_attribute(input: &DeriveInput) -> Result<StoreAttribute> {
    let mut attributes = input.attrs.iter().filter(|attribute| attribute.path().is_ident("store"));
    let first = attributes.next().ok_or_else(|| nameless(input))?;
    if let Some(second) = attributes.next() {
        return Err(Error::new(second.span(), "a type has one store: join this with the other #[store(…)]"));
    }
    StoreAttribute::read(first)
}

fn nameless(input: &DeriveInput) -> Error {
    Error::new(input.ident.span(), "the store of this type needs a name: #[store(name = \"…\")]")
}

/// Names are not empty. How long they may be is for the database to say.
fn check_name(name: &LitStr) -> Result<()> {
    if name.value().is_empty() { Err(Error::new(name.span(), "a name can't be empty")) } else { Ok(()) }
}

fn indexes(input: &DeriveInput, fields: &Fields, members: &Members) -> Result<BTreeMap<String, Index>> {
    let mut indexes = BTreeMap::new();
    for attribute in of_index(&input.attrs) {
        let (name, index) = index_of_struct(attribute)?;
        members.check(&index.paths)?;
        add(&mut indexes, &name, index)?;
    }
    for field in fields {
        if let Some(attribute) = field.attrs.iter().find(|attribute| attribute.path().is_ident("store")) {
            return Err(Error::new(attribute.span(), "#[store(…)] belongs to the struct, not to a field"));
        }
        for attribute in of_index(&field.attrs) {
            let (name, index) = index_of_field(attribute, &members.name(field)?)?;
            add(&mut indexes, &name, index)?;
        }
    }
    Ok(indexes)
}

fn of_index(attributes: &[Attribute]) -> impl Iterator<Item = &Attribute> {
    attributes.iter().filter(|attribute| attribute.path().is_ident("index"))
}

fn index_of_struct(attribute: &Attribute) -> Result<(LitStr, Index)> {
    let IndexAttribute { name, paths, unique, multi_entry } = IndexAttribute::read(attribute)?;
    let (Some(name), Some(paths)) = (name, paths) else {
        let message = "an index of a struct needs a name and what it is on: \
            #[index(name = \"…\", path = \"…\")] or #[index(name = \"…\", paths(\"…\", \"…\"))]";
        return Err(Error::new(attribute.span(), message));
    };
    if multi_entry && paths.is_list {
        let message = "multi_entry with a list of paths: an index is one or the other";
        return Err(Error::new(attribute.span(), message));
    }
    Ok((name, Index { paths, unique, multi_entry }))
}

fn index_of_field(attribute: &Attribute, field: &LitStr) -> Result<(LitStr, Index)> {
    let IndexAttribute { name, paths, unique, multi_entry } = IndexAttribute::read(attribute)?;
    if let Some(paths) = paths {
        let message = "an index of a field is on that field: one on other paths belongs to the struct";
        return Err(Error::new(paths.span(), message));
    }
    let paths = Paths { paths: vec![field.clone()], is_list: false };
    Ok((name.unwrap_or_else(|| field.clone()), Index { paths, unique, multi_entry }))
}

fn add(indexes: &mut BTreeMap<String, Index>, name: &LitStr, index: Index) -> Result<()> {
    check_name(name)?;
    match indexes.insert(name.value(), index) {
        None => Ok(()),
        Some(_) => {
            let message =
                format!("there is another index {:?}: give this one a name of its own", name.value());
            Err(Error::new(name.span(), message))
        }
    }
}

impl Paths {
    fn span(&self) -> Span {
        self.paths.first().map_or_else(Span::call_site, LitStr::span)
    }
}

/// The members of a document.
struct Members {
    container: Container,
    names: Vec<String>,
    /// There may be others than `names`.
    has_unknown: bool,
}

impl Members {
    fn read(input: &DeriveInput, fields: &Fields) -> Result<Self> {
        let container = Container::read(&input.attrs)?;
        let mut names: Vec<String> = container.tag.iter().cloned().collect();
        let mut has_unknown = container.is_replaced || !matches!(fields, Fields::Named(_));
        for field in fields {
            let Some(ident) = &field.ident else { continue };
            match container.written(ident, field)? {
                Written::As(name) => names.push(name),
                Written::Flattened => has_unknown = true,
                Written::Not => {}
            }
        }
        Ok(Self { container, names, has_unknown })
    }

    /// The name of `field` as a path.
    fn name(&self, field: &Field) -> Result<LitStr> {
        let refuse = |message: &str| Err(Error::new(field.span(), message));
        let Some(ident) = field.ident.as_ref().filter(|_| !self.container.is_replaced) else {
            return refuse(
                "this field has no name in the document: give the struct an #[index(name = \"…\", path = \"…\")]",
            );
        };
        match self.container.written(ident, field)? {
            Written::As(name) if name.is_empty() || name.contains('.') => {
                refuse("a name that is empty or has a dot in it can't be in a path")
            }
            Written::As(name) => Ok(LitStr::new(&name, ident.span())),
            Written::Flattened => refuse(
                "a flattened field is no member of the document: give the struct an index on what it has",
            ),
            Written::Not => refuse("this field is not in the document, as serde skips it"),
        }
    }

    /// Fails for a path that leads nowhere in any document.
    fn check(&self, paths: &Paths) -> Result<()> {
        for path in &paths.paths {
            let text = path.value();
            if text.is_empty() {
                continue;
            }
            if text.split('.').any(str::is_empty) {
                return Err(Error::new(path.span(), "a path is names with single dots between them"));
            }
            let first = text.split('.').next().unwrap_or_default();
            if !self.has_unknown && !self.names.iter().any(|name| name == first) {
                let message =
                    format!("no member of the document is called {first:?}: there is {}", shown(&self.names));
                return Err(Error::new(path.span(), message));
            }
        }
        Ok(())
    }
}

fn shown(names: &[String]) -> String {
    match names {
        [] => "none".to_owned(),
        names => names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", "),
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
