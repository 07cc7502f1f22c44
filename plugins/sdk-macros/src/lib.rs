//! The attributes of the guest SDK `sluicegate-plugin`, which re-exports them. See there.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{
    Attribute, Data, DeriveInput, Error, Field, Fields, Ident, LitStr, Result, Type, parse_quote,
};

/// Makes a structure a plugin: its name and version are those of the package, its kind is the argument
/// (`enrich`, `detect`, `redact` or `filter`), and it is exported to the host.
///
/// A member with `#[field("…")]` is a field of the event, asked for by that path. The member with
/// `#[config]`, of which there is one at most, holds the configuration. All others start with their
/// default. What the plugin does stands in its `impl Process`.
#[proc_macro_attribute]
pub fn plugin(
    kind: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    let kind = syn::parse::<Ident>(kind).map_err(|error| {
        let wants = "name the kind: #[plugin(enrich)], #[plugin(detect)], #[plugin(redact)] or #[plugin(filter)]";
        Error::new(error.span(), wants)
    });
    let made = kind.and_then(|kind| expand(&kind, syn::parse(item)?));
    made.unwrap_or_else(Error::into_compile_error).into()
}

/// Makes a structure or an enumeration a configuration: it is read from JSON, keys that it does not have
/// are refused, and its JSON Schema is what the plugin shows to the operator. Comments become
/// descriptions; `#[serde(…)]` and `#[schemars(…)]` work as in those libraries.
#[proc_macro_attribute]
pub fn configuration(
    arguments: proc_macro::TokenStream,
    item: proc_macro::TokenStream,
) -> proc_macro::TokenStream {
    let arguments = TokenStream::from(arguments);
    if !arguments.is_empty() {
        let error = Error::new_spanned(arguments, "#[configuration] takes no arguments");
        return error.into_compile_error().into();
    }
    let item = TokenStream::from(item);
    quote! {
        #[derive(
            Clone, Debug,
            ::sluicegate_plugin::serde::Deserialize, ::sluicegate_plugin::schemars::JsonSchema,
        )]
        #[serde(crate = "sluicegate_plugin::serde", deny_unknown_fields)]
        #[schemars(crate = "sluicegate_plugin::schemars")]
        #item
    }
    .into()
}

