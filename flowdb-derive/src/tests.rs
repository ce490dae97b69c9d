//! What is read of a struct, and what is refused and where.

use quote::quote;

use super::*;

fn read(tokens: proc_macro2::TokenStream) -> Result<Store> {
    Store::read(&syn::parse2(tokens).unwrap())
}

fn refusal(tokens: proc_macro2::TokenStream) -> String {
    read(tokens).err().expect("it was to be refused").to_string()
}

/// The indexes by name, each as its paths and flags.
fn described(store: &Store) -> Vec<String> {
    let describe = |(name, index): (&String, &Index)| {
        let paths: Vec<String> = index.paths.paths.iter().map(LitStr::value).collect();
        let list = if index.paths.is_list { "list " } else { "" };
        let unique = if index.unique { " unique" } else { "" };
        let multi_entry = if index.multi_entry { " multi_entry" } else { "" };
        format!("{name}: {list}{}{unique}{multi_entry}", paths.join(","))
    };
    store.indexes.iter().map(describe).collect()
}

#[test]
fn a_store_has_what_its_attributes_say() {
    let store = read(quote! {
        #[derive(Debug)]
        #[store(name = "users", key_path = "id", auto_increment, default_ttl_ms = 60_000)]
        #[index(name = "place", paths("country", "address.city"), unique)]
        #[index(name = "zip", path = "address.zip")]
        struct User {
            id: Option<u64>,
            #[index(unique)]
            email: String,
            #[index(multi_entry)]
            #[index(name = "all tags")]
            tags: Vec<String>,
            #[index]
            country: String,
            address: Address,
        }
    })
    .unwrap();

    assert_eq!(store.name.value(), "users");
    assert_eq!(store.key_path.as_ref().map(|paths| paths.paths[0].value()).as_deref(), Some("id"));
    assert!(store.auto_increment);
    assert_eq!(store.default_ttl_ms, Some(60_000));
    assert_eq!(
        described(&store),
        [
            "all tags: tags",
            "country: country",
            "email: email unique",
            "place: list country,address.city unique",
            "tags: tags multi_entry",
            "zip: address.zip"
        ]
    );
}

