//! The way to a sink: certificates of our own, a server of TLS before any strict server, and an HTTP proxy.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU16, AtomicUsize, Ordering},
    },
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::TcpStream,
};
use tokio_rustls::TlsAcceptor;

use crate::servers::listen;

/// An authority, and the files that it hands out.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
}

/// A certificate with its key, as files in PEM.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

impl Authority {
    /// A new one, which nobody trusts yet.
    ///
    /// # Panics
    /// When no key can be made.
    #[must_use]
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate().expect("a key");
        Self {
            issuer: CertifiedIssuer::self_signed(params, key).expect("a certificate"),
            folder: tempfile::tempdir().expect("a folder for certificates"),
        }
    }

    /// Its own certificate, for those who shall trust it.
    ///
    /// # Panics
    /// When the file cannot be written.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.write("ca.pem", &self.issuer.pem())
    }

    /// A certificate for a server or client of this name or address.
    #[must_use]
    pub fn issue(&self, name: &str) -> Identity {
        self.sign(name, name, |_| ())
    }

    /// One that ran out long ago.
    #[must_use]
    pub fn issue_expired(&self, name: &str) -> Identity {
        self.sign(&format!("expired-{name}"), name, |params| {
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        })
    }

    fn sign(
        &self,
        file: &str,
        name: &str,
        change: impl FnOnce(&mut CertificateParams),
    ) -> Identity {
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        change(&mut params);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Identity {
            certificate: self.write(&format!("{file}.pem"), &certificate.pem()),
            key: self.write(&format!("{file}.key"), &key.serialize_pem()),
        }
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("a file of a test can be written");
        path
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

fn read(path: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(path).expect("a certificate of our own")
}

/// Ends TLS before a server that speaks plain HTTP.
pub struct Tls {
    address: SocketAddr,
}

impl Tls {
    /// Listens on loopback with this certificate; wants one from clients where `clients` names who vouches
    /// for them. `upstream` is the server's `http://host:port`.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn start(upstream: &str, identity: &Identity, clients: Option<&Authority>) -> Self {
        let builder = ServerConfig::builder_with_provider(Arc::new(
            rustls::crypto::aws_lc_rs::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .expect("the versions of the library");
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(read(&authority.file())).expect("an authority");
                let verifier = WebPkiClientVerifier::builder_with_provider(
                    Arc::new(roots),
                    Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
                );
                builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
            }
        };
        let key = PrivateKeyDer::from_pem_file(&identity.key).expect("a key of our own");
        let config = builder
            .with_single_cert(vec![read(&identity.certificate)], key)
            .expect("key and certificate belong together");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let upstream = upstream.trim_start_matches("http://").to_owned();
        let (listener, address) = listen().await;
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (acceptor, upstream) = (acceptor.clone(), upstream.clone());
                tokio::spawn(async move {
                    let mut client = acceptor.accept(client).await?;
                    let mut server = TcpStream::connect(upstream).await?;
                    copy_bidirectional(&mut client, &mut server).await
                });
            }
        });
        Self { address }
    }

    /// Base address, by the address of loopback.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The same by a name, which only a proxy of ours can resolve.
    #[must_use]
    pub fn url_by_name(&self, name: &str) -> String {
        format!("https://{name}:{}", self.address.port())
    }
}

/// An HTTP proxy that takes CONNECT and nothing else. Every name is loopback to it.
pub struct Proxy {
    address: SocketAddr,
    state: Arc<ProxyState>,
}

struct ProxyState {
    credentials: Option<String>,
    refuses_with: AtomicU16,
    tunnels: AtomicUsize,
}

impl Proxy {
    /// Listens on loopback; wants this `Proxy-Authorization` where there is one.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn start(credentials: Option<&str>) -> Self {
        let state = Arc::new(ProxyState {
            credentials: credentials.map(str::to_owned),
            refuses_with: AtomicU16::new(0),
            tunnels: AtomicUsize::new(0),
        });
        let (listener, address) = listen().await;
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(tunnel(client, Arc::clone(&shared)));
            }
        });
        Self { address, state }
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on it answers so; 0 ends that.
    pub fn refuse_with(&self, status: u16) {
        self.state.refuses_with.store(status, Ordering::SeqCst);
    }

    /// How many tunnels it has opened.
    #[must_use]
    pub fn tunnels(&self) -> usize {
        self.state.tunnels.load(Ordering::SeqCst)
    }
}

async fn tunnel(mut client: TcpStream, state: Arc<ProxyState>) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && head.len() < 8192 {
        head.push(client.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut words = head.split_whitespace();
    let port = match (words.next(), words.next()) {
        (Some("CONNECT"), Some(target)) => target.rsplit(':').next().unwrap_or_default().to_owned(),
        _ => return client.write_all(b"HTTP/1.1 405 CONNECT only\r\n\r\n").await,
    };
    let given = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.eq_ignore_ascii_case("proxy-authorization")).then(|| value.trim().to_owned())
    });
    let refusal = match state.refuses_with.load(Ordering::SeqCst) {
        0 if state.credentials.is_some() && given != state.credentials => 407,
        status => status,
    };
    if refusal != 0 {
        let answer = format!("HTTP/1.1 {refusal} no\r\ncontent-length: 0\r\n\r\n");
        return client.write_all(answer.as_bytes()).await;
    }
    let mut server = TcpStream::connect(format!("127.0.0.1:{port}")).await?;
    state.tunnels.fetch_add(1, Ordering::SeqCst);
    client.write_all(b"HTTP/1.1 200 connected\r\n\r\n").await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
