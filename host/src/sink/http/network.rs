//! The way to an HTTP sink: certificates, a proxy, and whether the way may be an open one.

use std::{
    error::Error,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, ensure};
use reqwest::{Certificate, Client, ClientBuilder, Identity, Proxy, Url};
use rustls::{AlertDescription, Error as TlsError};
use serde::{Deserialize, Serialize};

use crate::{
    config::{Problems, SecretSource},
    sink::SendError,
};

/// How a sink is reached: the table `network` of every HTTP sink.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    /// PEM file of authorities that may vouch for the server, besides those of the system. Default: none.
    pub ca_file: Option<PathBuf>,
    /// PEM file of the certificate that the host shows, with its chain. Needs `client_key_file`. Default:
    /// none.
    pub client_certificate_file: Option<PathBuf>,
    /// PEM file of its private key, not encrypted. Needs `client_certificate_file`. Default: none.
    pub client_key_file: Option<PathBuf>,
    /// HTTP proxy, such as `http://proxy.example.com:3128`; what goes to `https://` passes through it by
    /// CONNECT. Default: what `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` say, and none to
    /// loopback.
    pub proxy: Option<String>,
    /// File that holds `user:password` for the proxy. Default: none.
    pub proxy_auth_file: Option<PathBuf>,
    /// Whether the sink may be reached by `http://` beyond loopback, where everybody on the way can read
    /// events and credentials. Default `false`.
    pub allow_plain_http: bool,
}

impl Network {
    /// Reports what cannot work.
    pub fn validate(&self, at: &str, problems: &mut Problems) {
        if self.client_certificate_file.is_some() != self.client_key_file.is_some() {
            problems.push(format!(
                "{at} must have both client_certificate_file and client_key_file, or neither"
            ));
        }
        if let Some(proxy) = &self.proxy
            && let Err(problem) = proxy_address(proxy)
        {
            problems.push(format!("{at}.proxy {problem}"));
        }
        if self.proxy_auth_file.is_some() && self.proxy.is_none() {
            problems.push(format!("{at}.proxy_auth_file needs {at}.proxy"));
        }
    }