fn expand(kind: &Ident, mut item: DeriveInput) -> Result<TokenStream> {
    let kind = match kind.to_string().as_str() {
        "enrich" => format_ident!("Enrich"),
        "detect" => format_ident!("Detect"),
        "redact" => format_ident!("Redact"),
        "filter" => format_ident!("Filter"),
        _ => {
            let wants = "the kind must be enrich, detect, redact or filter";
            return Err(Error::new_spanned(kind, wants));
        }
    };
    if !item.generics.params.is_empty() {
        let what = "a plugin cannot be generic: the host makes one of it";
        return Err(Error::new_spanned(&item.generics, what));
    }
    let mut config: Type = parse_quote!(::sluicegate_plugin::NoConfig);
    let mut configured = false;
    let mut members = Vec::new();
    for member in members_of(&mut item)? {
        let name = member.ident.clone();
        let value = match role(member)? {
            Role::Field(path) => quote!(wanted.field(#path)),
            Role::Config if configured => {
                let what = "only one member can be the #[config]";
                return Err(Error::new_spanned(member, what));
            }
            Role::Config => {
                configured = true;
                config = member.ty.clone();
                quote!(config)
            }
            Role::Other => quote!(::core::default::Default::default()),
        };
        members.push(quote!(#name: #value));
    }
    Ok(implementation(&item, &kind, &config, &members))
}

fn implementation(
    item: &DeriveInput,
    kind: &Ident,
    config: &Type,
    members: &[TokenStream],
) -> TokenStream {
    let name = &item.ident;
    quote! {
        #item

        const _: () = ::core::assert!(
            ::sluicegate_plugin::is_name(::core::env!("CARGO_PKG_NAME")),
            "the package's name is the plugin's: it must be 1 to 64 of a-z, 0-9 and -",
        );

        impl ::sluicegate_plugin::Plugin for #name {
            const NAME: &'static str = ::core::env!("CARGO_PKG_NAME");
            const VERSION: &'static str = ::core::env!("CARGO_PKG_VERSION");
            const KIND: ::sluicegate_plugin::PluginKind = ::sluicegate_plugin::PluginKind::#kind;
            type Config = #config;

            fn configure(
                config: Self::Config,
            ) -> ::core::result::Result<(Self, ::sluicegate_plugin::Subscription), ::std::string::String> {
                let mut wanted = ::sluicegate_plugin::Subscription::new();
                let mut plugin = Self { #(#members),* };
                ::sluicegate_plugin::Process::configure(&mut plugin, &mut wanted)?;
                ::core::result::Result::Ok((plugin, wanted))
            }

            fn process(
                &self,
                batch: &::sluicegate_plugin::Batch<'_>,
                out: &mut ::sluicegate_plugin::Output,
            ) -> ::core::result::Result<(), ::std::string::String> {
                ::sluicegate_plugin::Process::process(self, batch, out)
            }
        }

        ::sluicegate_plugin::export!(#name);
    }
}

fn members_of(item: &mut DeriveInput) -> Result<Vec<&mut Field>> {
    match &mut item.data {
        Data::Struct(data) => match &mut data.fields {
            Fields::Named(fields) => Ok(fields.named.iter_mut().collect()),
            Fields::Unit => {
                // So that the generated `Self {}` fits every structure.
                Ok(Vec::new())
            }
            Fields::Unnamed(fields) => {
                Err(Error::new_spanned(fields, "a plugin's members need names"))
            }
        },
        Data::Enum(_) | Data::Union(_) => {
            let name = item.ident.clone();
            Err(Error::new_spanned(name, "a plugin is a structure"))
        }
    }
}

/// What a member is for.
enum Role {
    Field(LitStr),
    Config,
    Other,
}

/// Reads a member's own attribute, and takes it off.
fn role(member: &mut Field) -> Result<Role> {
    let ours = |attribute: &Attribute| {
        attribute.path().is_ident("field") || attribute.path().is_ident("config")
    };
    let (own, others) = std::mem::take(&mut member.attrs)
        .into_iter()
        .partition(ours);
    member.attrs = others;
    let own: Vec<Attribute> = own;
    match own.as_slice() {
        [] => Ok(Role::Other),
        [one] if one.path().is_ident("field") => {
            let wants =
                "name the field's path, dotted or as a pointer: #[field(\"userIdentity.arn\")]";
            let path: Result<LitStr> = one.parse_args();
            path.map(Role::Field)
                .map_err(|error| Error::new(error.span(), wants))
        }
        [one] => one
            .meta
            .require_path_only()
            .map(|_| Role::Config)
            .map_err(|error| Error::new(error.span(), "#[config] takes no arguments")),
        [_, second, ..] => Err(Error::new_spanned(
            second,
            "a member is a field or the configuration, and that once",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(kind: &str, item: &str) -> String {
        let kind: Ident = syn::parse_str(kind).expect("an identifier");
        expand(&kind, syn::parse_str(item).expect("an item"))
            .expect_err("should be refused")
            .to_string()
    }

    #[test]
    fn what_is_no_plugin_is_refused_with_what_to_do() {
        let cases = [
            ("detekt", "struct A;", "must be enrich, detect"),
            ("detect", "struct A<T> { a: T }", "cannot be generic"),
            ("detect", "struct A(u8);", "need names"),
            ("detect", "enum A { B }", "is a structure"),
            (
                "detect",
                "struct A { #[field] a: Field }",
                "#[field(\"userIdentity.arn\")]",
            ),
            (
                "detect",
                "struct A { #[field(a.b)] a: Field }",
                "#[field(\"userIdentity.arn\")]",
            ),
            (
                "detect",
                "struct A { #[config(x)] a: Config }",
                "takes no arguments",
            ),
            (
                "detect",
                "struct A { #[config] #[field(\"a\")] a: Field }",
                "and that once",
            ),
            (
                "detect",
                "struct A { #[config] a: B, #[config] b: B }",
                "only one member",
            ),
        ];
        for (kind, item, wanted) in cases {
            let said = refused(kind, item);
            assert!(said.contains(wanted), "{item}: {said}");
        }
    }

    #[test]
    fn attributes_of_others_are_kept_and_ours_are_taken_off() {
        let kind: Ident = syn::parse_str("enrich").expect("an identifier");
        let item = "struct A { /// Kept.\n #[field(\"a\")] a: Field, #[config] b: B }";
        let made = expand(&kind, syn::parse_str(item).expect("an item"))
            .expect("a plugin")
            .to_string();
        assert!(made.contains("Kept."), "{made}");
        assert!(
            !made.contains("# [field") && !made.contains("# [config]"),
            "{made}"
        );
        assert!(made.contains("type Config = B ;"), "{made}");
    }
}
