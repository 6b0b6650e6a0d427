//! Keys of a profile in the shared credentials file (`~/.aws/credentials`).

use crate::config::{S3Keys, S3Settings};

/// Keys of the profile; `Ok(None)` when none was asked for and the file has no default one.
pub(super) fn of_profile(settings: &S3Settings) -> Result<Option<S3Keys>, String> {
    let asked = settings.profile.as_deref();
    let missing = |what: &str| match asked {
        Some(profile) => Err(format!("no keys: profile `{profile}` {what}")),
        None => Ok(None),
    };
    let Some(path) = &settings.credentials_file else { return missing("has no credentials file") };
    match std::fs::read_to_string(path) {
        Ok(text) => match keys(&text, asked.unwrap_or("default")) {
            Some(keys) => Ok(Some(keys)),
            None => missing("is not in the credentials file, or not whole"),
        },
        Err(_) => missing("cannot be read: there is no readable credentials file"),
    }
}

/// Keys in the text of such a file.
fn keys(text: &str, profile: &str) -> Option<S3Keys> {
    let (mut inside, mut id, mut secret, mut session) = (false, None, None, None);
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            inside = name.trim() == profile;
            continue;
        }
        let Some((name, value)) = line.split_once('=').filter(|_| inside && !line.starts_with(['#', ';'])) else {
            continue;
        };
        let value = value.trim();
        match name.trim().to_ascii_lowercase().as_str() {
            "aws_access_key_id" => id = Some(value.to_owned()),
            "aws_secret_access_key" => secret = Some(value.to_owned()),
            "aws_session_token" => session = Some(value.to_owned()),
            _ => {}
        }
    }
    Some(S3Keys { id: id?, secret: secret?.into(), session: session.map(Into::into) })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::keys;

    #[test]
    fn a_profile_is_found_among_others() {
        let text = "# x\n[default]\naws_access_key_id = D\naws_secret_access_key=DS\n\n[ other ]\r\n\
                    aws_access_key_id=O\n;aws_access_key_id=X\nregion = x\naws_secret_access_key = O=S\naws_session_token=T\n[half]\naws_access_key_id=H\n";
        let shown = |profile: &str| {
            keys(text, profile).map(|keys| {
                let session = keys.session.map(|token| token.expose_secret().to_owned());
                (keys.id, keys.secret.expose_secret().to_owned(), session)
            })
        };
        assert_eq!(shown("default"), Some(("D".to_owned(), "DS".to_owned(), None)));
        assert_eq!(shown("other"), Some(("O".to_owned(), "O=S".to_owned(), Some("T".to_owned()))));
        assert_eq!(shown("half"), None);
        assert_eq!(shown("none"), None);
    }
}