    /// The base address of a service.
    ///
    /// # Errors
    /// Unless it is an `https` URL (`http` on loopback, or where it is allowed) without user, query and
    /// fragment. The text is not repeated: it may hold a password.
    pub(crate) fn endpoint(&self, text: &str) -> Result<Url, &'static str> {
        let url = Url::parse(text).map_err(|_| "must be a URL")?;
        match url.scheme() {
            "https" => {}
            "http" if self.allow_plain_http || is_loopback(&url) => {}
            "http" => {
                return Err(
                    "must begin with https:// (http:// is for loopback only, unless network.allow_plain_http is set)",
                );
            }
            _ => return Err("must begin with https://"),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must not hold a user or a password");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("must not hold a query or a fragment");
        }
        Ok(url)
    }

    /// Reports a base address that [`endpoint`](Self::endpoint) refuses.
    pub(crate) fn check_endpoint(&self, key: &str, text: &str, problems: &mut Problems) {
        if let Err(problem) = self.endpoint(text) {
            problems.push(format!("{key} {problem}"));
        }
    }

    /// A client for what lies at `base`. It follows no redirect, repeats nothing by itself and keeps its
    /// connections.
    ///
    /// # Errors
    /// When a file cannot be read or does not hold what it should; names the key and the file.
    pub(crate) fn client(&self, base: &Url, timeout_ms: u64) -> anyhow::Result<Client> {
        let builder = Client::builder()
            .user_agent(concat!("sluicegate/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .connect_timeout(Duration::from_secs(10))
            .timeout(Duration::from_millis(timeout_ms))
            .pool_idle_timeout(Duration::from_secs(30));
        let builder = self.with_proxy(self.with_certificates(builder)?, base)?;
        builder.build().with_context(|| self.fault_of_the_files())
    }

    fn with_certificates(&self, mut builder: ClientBuilder) -> anyhow::Result<ClientBuilder> {
        if let Some(path) = &self.ca_file {
            builder = builder.tls_certs_merge(certificates("ca_file", path)?.1);
        }
        if let (Some(certificate), Some(key)) =
            (&self.client_certificate_file, &self.client_key_file)
        {
            let (mut pem, _) = certificates("client_certificate_file", certificate)?;
            pem.push(b'\n');
            pem.extend(read("client_key_file", key)?);
            // What the reader says may hold text of the file.
            let identity = Identity::from_pem(&pem).map_err(|_| {
                anyhow::anyhow!(
                    "network.client_key_file {} holds no private key in PEM that is not encrypted",
                    key.display()
                )
            })?;
            builder = builder.identity(identity);
        }
        Ok(builder)
    }

    fn with_proxy(&self, builder: ClientBuilder, base: &Url) -> anyhow::Result<ClientBuilder> {
        let Some(address) = &self.proxy else {
            // The environment's proxy is meant for what lies outside.
            return Ok(if is_loopback(base) {
                builder.no_proxy()
            } else {
                builder
            });
        };
        let address =
            proxy_address(address).map_err(|problem| anyhow::anyhow!("network.proxy {problem}"))?;
        let mut proxy = Proxy::all(address).context("failed to set up network.proxy")?;
        if let Some(path) = &self.proxy_auth_file {
            let secret = SecretSource::File(path.clone()).read()?;
            let (user, password) = secret.expose().split_once(':').with_context(|| {
                format!(
                    "network.proxy_auth_file {} must hold user:password",
                    path.display()
                )
            })?;
            proxy = proxy.basic_auth(user, password);
        }
        Ok(builder.proxy(proxy))
    }

    fn fault_of_the_files(&self) -> String {
        let named: Vec<String> = [
            ("ca_file", &self.ca_file),
            ("client_certificate_file", &self.client_certificate_file),
            ("client_key_file", &self.client_key_file),
        ]
        .into_iter()
        .filter_map(|(key, path)| Some(format!("network.{key} {}", path.as_ref()?.display())))
        .collect();
        if named.is_empty() {
            "failed to build an HTTP client".to_owned()
        } else {
            format!("failed to use {}", named.join(", "))
        }
    }
}

/// Whether everybody on the way to this address can read what is sent.
pub(crate) fn in_the_clear(address: &str) -> bool {
    Url::parse(address).is_ok_and(|url| url.scheme() == "http" && !is_loopback(&url))
}

fn is_loopback(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost" | "[::1]") => true,
        Some(host) => host
            .parse::<std::net::Ipv4Addr>()
            .is_ok_and(|address| address.is_loopback()),
        None => false,
    }
}

fn proxy_address(text: &str) -> Result<Url, &'static str> {
    let url =
        Url::parse(text).map_err(|_| "must be a URL such as http://proxy.example.com:3128")?;
    if url.scheme() != "http" || !url.has_host() {
        return Err("must begin with http://");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not hold a user or a password: proxy_auth_file does");
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err("must end after host and port");
    }
    Ok(url)
}

fn read(key: &str, path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("failed to read network.{key} {}", path.display()))
}

/// The text of a file, and the certificates in it.
fn certificates(key: &str, path: &Path) -> anyhow::Result<(Vec<u8>, Vec<Certificate>)> {
    let pem = read(key, path)?;
    let found = Certificate::from_pem_bundle(&pem).unwrap_or_default();
    ensure!(
        !found.is_empty(),
        "network.{key} {} holds no certificate in PEM",
        path.display()
    );
    Ok((pem, found))
}

/// The decision for a request without an answer. A certificate that one side does not accept is a fault of
/// the configuration: it stays one however often the request is repeated.
pub(super) fn no_answer(error: reqwest::Error) -> SendError {
    let advice = tls_fault(&error).and_then(advice);
    let error = anyhow::Error::new(error.without_url());
    match advice {
        Some(advice) => SendError::Misconfigured(error.context(advice)),
        None => SendError::Unavailable(error.context("failed to exchange a request")),
    }
}

fn advice(fault: &TlsError) -> Option<&'static str> {
    match fault {
        TlsError::InvalidCertificate(_) => Some(
            "the server's certificate is not accepted (network.ca_file names further authorities)",
        ),
        TlsError::AlertReceived(
            AlertDescription::NoCertificate
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::CertificateRequired,
        ) => Some(
            "the server does not accept the host's certificate (see network.client_certificate_file)",
        ),
        _ => None,
    }
}

