//! Who may import: the token, where it comes from, and how it is compared.

use std::fs::{File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use secrecy::{ExposeSecret as _, SecretString};

use super::ServerError;

/// A token that guards an address other machines can reach has at least this many characters.
pub const SHORTEST_PUBLIC: usize = 32;

/// Random bytes of a generated token; it is written as twice as many hex digits.
const RANDOM: usize = 32;

/// The token, kept only as its hash: hashes are compared in constant time, so how much of a guess was right does not
/// show in the time it takes, and its length does not either.
#[derive(Clone)]
pub struct Token(blake3::Hash);

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token")
    }
}

impl Token {
    /// The token of this text.
    pub fn new(text: &SecretString) -> Self {
        Self(blake3::hash(text.expose_secret().as_bytes()))
    }

    /// A key for `purpose` that only servers with this token have.
    pub(super) fn derive(&self, purpose: &str) -> [u8; 32] {
        blake3::derive_key(purpose, self.0.as_bytes())
    }

    /// Is this the token? `blake3::Hash` compares in constant time.
    pub fn is(&self, guess: &[u8]) -> bool {
        self.0 == blake3::hash(guess)
    }
}

/// A token and where it came from.
#[derive(Debug)]
pub enum Obtained {
    /// From the settings.
    Given(SecretString),
    /// From the file that an earlier start has written.
    Kept(SecretString),
    /// Made just now and written to the file.
    Made(SecretString),
}

impl Obtained {
    /// The text.
    pub fn secret(&self) -> &SecretString {
        match self {
            Self::Given(secret) | Self::Kept(secret) | Self::Made(secret) => secret,
        }
    }
}

/// The token of the settings if it is good enough for the address; else, for an address only this machine reaches, the
/// one in `file`, made if need be.
pub fn obtain(given: Option<&SecretString>, listen: SocketAddr, file: &Path) -> Result<Obtained, ServerError> {
    let public = !listen.ip().to_canonical().is_loopback();
    let exposed = |problem| Err(ServerError::Exposed { address: listen, problem });
    match given {
        Some(token) if public && token.expose_secret().chars().count() < SHORTEST_PUBLIC => {
            exposed("has fewer than 32 characters")
        }
        Some(token) => Ok(Obtained::Given(token.clone())),
        None if public => exposed("is not set"),
        None => kept_or_made(file),
    }
}

fn kept_or_made(path: &Path) -> Result<Obtained, ServerError> {
    let fault = |source| ServerError::TokenFile { path: path.to_owned(), source };
    if let Some(token) = read(path).map_err(fault)? {
        return Ok(Obtained::Kept(token));
    }
    let made = random()?;
    if write(path, &made).map_err(fault)? {
        return Ok(Obtained::Made(made));
    }
    // Another server was quicker: its token is the token.
    read(path).map_err(fault)?.map(Obtained::Kept).ok_or_else(|| fault(io::ErrorKind::InvalidData.into()))
}

/// The token in the file, which nobody else may read from now on; `None` if there is none.
fn read(path: &Path) -> io::Result<Option<SecretString>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    if file.metadata()?.permissions().mode() & 0o077 != 0 {
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    let mut text = String::new();
    (&file).take(4096).read_to_string(&mut text)?;
    let token = text.trim();
    if token.len() < SHORTEST_PUBLIC {
        return Err(io::Error::other(format!(
            "it holds no token of at least {SHORTEST_PUBLIC} characters; remove it to have a new one made"
        )));
    }
    Ok(Some(SecretString::from(token)))
}

/// Writes the token, readable by its owner only, whole or not at all; `false` if there is one already.
fn write(path: &Path, token: &SecretString) -> io::Result<bool> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file =
        tempfile::Builder::new().prefix(".token-").permissions(Permissions::from_mode(0o600)).tempfile_in(folder)?;
    writeln!(file, "{}", token.expose_secret())?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => File::open(folder)?.sync_all().map(|()| true),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error.error),
    }
}

fn random() -> Result<SecretString, ServerError> {
    let mut bytes = [0_u8; RANDOM];
    getrandom::fill(&mut bytes).map_err(|error| ServerError::Random(error.to_string()))?;
    let mut text = String::with_capacity(2 * RANDOM);
    for byte in bytes {
        text.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
        text.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
    }
    Ok(SecretString::from(text))
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::os::unix::fs::PermissionsExt as _;

    use secrecy::{ExposeSecret as _, SecretString};

    use super::{Obtained, ServerError, Token, obtain};

    fn at(address: &str) -> SocketAddr {
        address.parse().unwrap()
    }

    #[test]
    fn a_made_token_is_private_random_and_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state/token");
        let Obtained::Made(first) = obtain(None, at("127.0.0.1:0"), &file).unwrap() else { panic!("not made") };
        assert_eq!(first.expose_secret().len(), 64);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
        let Obtained::Kept(again) = obtain(None, at("[::1]:0"), &file).unwrap() else { panic!("not kept") };
        assert_eq!(first.expose_secret(), again.expose_secret());
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "made private again");
        let other = obtain(None, at("127.0.0.1:0"), &folder.path().join("other")).unwrap();
        assert_ne!(other.secret().expose_secret(), first.expose_secret());
    }

    #[test]
    fn only_a_long_token_of_ones_own_opens_an_address_to_others() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let (short, long) = (SecretString::from("x".repeat(31)), SecretString::from("x".repeat(32)));
        for address in ["0.0.0.0:80", "[::]:80", "192.168.1.2:80", "[::ffff:10.0.0.1]:80"] {
            assert!(matches!(obtain(None, at(address), &file), Err(ServerError::Exposed { .. })), "{address}");
            assert!(matches!(obtain(Some(&short), at(address), &file), Err(ServerError::Exposed { .. })), "{address}");
            assert!(matches!(obtain(Some(&long), at(address), &file), Ok(Obtained::Given(_))), "{address}");
        }
        assert!(matches!(obtain(Some(&short), at("127.0.0.1:80"), &file), Ok(Obtained::Given(_))));
        assert!(!file.exists());
    }

    #[test]
    fn a_damaged_token_file_is_no_token() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "short\n").unwrap();
        assert!(matches!(obtain(None, at("127.0.0.1:0"), &file), Err(ServerError::TokenFile { .. })));
    }

    #[test]
    fn only_the_token_is_the_token() {
        let token = Token::new(&SecretString::from("secret"));
        assert!(token.is(b"secret"));
        for guess in [&b""[..], b"secre", b"secret ", b"SECRET", &[0xff, 0xfe]] {
            assert!(!token.is(guess));
        }
        assert_eq!(format!("{token:?}"), "Token");
    }
}
