//! Stand before a broker: one that speaks TLS and SASL for it, and one that lets it make no topics by itself.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

pub(crate) const USER: &str = "alice";
pub(crate) const PASSWORD: &str = "correct-horse-battery";

const METADATA: i16 = 3;
const SASL_HANDSHAKE: i16 = 17;
const API_VERSIONS: i16 = 18;
const SASL_AUTHENTICATE: i16 = 36;

/// `SASL_AUTHENTICATION_FAILED`.
const REFUSED: i16 = 58;

/// A place for a broker to be found at.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    /// What it shows its clients, which vouches for itself.
    pub(crate) certificate: PathBuf,
    listener: std::net::TcpListener,
    acceptor: TlsAcceptor,
}

impl Proxy {
    /// `None` without `openssl`.
    pub(crate) fn new(folder: &Path) -> Option<Self> {
        let (key, certificate) = (folder.join("broker.key"), folder.join("broker.crt"));
        let mut make = Command::new("openssl");
        make.args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
        ]);
        make.args(["-subj", "/CN=broker", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout"]);
        make.arg(&key).arg("-out").arg(&certificate).stderr(std::process::Stdio::null());
        if !make.status().is_ok_and(|status| status.success()) {
            println!("skipped: no openssl to make a certificate");
            return None;
        }
        let chain = vec![CertificateDer::from_pem_file(&certificate).unwrap()];
        let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
        let config = ServerConfig::builder().with_no_client_auth();
        let config = config.with_single_cert(chain, PrivateKeyDer::from_pem_file(&key).unwrap()).unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        Some(Self { address, certificate, listener, acceptor: TlsAcceptor::from(Arc::new(config)) })
    }

    /// Serves a broker, for as long as the test's process lives.
    pub(crate) fn stand_before(self, broker: &str) {
        let broker = broker.to_owned();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                self.listener.set_nonblocking(true).unwrap();
                let listener = TcpListener::from_std(self.listener).unwrap();
                while let Ok((client, _)) = listener.accept().await {
                    let (acceptor, broker) = (self.acceptor.clone(), broker.clone());
                    // A client that does not trust us, or that goes, is its own business.
                    tokio::spawn(async move { between(acceptor, client, &broker).await.ok() });
                }
            });
        });
    }
}

async fn between(acceptor: TlsAcceptor, client: TcpStream, broker: &str) -> std::io::Result<()> {
    let mut client = acceptor.accept(client).await?;
    let mut broker = TcpStream::connect(broker).await?;
    loop {
        let request = frame(&mut client).await?;
        let number = |at: usize| i16::from_be_bytes([request[at], request[at + 1]]);
        let (api, version) = (number(0), number(2));
        match api {
            SASL_HANDSHAKE => {
                let mut answer = request[4..8].to_vec();
                answer.extend([0, 0, 0, 0, 0, 1, 0, 5]);
                answer.extend(b"PLAIN");
                send(&mut client, &answer).await?;
            }
            SASL_AUTHENTICATE => {
                let expected = format!("\0{USER}\0{PASSWORD}");
                let knows = request.windows(expected.len()).any(|window| window == expected.as_bytes());
                send(&mut client, &authenticated(&request[4..8], version, knows)).await?;
                if !knows {
                    return client.shutdown().await;
                }
                break;
            }
            API_VERSIONS => {
                send(&mut broker, &request).await?;
                let answer = frame(&mut broker).await?;
                send(&mut client, &answer).await?;
            }
            // Whoever has not said who it is gets nothing.
            _ => return client.shutdown().await,
        }
    }
    tokio::io::copy_bidirectional(&mut client, &mut broker).await.map(drop)
}

fn authenticated(correlation: &[u8], version: i16, knows: bool) -> Vec<u8> {
    let mut answer = correlation.to_vec();
    if version >= 2 {
        answer.push(0);
    }
    answer.extend(if knows { 0 } else { REFUSED }.to_be_bytes());
    // No message, no bytes, and no end of the session.
    match version {
        2.. => answer.extend([0, 1]),
        _ => answer.extend([0xff, 0xff, 0, 0, 0, 0]),
    }
    if version >= 1 {
        answer.extend([0; 8]);
    }
    if version >= 2 {
        answer.push(0);
    }
    answer
}

async fn frame(from: &mut (impl tokio::io::AsyncRead + Unpin)) -> std::io::Result<Vec<u8>> {
    let length = from.read_u32().await?;
    let mut bytes = vec![0; usize::try_from(length).unwrap()];
    from.read_exact(&mut bytes).await?;
    Ok(bytes)
}

async fn send(to: &mut (impl tokio::io::AsyncWrite + Unpin), bytes: &[u8]) -> std::io::Result<()> {
    to.write_u32(u32::try_from(bytes.len()).unwrap()).await?;
    to.write_all(bytes).await?;
    to.flush().await
}

/// Forwards to a broker all but the wish that a topic be made because somebody asks about it; where it listens.
pub(crate) fn strict(listener: std::net::TcpListener, broker: &str) {
    let broker = broker.to_owned();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            listener.set_nonblocking(true).unwrap();
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((client, _)) = listener.accept().await {
                let broker = broker.clone();
                tokio::spawn(async move {
                    let broker = TcpStream::connect(broker).await?;
                    let (mut reads, mut writes) = client.into_split();
                    let (mut answers, mut asks) = broker.into_split();
                    tokio::spawn(async move { tokio::io::copy(&mut answers, &mut writes).await });
                    loop {
                        let mut request = frame(&mut reads).await?;
                        forbid(&mut request);
                        send(&mut asks, &request).await?;
                        if request.is_empty() {
                            return Ok::<_, std::io::Error>(());
                        }
                    }
                });
            }
        });
    });
}

/// Says no to `allow_auto_topic_creation`, which stands near the end of requests for metadata.
fn forbid(request: &mut [u8]) {
    if request.len() < 4 || i16::from_be_bytes([request[0], request[1]]) != METADATA {
        return;
    }
    let behind = match i16::from_be_bytes([request[2], request[3]]) {
        4..=7 => 1,
        8 => 3,
        9 | 10 => 4,
        11.. => 3,
        _ => return,
    };
    let at = request.len() - behind;
    request[at] = 0;
}