/// The fault of TLS below an error, if there is one. An I/O error hides what it wraps from `source`.
fn tls_fault<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e TlsError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(fault) = error.downcast_ref() {
            return Some(fault);
        }
        let wrapped = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        next = match wrapped {
            Some(wrapped) => Some(wrapped as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn problems(network: &Network) -> Vec<String> {
        let mut problems = Problems::default();
        network.validate("network", &mut problems);
        problems.lines().to_vec()
    }

    fn made(network: &Network) -> String {
        let base = Url::parse("https://hec.example.com").unwrap();
        format!("{:#}", network.client(&base, 1000).unwrap_err())
    }

    #[test]
    fn an_endpoint_is_https_or_loopback_and_holds_no_secret() {
        let network = Network::default();
        for good in [
            "https://hec.example.com:8088",
            "http://127.0.0.1:1",
            "http://localhost:2/x",
            "http://[::1]:3",
        ] {
            assert!(network.endpoint(good).is_ok(), "{good}");
            assert!(!in_the_clear(good), "{good}");
        }
        for bad in [
            "http://hec.example.com",
            "hec",
            "ftp://a",
            "https://u:p@a",
            "https://a?token=b",
            "https://a#b",
            "http://127.0.0.1.example.com",
        ] {
            assert!(network.endpoint(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn plain_http_leaves_loopback_only_where_it_is_allowed_and_is_told() {
        let network = Network {
            allow_plain_http: true,
            ..Network::default()
        };
        assert!(network.endpoint("http://hec.example.com").is_ok());
        assert!(in_the_clear("http://hec.example.com"));
        assert!(network.endpoint("http://u:p@hec.example.com").is_err());
        assert!(network.endpoint("ftp://hec.example.com").is_err());
    }

    #[test]
    fn a_certificate_needs_its_key_and_credentials_need_a_proxy() {
        let half = Network {
            client_key_file: Some("/key".into()),
            proxy_auth_file: Some("/auth".into()),
            ..Network::default()
        };
        assert_eq!(
            problems(&half),
            [
                "network must have both client_certificate_file and client_key_file, or neither",
                "network.proxy_auth_file needs network.proxy"
            ]
        );
        assert_eq!(problems(&Network::default()), [""; 0]);
    }

    #[test]
    fn a_proxy_is_an_address_without_a_secret() {
        let with = |proxy: &str| {
            problems(&Network {
                proxy: Some(proxy.to_owned()),
                ..Network::default()
            })
        };
        assert_eq!(with("http://proxy.example.com:3128"), [""; 0]);
        for bad in [
            "proxy",
            "proxy:3128",
            "socks5://proxy",
            "http://user:secret@proxy:3128",
            "http://proxy/path",
            "http://proxy?x",
        ] {
            let said = with(bad);
            assert_eq!(said.len(), 1, "{bad}");
            assert!(!said[0].contains("secret"), "{said:?}");
        }
    }

    #[test]
    fn a_file_that_does_not_hold_what_it_should_is_named_and_not_shown() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "user-and-secret").unwrap();
        let path = file.path().display().to_string();
        let here = || Some(file.path().to_path_buf());
        let faults = [
            (
                Network {
                    ca_file: here(),
                    ..Network::default()
                },
                "ca_file",
            ),
            (
                Network {
                    client_certificate_file: here(),
                    client_key_file: here(),
                    ..Network::default()
                },
                "client_certificate_file",
            ),
            (
                Network {
                    proxy: Some("http://proxy:1".into()),
                    proxy_auth_file: here(),
                    ..Network::default()
                },
                "proxy_auth_file",
            ),
            (
                Network {
                    ca_file: Some("/nowhere/ca.pem".into()),
                    ..Network::default()
                },
                "failed to read network.ca_file /nowhere/ca.pem",
            ),
        ];
        for (network, key) in faults {
            let said = made(&network);
            assert!(said.contains(key), "{said}");
            assert!(said.contains(&path) || key.starts_with("failed"), "{said}");
            assert!(!said.contains("secret"), "{said}");
        }
    }
}
