//! The code for a store.

use proc_macro2::TokenStream;
use quote::quote;

use crate::attributes::Paths;
use crate::store::{Index, Store};

/// The implementation of `ObjectStore`.
pub(crate) fn expand(store: &Store) -> TokenStream {
    let Store { ident, name, auto_increment, .. } = store;
    let key_path = match &store.key_path {
        Some(paths) => {
            let path = key_path(paths);
            quote!(::core::option::Option::Some(#path))
        }
        None => quote!(::core::option::Option::None),
    };
    let default_ttl_ms = store.default_ttl_ms.unwrap_or(0);
    let indexes = store.indexes.iter().map(|(name, index)| index_schema(name, index));
    quote! {
        #[automatically_derived]
        impl ::flowdb::jsondb::ObjectStore for #ident {
            const NAME: &'static str = #name;

            fn schema() -> ::flowdb::jsondb::StoreSchema {
                ::flowdb::jsondb::StoreSchema {
                    name: ::std::string::String::from(#name),
                    key_path: #key_path,
                    auto_increment: #auto_increment,
                    default_ttl_ms: #default_ttl_ms,
                    indexes: ::std::vec![#(#indexes),*],
                }
            }
        }
    }
}

fn index_schema(name: &str, index: &Index) -> TokenStream {
    let Index { paths, unique, multi_entry } = index;
    let path = key_path(paths);
    quote! {
        ::flowdb::jsondb::IndexSchema {
            name: ::std::string::String::from(#name),
            key_path: #path,
            unique: #unique,
            multi_entry: #multi_entry,
        }
    }
}

fn key_path(paths: &Paths) -> TokenStream {
    let texts = &paths.paths;
    if paths.is_list {
        quote!(::flowdb::jsondb::KeyPath::Many(::std::vec![#(::std::string::String::from(#texts)),*]))
    } else {
        quote!(::flowdb::jsondb::KeyPath::One(#(::std::string::String::from(#texts))*))
    }
}