#[test]
fn names_are_those_that_serde_writes() {
    let with_rule = |rule: &str| {
        let store = read(quote! {
            #[serde(deny_unknown_fields, rename_all = #rule, bound(serialize = "A: B"))]
            #[store(name = "s")]
            struct S {
                #[index]
                #[serde(default = "zero", skip_serializing_if = "is_zero")]
                last_seen_at: u64,
                #[index]
                #[serde(rename = "kind")]
                r#type: String,
                #[index]
                #[serde(rename(serialize = "out", deserialize = "in"))]
                both: u8,
            }
        });
        store.unwrap().indexes.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(with_rule("camelCase"), ["kind", "lastSeenAt", "out"]);
    assert_eq!(with_rule("PascalCase"), ["LastSeenAt", "kind", "out"]);
    assert_eq!(with_rule("UPPERCASE"), ["LAST_SEEN_AT", "kind", "out"]);
    assert_eq!(with_rule("SCREAMING_SNAKE_CASE"), ["LAST_SEEN_AT", "kind", "out"]);
    assert_eq!(with_rule("kebab-case"), ["kind", "last-seen-at", "out"]);
    assert_eq!(with_rule("SCREAMING-KEBAB-CASE"), ["LAST-SEEN-AT", "kind", "out"]);
    assert_eq!(with_rule("snake_case"), ["kind", "last_seen_at", "out"]);
    assert_eq!(with_rule("lowercase"), ["kind", "last_seen_at", "out"]);

    let raw = read(quote!(
        #[store(name = "s", key_path = "type")]
        struct S {
            r#type: u8,
        }
    ))
    .unwrap();
    assert_eq!(raw.key_path.unwrap().paths[0].value(), "type");
}

#[test]
fn a_path_that_leads_nowhere_is_refused_and_says_what_there_is() {
    let message = refusal(quote! {
        #[store(name = "s", key_path = "identity.number")]
        struct S { id: u64, #[serde(skip)] identity: u64, #[serde(rename = "b")] a: u64 }
    });
    assert_eq!(message, "no member of the document is called \"identity\": there is \"id\", \"b\"");
    let message = refusal(quote!(
        #[store(name = "s")]
        #[index(name = "i", paths("a", "c"))]
        struct S {
            a: u64,
        }
    ));
    assert!(message.contains("called \"c\""), "{message}");
    let message = refusal(quote!(
        #[store(name = "s", key_path = "a..b")]
        struct S {
            a: u64,
        }
    ));
    assert!(message.contains("single dots"), "{message}");
}

#[test]
fn where_serde_writes_another_form_any_path_is_believed() {
    for tokens in [
        quote!(
            #[store(name = "s", key_path = "x")]
            struct S {
                #[serde(flatten)]
                more: Map,
            }
        ),
        quote!(
            #[store(name = "s", key_path = "x")]
            #[serde(into = "T")]
            struct S {
                a: u64,
            }
        ),
        quote!(
            #[store(name = "s", key_path = "x")]
            struct S(T);
        ),
        quote!(
            #[store(name = "s", key_path = "kind")]
            #[serde(tag = "kind")]
            struct S {
                a: u64,
            }
        ),
        quote!(
            #[store(name = "s", key_path("a", ""))]
            struct S {
                a: u64,
            }
        ),
    ] {
        assert!(read(tokens.clone()).is_ok(), "{tokens}");
    }
}

#[test]
fn what_makes_no_store_is_refused() {
    for (tokens, expected) in [
        (
            quote!(
                #[store(name = "s")]
                enum E {
                    A,
                }
            ),
            "structs only",
        ),
        (
            quote!(
                #[store(name = "s")]
                struct S<T> {
                    a: T,
                }
            ),
            "with parameters",
        ),
        (
            quote!(
                struct S {
                    a: u64,
                }
            ),
            "needs a name",
        ),
        (
            quote!(
                #[store(key_path = "a")]
                struct S {
                    a: u64,
                }
            ),
            "needs a name",
        ),
        (
            quote!(
                #[store(name = "")]
                struct S {
                    a: u64,
                }
            ),
            "can't be empty",
        ),
        (
            quote!(
                #[store(name = "s")]
                #[store(name = "t")]
                struct S {
                    a: u64,
                }
            ),
            "one store",
        ),
        (
            quote!(
                #[store(name = "s", name = "t")]
                struct S {
                    a: u64,
                }
            ),
            "said before",
        ),
        (
            quote!(
                #[store(name = "s", auto_increment, auto_increment)]
                struct S {
                    a: u64,
                }
            ),
            "said before",
        ),
        (
            quote!(
                #[store(name = "s", keypath = "a")]
                struct S {
                    a: u64,
                }
            ),
            "a store has `name`",
        ),
        (
            quote!(
                #[store(name = "s", default_ttl_ms = -1)]
                struct S {
                    a: u64,
                }
            ),
            "whole number of milliseconds",
        ),
        (
            quote!(
                #[store(name = "s", default_ttl_ms = "1 h")]
                struct S {
                    a: u64,
                }
            ),
            "whole number of milliseconds",
        ),
        (
            quote!(
                #[store(name = "s", key_path())]
                struct S {
                    a: u64,
                }
            ),
            "at least one",
        ),
        (
            quote!(
                #[store(name = "s", key_path("a"), auto_increment)]
                struct S {
                    a: u64,
                }
            ),
            "no place",
        ),
        (
            quote!(
                #[store(name = "s", key_path = "", auto_increment)]
                struct S {
                    a: u64,
                }
            ),
            "no place",
        ),
        (
            quote!(
                #[store(name = "s")]
                struct S {
                    #[store(name = "t")]
                    a: u64,
                }
            ),
            "belongs to the struct",
        ),
    ] {
        let message = refusal(tokens.clone());
        assert!(message.contains(expected), "{tokens}: {message}");
    }
}

#[test]
fn what_makes_no_index_is_refused() {
    for (tokens, expected) in [
        (quote!(#[index(uniqe)] a: u64), "an index has"),
        (quote!(#[index(unique = true)] a: u64), "expected `,`"),
        (quote!(#[index(path = "b")] a: u64), "is on that field"),
        (quote!(#[index(name = "")] a: u64), "can't be empty"),
        (quote!(#[index] #[index(unique)] a: u64), "another index \"a\""),
        (quote!(#[index] #[serde(skip)] a: u64), "serde skips it"),
        (quote!(#[index] #[serde(flatten)] a: u64), "flattened"),
        (quote!(#[index] #[serde(rename = "a.b")] a: u64), "has a dot"),
    ] {
        let message = refusal(quote!(#[store(name = "s")] struct S { #tokens }));
        assert!(message.contains(expected), "{tokens}: {message}");
    }
    for (tokens, expected) in [
        (quote!(#[index(name = "i")]), "what it is on"),
        (quote!(#[index(path = "a")]), "needs a name"),
        (quote!(#[index(name = "i", path("a", "b"))]), "paths are given as"),
        (quote!(#[index(name = "i", paths = "a")]), "paths are given as"),
        (quote!(#[index(name = "i", paths("a", "b"), multi_entry)]), "one or the other"),
        (quote!(#[index(name = "i", path = "a")] #[index(name = "i", path = "b")]), "another index \"i\""),
    ] {
        let message = refusal(quote!(#[store(name = "s")] #tokens struct S { a: u64, b: u64 }));
        assert!(message.contains(expected), "{tokens}: {message}");
    }
    let unnamed = refusal(quote!(
        #[store(name = "s")]
        struct S(#[index] u64);
    ));
    assert!(unnamed.contains("no name in the document"), "{unnamed}");
    let replaced = refusal(quote!(
        #[store(name = "s")]
        #[serde(into = "T")]
        struct S {
            #[index]
            a: u64,
        }
    ));
    assert!(replaced.contains("no name in the document"), "{replaced}");
}
