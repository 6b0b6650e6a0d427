//! `parser healthcheck`: is a server here ready? For containers, which have no curl. Exit 0 or 1.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use clap::Args;
use url::Url;

use crate::config::{Layers, Needs, Settings};
use crate::observe::Redactor;

use super::exit::Exit;
use super::{complain, messages};

/// Nobody waits longer for a health check.
const PATIENCE: Duration = Duration::from_secs(3);

/// `parser healthcheck`.
#[derive(Debug, Args)]
pub struct HealthcheckArgs {
    /// What to ask, `http://` only; without a path, `/readyz`. Default: the server at `LISTEN`.
    #[arg(long, value_name = "URL")]
    pub url: Option<Url>,
}

pub(super) fn execute(args: &HealthcheckArgs, layers: &Layers) -> Exit {
    let url = match &args.url {
        Some(url) => url.clone(),
        None => match Settings::load(layers, Needs::default()) {
            Ok(settings) => match default_url(settings.server.listen) {
                Some(url) => url,
                None => return Exit::Usage,
            },
            Err(error) => return complain(&error, &Redactor::default()),
        },
    };
    if url.scheme() != "http" || url.host().is_none() {
        messages::error("--url is not an http:// address", None);
        return Exit::Usage;
    }
    match ask(&url) {
        Ok(200) => Exit::Done,
        Ok(status) => {
            messages::error(&format!("unhealthy: status {status}"), None);
            Exit::SomeFailed
        }
        Err(error) => {
            messages::error(&format!("unhealthy: {error}"), None);
            Exit::SomeFailed
        }
    }
}

/// The server on this machine; one that listens everywhere is asked over the loopback.
fn default_url(mut listen: SocketAddr) -> Option<Url> {
    if listen.ip().is_unspecified() {
        listen.set_ip(match listen {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    Url::parse(&format!("http://{listen}")).ok()
}

/// The status of one request, without any client's proxies, pools and retries.
fn ask(url: &Url) -> std::io::Result<u16> {
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or(80);
    let path = if url.path() == "/" { "/readyz" } else { url.path() };
    let addresses = (host.trim_matches(['[', ']']), port).to_socket_addrs()?;
    let mut last = std::io::Error::from(std::io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return exchange(stream, host, port, path),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn exchange(mut stream: TcpStream, host: &str, port: u16, path: &str) -> std::io::Result<u16> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n")?;
    let mut line = Vec::with_capacity(16);
    // `HTTP/1.1 200`: all that is asked for.
    stream.take(12).read_to_end(&mut line)?;
    std::str::from_utf8(&line)
        .ok()
        .and_then(|line| line.strip_prefix("HTTP/1.")?.get(2..)?.trim().parse().ok())
        .ok_or_else(|| std::io::Error::other("no HTTP answer"))
}

#[cfg(test)]
mod tests {
    use super::default_url;

    #[test]
    fn a_server_that_listens_everywhere_is_asked_here() {
        for (listen, url) in [
            ("0.0.0.0:8000", "http://127.0.0.1:8000/"),
            ("[::]:9", "http://[::1]:9/"),
            ("127.0.0.1:80", "http://127.0.0.1/"),
            ("10.0.0.7:81", "http://10.0.0.7:81/"),
        ] {
            assert_eq!(default_url(listen.parse().unwrap()).unwrap().as_str(), url);
        }
    }
}
